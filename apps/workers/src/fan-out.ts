/** Turns events into the jobs that they owe, and ends the answers that they made old. */
import { durableConsumers, type Envelope } from '@novax/contracts/events/envelope';
import { owedJobs } from '@novax/contracts/events/owed-jobs';
import { events, isEventType } from '@novax/contracts/events/registry';
import { jobId, type JobRequest } from '@novax/contracts/jobs';
import type { CacheStore } from '@novax/domain/cache';
import type { EventConsumer, JobQueue } from '@novax/domain/ports';
import type { Logger } from '@novax/runtime/log';

/** The jobs an event owes; ids are made from the event's, so that a second delivery adds nothing. */
export function jobsFor(event: Envelope, options: { readonly indexed: boolean }): JobRequest[] {
  if (!isEventType(event.type) || event.organizationId === null) return [];
  const { organizationId } = event;
  const documentId = event.aggregate.id;
  return owedJobs[event.type]
    .filter((name) => name !== 'index-document' || options.indexed)
    .map((name) => ({
      name,
      id: jobId(name, event.id),
      payload: {
        organizationId,
        documentId,
        event: { id: event.id, occurredAt: event.occurredAt, version: event.aggregate.version },
      },
    }));
}

/** True for an event this release understands; others are parked, not dropped. */
export function isUnderstood(event: Envelope): boolean {
  return isEventType(event.type) && events[event.type].version === event.schemaVersion;
}

/** True for what can change the answer of a search. A kind that this release does not know counts: better an answer lost than an old one shown. */
function changesSearch({ aggregate, payload }: Envelope): boolean {
  return (aggregate.type === 'document' || aggregate.type === 'project') && payload['kind'] !== 'summary';
}

/**
 * The consumer that turns events into jobs, and ends the answers that they made old. An event it does not understand goes to `park`; one that the
 * cache server was not told of waits in this process until it can be, and holds up nothing.
 */
export function fanOutConsumer(parts: {
  readonly queue: JobQueue;
  readonly indexed: boolean;
  /** Null where no cache server is named. */
  readonly cache: Pick<CacheStore, 'bump'> | null;
  readonly park: (event: Envelope) => Promise<void>;
  readonly log: Logger;
}): EventConsumer {
  return {
    name: 'fan-out',
    subjects: durableConsumers['fan-out'],
    async handle(event) {
      const { cache } = parts;
      const { organizationId } = event;
      const told =
        cache !== null && organizationId !== null && changesSearch(event) ? cache.bump(organizationId) : null;
      if (!isUnderstood(event)) {
        parts.log.warn(
          { eventId: event.id, type: event.type, schemaVersion: event.schemaVersion },
          'event of an unknown kind or version: parked',
        );
        await Promise.all([told, parts.park(event)]);
        return;
      }
      const owed = jobsFor(event, parts);
      await Promise.all([told, owed.length > 0 ? parts.queue.add(owed) : null]);
    },
  };
}
