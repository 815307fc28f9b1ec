/** Every queue with how its jobs run, and every background job: its queue, how often it may be tried, and its payload. Payloads change only by addition and are parsed at both ends. */
import { z } from 'zod';
import { idSchema, instantSchema } from './ids.ts';

/** BullMQ queues; names are public (`surface`). */
export const queueNames = ['embedding', 'indexing', 'view-refresh', 'notification', 'webhook', 'maintenance'] as const;
export type QueueName = (typeof queueNames)[number];

export interface QueueSettings {
  /** Jobs that run at once in one worker process. */
  readonly concurrency: number;
  /** Jobs that all workers together may begin in a period; null: as many as they can. */
  readonly limit: { readonly max: number; readonly perMs: number } | null;
  /** Milliseconds one try may take; after that it has failed, whatever it still does. */
  readonly timeLimitMs: number;
  /** Milliseconds before the second try; doubles each time, with jitter. */
  readonly retryBaseMs: number;
}

/** What a worker of a queue is told of its settings. */
export type JobTerms = Pick<QueueSettings, 'concurrency'> & Partial<Pick<QueueSettings, 'limit' | 'timeLimitMs'>>;

const usual = { concurrency: 8, limit: null, timeLimitMs: 60_000, retryBaseMs: 1000 } as const;
/** Walks over every organization, or waits for locks: one at a time, and longer. */
const upkeep = { ...usual, concurrency: 1, timeLimitMs: 300_000 } as const;

/** How each queue's jobs run, unless the installation says otherwise. */
export const queues: Readonly<Record<QueueName, QueueSettings>> = {
  // Bound by one core.
  'embedding': { ...usual, concurrency: 4 },
  'indexing': { ...usual, concurrency: 4 },
  'view-refresh': upkeep,
  'notification': usual,
  'webhook': usual,
  'maintenance': upkeep,
};

interface JobRow {
  readonly queue: QueueName;
  /** Tries in all before the job is a dead letter. */
  readonly attempts: number;
  readonly version: number;
  readonly payload: z.ZodType;
}

const documentJob = z.object({
  organizationId: idSchema,
  documentId: idSchema,
  /** The event that owes the job, as its inbox row needs it; null when the reconciler found the debt in the tables. */
  event: z.object({ id: idSchema, occurredAt: instantSchema, version: z.int() }).nullable(),
  /** True when an operator has derived data rebuilt: it is written, and nobody is told. Left out by everybody else. */
  quiet: z.literal(true).optional(),
});
const nothing = z.object({});
/** Only what changed that many seconds ago or less; null looks at everything. */
const reconcileJob = z.object({ sinceS: z.int().min(1).nullable() });
/** Goes on behind that organization; left out by the schedule, which begins with the first. */
const purgeJob = z.object({ after: idSchema.optional() });

export const jobs = {
  // Twelve tries span half an hour: an ordinary outage of a model or a server must not leave dead letters behind.
  'embed-document': { queue: 'embedding', attempts: 12, version: 1, payload: documentJob },
  'summarize-document': { queue: 'embedding', attempts: 12, version: 1, payload: documentJob },
  'index-document': { queue: 'indexing', attempts: 12, version: 1, payload: documentJob },
  'refresh-views': { queue: 'view-refresh', attempts: 3, version: 1, payload: nothing },
  'ensure-partitions': { queue: 'maintenance', attempts: 5, version: 1, payload: nothing },
  'prune-partitions': { queue: 'maintenance', attempts: 5, version: 1, payload: nothing },
  'record-erasures': { queue: 'maintenance', attempts: 5, version: 1, payload: nothing },
  'anchor-audit': { queue: 'maintenance', attempts: 12, version: 1, payload: nothing },
  'sweep-expired': { queue: 'maintenance', attempts: 3, version: 1, payload: nothing },
  'purge-deleted': { queue: 'maintenance', attempts: 3, version: 1, payload: purgeJob },
  'reconcile-owed-work': { queue: 'maintenance', attempts: 3, version: 1, payload: reconcileJob },
} as const satisfies Record<string, JobRow>;

export type JobName = keyof typeof jobs;
export type JobPayload<N extends JobName> = z.output<(typeof jobs)[N]['payload']>;

/** A job to be added: its name, its payload and the id that makes adding it twice harmless. */
export type JobRequest = {
  [N in JobName]: { readonly name: N; readonly payload: JobPayload<N>; readonly id: string };
}[JobName];

/** A job given up, as it lay in its queue: perhaps of a name or with a payload that nobody here knows. */
export interface DeadJob {
  readonly id: string;
  readonly name: string;
  readonly payload: unknown;
  /** How often it was tried. */
  readonly attempts: number;
}

/** The organization a job is done for; null for the installation's own upkeep. Organizations take turns in a queue. */
export function laneOf(request: Omit<JobRequest, 'id'>): string | null {
  return 'organizationId' in request.payload ? request.payload.organizationId : null;
}

/** Id of the job for a debt that the tables tell of; the fingerprint names the debt, so the same one is queued once, whoever finds it, and a changed text is another. */
export function owedJobId(name: JobName, documentId: string, fingerprint: string): string {
  return `${name}-owed-${documentId}-${fingerprint}`;
}

/** `<job>-<event id>`: BullMQ forbids `:` in job ids. */
export function jobId(name: JobName, eventId: string): string {
  return `${name}-${eventId}`;
}
