/** What schedules keep in order: partitions, materialized views, and work that the tables say is owed. */
import { only } from '@novax/runtime/invariant';
import { statement } from '../statement.ts';
import type { Database } from '../tx.ts';

/** The AI's materialized views. */
export const aiViews = ['mv_ai_document_context', 'mv_ai_task_intelligence'] as const;
export type AiView = (typeof aiViews)[number];

/** What became of a refresh: done; not needed, for the view shows all there is; or under way elsewhere, which is enough. */
export type ViewOutcome = 'refreshed' | 'fresh' | 'busy';

/** Refreshes one view without blocking its readers, unless it shows all there is. When it fails, the old content stays and is still owed. */
export async function refreshView(db: Database, view: AiView): Promise<ViewOutcome> {
  const rows = await db.inSystem('materialized views hold every organization', (tx) => tx.sql(refresh, [view]));
  return only(rows, 'refresh_view').outcome;
}
const refresh = statement<{ outcome: ViewOutcome }>('refresh_view', 'select private.refresh_view($1) as outcome');

/** Seconds since the oldest change that each view does not show yet; 0 for one that shows all there is. */
export function viewStaleness(db: Database): Promise<readonly { view: AiView; seconds: number }[]> {
  return db.inSystem('materialized views hold every organization', (tx) => tx.sql(staleness, []));
}
const staleness = statement<{ view: AiView; seconds: number }>(
  'view_staleness',
  'select view, seconds from private.view_staleness()',
);

/** Makes missing monthly partitions; answers per table how many days the ones there will last. */
export async function ensurePartitions(
  db: Database,
  monthsAhead = 3,
): Promise<{ parent: string; runwayDays: number }[]> {
  const rows = await db.inSystem('partitions belong to no organization', (tx) => tx.sql(ensure, [monthsAhead]));
  const last = new Map<string, string>();
  for (const { parent, partition } of rows)
    last.set(parent, partition > (last.get(parent) ?? '') ? partition : (last.get(parent) ?? ''));
  return [...last].map(([parent, partition]) => ({ parent, runwayDays: runwayDays(partition) }));
}
const ensure = statement<{ parent: string; partition: string; created: boolean }>(
  'ensure_partitions',
  'select parent, partition, created from private.ensure_partitions($1::int)',
);

/** Drops every month of published events and of the inbox that ended longer ago than `keepDays`, at least 30, and that nothing needs; answers their names. */
export async function prunePartitions(db: Database, keepDays: number): Promise<string[]> {
  const dropped: string[] = [];
  for (;;) {
    // A transaction each, which is run again when a lock was not free.
    const rows = await db.inSystem('partitions belong to no organization', (tx) => tx.sql(prune, [keepDays]));
    const { partition } = only(rows, 'prune_partition');
    if (partition === null) return dropped;
    dropped.push(partition);
  }
}
const prune = statement<{ partition: string | null }>(
  'prune_partition',
  'select private.prune_partition(make_interval(days => $1::int)) as partition',
);

/** Days from now to the end of the month that a partition's name says. */
export function runwayDays(partition: string, now = Date.now()): number {
  const [, year, month] = /_(\d{4})_(\d{2})$/.exec(partition) ?? [];
  return Math.round((Date.UTC(Number(year), Number(month), 1) - now) / 86_400_000);
}

export interface OwedDocument {
  readonly job: 'embed-document' | 'summarize-document' | 'index-document';
  readonly org_id: string;
  readonly document_id: string;
  /** What exactly is owed: first half of the text's hash in hex, or the version to be indexed. */
  readonly fingerprint: string;
}

/**
 * Documents whose present text has no vectors of the model, or no summary, or, with `indexed`, whose present version the full-text engine has
 * not confirmed, though the stream has had time to bring it; `sinceS` null looks at all of them, a number at those changed that many seconds ago or less.
 */
export function owedDocuments(
  db: Database,
  search: { modelId: number; indexed: boolean; sinceS: number | null; limit: number },
): Promise<readonly OwedDocument[]> {
  const { modelId, indexed, sinceS, limit } = search;
  return db.inSystem('debts are looked for in every organization', (tx) =>
    tx.sql(owed, [modelId, indexed, sinceS, limit]),
  );
}
const owed = statement<OwedDocument>(
  'owed_documents',
  'select job, org_id, document_id, fingerprint from private.owed_documents($1::smallint, $2::boolean, make_interval(secs => $3::float8), $4::int)',
);

/** The registry's id of a model, registering it when it is new. */
export async function ensureEmbeddingModel(
  db: Database,
  model: { name: string; provider: string; dims: number },
): Promise<number> {
  const rows = await db.inSystem('the model registry belongs to no organization', (tx) =>
    tx.sql(ensureModel, [model.name, model.provider, model.dims]),
  );
  return only(rows, 'ensure_embedding_model').id;
}
const ensureModel = statement<{ id: number }>(
  'ensure_embedding_model',
  'select private.ensure_embedding_model($1, $2, $3::smallint) as id',
);

export interface DeadLetter {
  readonly source: 'outbox' | 'consumer' | 'job';
  readonly name: string;
  readonly dedupeKey: string;
  readonly organizationId: string | null;
  readonly eventId: string | null;
  readonly payload: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly error: string;
  readonly attempts?: number;
  /** The key names one failure, not work that may fail again after a replay: it is kept once, whatever became of the letter. */
  readonly once?: boolean;
}

/** Keeps work that failed for good until a person decides about it; keeping the same twice while it waits is harmless. */
export async function keepDeadLetter(db: Database, letter: DeadLetter): Promise<void> {
  const { source, name, dedupeKey, organizationId, eventId, payload, headers, error, attempts, once } = letter;
  await db.inSystem('dead letters are read by operators only', (tx) =>
    tx.sql(insertDeadLetter, [
      source,
      name,
      dedupeKey,
      organizationId ?? '',
      eventId ?? '',
      JSON.stringify(payload),
      error.slice(0, 2_000),
      JSON.stringify(headers ?? {}),
      attempts ?? 0,
      once ?? false,
    ]),
  );
}
const insertDeadLetter = statement<Record<string, never>>(
  'insert_dead_letter',
  `insert into dead_letters (source, name, dedupe_key, org_id, event_id, payload, error, headers, attempts)
   select $1::varchar, $2::varchar, $3::varchar, nullif($4, '')::uuid, nullif($5, '')::uuid, $6::jsonb, $7::text, $8::jsonb, $9::int
    where not ($10::boolean and exists (select from dead_letters where source = $1::varchar and name = $2::varchar and dedupe_key = $3::varchar))
   on conflict do nothing`,
);
