/** What every domain event carries around its payload. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';

export const actorTypes = ['user', 'api_key', 'ai', 'system'] as const;
export const actorSchema = z.object({ type: z.enum(actorTypes), id: idSchema.nullable() });
/** Who did it. `system` and `ai` have no user behind them, so their id may be null. */
export type EventActor = z.output<typeof actorSchema>;

export const aggregateTypes = ['user', 'organization', 'member', 'invitation', 'project', 'document'] as const;
export type AggregateType = (typeof aggregateTypes)[number];

export const envelopeSchema = z.object({
  /** Names the event everywhere outside the database; consumers deduplicate by it. UUIDv7. */
  id: idSchema,
  type: z.string().max(255),
  /** Version of the payload's shape; consumers park versions they do not know. */
  schemaVersion: z.int().min(1),
  /** Null for events about people, who belong to no organization. */
  organizationId: idSchema.nullable(),
  aggregate: z.object({
    type: z.enum(aggregateTypes),
    id: idSchema,
    /** Rises with every event of this aggregate that consumers must not apply out of order. */
    version: z.int().min(0),
  }),
  actor: actorSchema,
  occurredAt: instantSchema,
  requestId: z.string().nullable(),
  traceparent: z.string().nullable(),
  payload: z.record(z.string(), z.json()),
});
export type Envelope = z.output<typeof envelopeSchema>;

/** Stream that holds every domain event. */
export const eventStream = 'NOVAX_EVENTS';
/** Stream of what consumers and the server say about messages that were given up. */
export const deadLetterStream = 'NOVAX_DLQ';

/** Durable consumers of the event stream by name, and the subjects each receives; `novax doctor` compares the server with them. */
export const durableConsumers = { 'fan-out': ['novax.events.>'] } as const satisfies Record<string, readonly string[]>;
/** The durable consumer of `deadLetterStream`. */
export const deadLetterConsumer = 'dead-letters';

/** Subject on which one consumer, and nobody else, is handed an event again. */
export function redeliverySubject(consumer: string): string {
  return `novax.redeliver.${consumer}`;
}

/** Subject on which a consumer says that it gave a message up; the stream of dead letters keeps it. */
export function givenUpSubject(consumer: string): string {
  return `novax.given-up.${consumer}`;
}

/** Core NATS subject of the hint that the outbox has something new; losing a hint costs latency only. */
export const wakeSubject = 'novax.wake.outbox';
/** The same for mails. */
export const wakeMailSubject = 'novax.wake.mail';

/** Subject of an event: `novax.events.<aggregate type>.<action>`. */
export function eventSubject(event: { readonly type: string }): string {
  return `novax.events.${event.type}`;
}

/** Header of a message that was sent before; its value names the replay. */
export const replayHeader = 'Novax-Replay';
