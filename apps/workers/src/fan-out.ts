/** Turns events into the jobs that they owe. */
import { durableConsumers, type Envelope } from '@novax/contracts/events/envelope';
import { owedJobs } from '@novax/contracts/events/owed-jobs';
import { events, isEventType } from '@novax/contracts/events/registry';
import { jobId, type JobRequest } from '@novax/contracts/jobs';
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

/** The consumer that turns events into jobs. An event it does not understand goes to `park`, and no further. */
export function fanOutConsumer(parts: {
  readonly queue: JobQueue;
  readonly indexed: boolean;
  readonly park: (event: Envelope) => Promise<void>;
  readonly log: Logger;
}): EventConsumer {
  return {
    name: 'fan-out',
    subjects: durableConsumers['fan-out'],
    async handle(event) {
      if (!isUnderstood(event)) {
        parts.log.warn(
          { eventId: event.id, type: event.type, schemaVersion: event.schemaVersion },
          'event of an unknown kind or version: parked',
        );
        return parts.park(event);
      }
      const owed = jobsFor(event, parts);
      if (owed.length > 0) await parts.queue.add(owed);
    },
  };
}
