/** Every background job: its queue, how often it may be tried, and its payload. Payloads change only by addition and are parsed at both ends. */
import { z } from 'zod';
import { idSchema, instantSchema } from './ids.ts';

/** BullMQ queues; names are public (`surface`). */
export const queueNames = ['embedding', 'indexing', 'view-refresh', 'notification', 'webhook', 'maintenance'] as const;
export type QueueName = (typeof queueNames)[number];

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
});
const nothing = z.object({});
/** Only what changed that many seconds ago or less; null looks at everything. */
const reconcileJob = z.object({ sinceS: z.int().min(1).nullable() });

export const jobs = {
  // Twelve tries span half an hour: an ordinary outage of a model or a server must not leave dead letters behind.
  'embed-document': { queue: 'embedding', attempts: 12, version: 1, payload: documentJob },
  'summarize-document': { queue: 'embedding', attempts: 12, version: 1, payload: documentJob },
  'index-document': { queue: 'indexing', attempts: 12, version: 1, payload: documentJob },
  'refresh-views': { queue: 'view-refresh', attempts: 3, version: 1, payload: nothing },
  'ensure-partitions': { queue: 'maintenance', attempts: 5, version: 1, payload: nothing },
  'record-erasures': { queue: 'maintenance', attempts: 5, version: 1, payload: nothing },
  'anchor-audit': { queue: 'maintenance', attempts: 12, version: 1, payload: nothing },
  'sweep-expired': { queue: 'maintenance', attempts: 3, version: 1, payload: nothing },
  'purge-deleted': { queue: 'maintenance', attempts: 3, version: 1, payload: nothing },
  'reconcile-owed-work': { queue: 'maintenance', attempts: 3, version: 1, payload: reconcileJob },
} as const satisfies Record<string, JobRow>;

export type JobName = keyof typeof jobs;
export type JobPayload<N extends JobName> = z.output<(typeof jobs)[N]['payload']>;

/** A job to be added: its name, its payload and the id that makes adding it twice harmless. */
export type JobRequest = {
  [N in JobName]: { readonly name: N; readonly payload: JobPayload<N>; readonly id: string };
}[JobName];

/** `<job>-<event id>`: BullMQ forbids `:` in job ids. */
export function jobId(name: JobName, eventId: string): string {
  return `${name}-${eventId}`;
}
