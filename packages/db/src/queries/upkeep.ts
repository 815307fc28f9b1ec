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

/** Days from now to the end of the month that a partition's name says. */
export function runwayDays(partition: string, now = Date.now()): number {
  const [, year, month] = /_(\d{4})_(\d{2})$/.exec(partition) ?? [];
  return Math.round((Date.UTC(Number(year), Number(month), 1) - now) / 86_400_000);
}

export interface OwedDocument {
  readonly job: 'embed-document' | 'summarize-document';
  readonly org_id: string;
  readonly document_id: string;
  /** First half of the text's hash, hex. */
  readonly fingerprint: string;
}

/** Documents whose present text has no vectors of the model, or no summary, though the stream has had time to bring it; `sinceS` null looks at all of them, a number at those changed that many seconds ago or less. */
export function owedDocuments(
  db: Database,
  search: { modelId: number; sinceS: number | null; limit: number },
): Promise<readonly OwedDocument[]> {
  const { modelId, sinceS, limit } = search;
  return db.inSystem('debts are looked for in every organization', (tx) => tx.sql(owed, [modelId, sinceS, limit]));
}
const owed = statement<OwedDocument>(
  'owed_documents',
  'select job, org_id, document_id, fingerprint from private.owed_documents($1::smallint, make_interval(secs => $2::float8), $3::int)',
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
  readonly error: string;
}

/** Keeps work that failed for good until a person decides about it; keeping the same twice is harmless. */
export async function keepDeadLetter(db: Database, letter: DeadLetter): Promise<void> {
  const { source, name, dedupeKey, organizationId, eventId, payload, error } = letter;
  await db.inSystem('dead letters are read by operators only', (tx) =>
    tx.sql(insertDeadLetter, [
      source,
      name,
      dedupeKey,
      organizationId ?? '',
      eventId ?? '',
      JSON.stringify(payload),
      error.slice(0, 2_000),
    ]),
  );
}
const insertDeadLetter = statement<Record<string, never>>(
  'insert_dead_letter',
  `insert into dead_letters (source, name, dedupe_key, org_id, event_id, payload, error)
   values ($1, $2, $3, nullif($4, '')::uuid, nullif($5, '')::uuid, $6::jsonb, $7)
   on conflict do nothing`,
);
