/** Runs one background job: total over the jobs there are. */
import { type JobName, type JobPayload, type JobRequest, owedJobId } from '@novax/contracts/jobs';
import { aiViews, ensurePartitions, owedDocuments, prunePartitions, refreshView } from '@novax/db/queries/upkeep';
import type { Database } from '@novax/db/tx';
import { anchorHeads } from '@novax/domain/audit/anchors';
import { embedDocument, summarizeDocument } from '@novax/domain/documents/enrich';
import { indexDocument } from '@novax/domain/documents/index-document';
import { filesMax, purgeDeleted, removeOwedBlobs } from '@novax/domain/upkeep/purge';
import { sweepExpired } from '@novax/domain/upkeep/sweep';
import { recordErasures } from '@novax/domain/users/erase';
import type { BlobStore, Embedder, JobQueue, JobRun, SearchEngine, Summarizer } from '@novax/domain/ports';
import { crashAt } from '@novax/runtime/crash';
import { newId } from '@novax/runtime/ids';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import type { Signer } from '@novax/runtime/signing';

export interface JobParts {
  readonly db: Database;
  readonly modelId: number;
  readonly embedder: Embedder;
  readonly summarizer: Summarizer;
  readonly searchEngine: SearchEngine | null;
  /** Null where the settings name none: what belongs outside the database waits. */
  readonly blobs: BlobStore | null;
  readonly queue: JobQueue;
  readonly signer: Signer;
  /** Where the audit trail's heads are anchored; null where no place is named. */
  readonly anchors: BlobStore | null;
  /** How long published events and inbox rows are kept; at least 30 days. */
  readonly eventRetentionDays: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** With the signal at which a try ends early: between two batches or requests. */
type RunParts = JobParts & { readonly signal: AbortSignal };
type Runners = { readonly [N in JobName]: (parts: RunParts, payload: JobPayload<N>) => Promise<unknown> };

/** Behind every organization: only files are left. */
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
/** Owed documents looked for at a time. */
const owedMax = 500;

const runners: Runners = {
  'embed-document': (parts, payload) => embedDocument(parts, payload),
  'summarize-document': (parts, payload) => summarizeDocument(parts, payload),
  async 'index-document'(parts, payload) {
    const { searchEngine } = parts;
    return searchEngine === null ? 'no engine' : indexDocument({ ...parts, searchEngine }, payload);
  },
  async 'refresh-views'({ db, signal }) {
    const outcomes: string[] = [];
    for (const view of aiViews) {
      signal.throwIfAborted();
      outcomes.push(`${view} ${await refreshView(db, view)}`);
    }
    return outcomes;
  },
  async 'ensure-partitions'({ db, metrics }) {
    for (const { parent, runwayDays } of await ensurePartitions(db))
      metrics.partitionRunway.set({ table: parent }, runwayDays);
    return 'ensured';
  },
  async 'prune-partitions'({ db, eventRetentionDays, log }) {
    const dropped = await prunePartitions(db, eventRetentionDays);
    if (dropped.length > 0) log.info({ dropped }, 'months older than the retention dropped');
    return dropped;
  },
  'record-erasures': async ({ db, blobs, signal }) =>
    blobs === null ? 'no store' : recordErasures({ db, blobs, signal }),
  async 'anchor-audit'({ db, anchors, signer, log }) {
    if (anchors === null) return 'no store';
    const { heads, held } = await anchorHeads({ db, store: anchors, signer });
    if (!held) log.debug({ heads }, 'audit anchors are not held by an object lock');
    return heads;
  },
  async 'sweep-expired'({ db, queue, metrics, signal }) {
    const swept = (table: string, rows: number): void => metrics.removedRows.inc({ table, reason: 'expired' }, rows);
    const { rows, more } = await sweepExpired({ db, signal, swept });
    // The rest behind whatever waits: the queue runs one job at a time. Lost, it is the next schedule's.
    if (more) await queue.add([{ name: 'sweep-expired', id: `sweep-expired-rest-${newId()}`, payload: {} }]);
    return rows;
  },
  async 'purge-deleted'({ db, blobs, queue, metrics, signal }, { after }) {
    const purged = (table: string, rows: number): void => metrics.removedRows.inc({ table, reason: 'retention' }, rows);
    const { rows, next } = await purgeDeleted({ db, signal, purged }, after);
    const files = blobs === null ? null : await removeOwedBlobs({ db, blobs, signal });
    const rest = next ?? (files !== null && files >= filesMax ? lastId : null);
    // Likewise.
    if (rest !== null)
      await queue.add([{ name: 'purge-deleted', id: `purge-deleted-rest-${newId()}`, payload: { after: rest } }]);
    return { rows, files: files ?? 'no store', rest };
  },
  'reconcile-owed-work': (parts, payload) => reconcile(parts, payload.sinceS),
};

/** Queues again what the tables say is owed: a job lost with its server comes back. `sinceS` as for `owedDocuments`. */
export async function reconcile(
  parts: Pick<JobParts, 'db' | 'modelId' | 'searchEngine' | 'queue' | 'log'>,
  sinceS: number | null,
): Promise<number> {
  const { db, modelId, searchEngine } = parts;
  const owed = await owedDocuments(db, { modelId, indexed: searchEngine !== null, sinceS, limit: owedMax });
  const requests = owed.map((row): JobRequest => {
    const payload = { organizationId: row.org_id, documentId: row.document_id, event: null };
    return { name: row.job, id: owedJobId(row.job, row.document_id, row.fingerprint), payload };
  });
  if (requests.length > 0) {
    await parts.queue.add(requests);
    parts.log.info({ count: requests.length }, 'work owed by the tables queued again');
  }
  return requests.length;
}

/** Runs the job its name says. Throws what the job throws, which makes the queue try again later, and the reason of an aborted signal. */
export async function runJob(parts: JobParts, job: JobRun, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  // A run's payload was parsed by its own name's schema at pickup.
  const runner = runners[job.name] as (parts: RunParts, payload: unknown) => Promise<unknown>;
  const outcome = await runner({ ...parts, signal }, job.payload);
  crashAt('job.after_effect');
  parts.log.debug(
    { jobId: job.id, job: job.name, attempt: job.attempt, outcome, ms: Math.round(performance.now() - started) },
    'job done',
  );
}
