/** The outbox: events written with the change they tell of, and moved on once the stream has them. */
import type { AggregateType, Envelope } from '@novax/contracts/events/envelope';
import { events, type EventPayload, type EventType } from '@novax/contracts/events/registry';
import { newId } from '@novax/runtime/ids';
import type { Actor, CallInfo } from './actor.ts';
import { statement, type Statement, type Value } from './statement.ts';

/** Relay shards; an aggregate's events all fall into one, so one relay per shard keeps their order. */
export const shardCount = 8;

/** An event as it waits for the end of its transaction. */
export interface PendingEvent {
  readonly id: string;
  readonly type: EventType;
  readonly aggregateId: string;
  readonly aggregateVersion: number;
  readonly payload: unknown;
}

/** Makes an event; its payload is parsed here, so that nothing malformed can ever be owed. Throws on a payload that does not fit. */
export function pendingEvent<T extends EventType>(
  type: T,
  payload: EventPayload<T>,
  aggregate: { readonly id: string; readonly version: number },
): PendingEvent {
  return {
    id: newId(),
    type,
    aggregateId: aggregate.id,
    aggregateVersion: aggregate.version,
    payload: events[type].payload.parse(payload),
  };
}

/** Inserts events in the order given; runs last in the transaction, when the aggregates' rows are locked, so ids order one aggregate's events. */
export const insertEvents: Statement<Record<string, never>> = statement(
  'insert_events',
  `insert into events (event_id, event_type, schema_version, org_id, aggregate_type, aggregate_id, aggregate_version, actor_type, actor_id, request_id, traceparent, occurred_at, payload)
   select e.event_id, e.event_type, e.schema_version, $1::uuid, e.aggregate_type, e.aggregate_id, e.aggregate_version, $2, nullif($3, '')::uuid, nullif($4, ''), nullif($5, ''), $6::timestamptz, e.payload
     from jsonb_to_recordset($7::jsonb)
       as e(event_id uuid, event_type text, schema_version int, aggregate_type text, aggregate_id uuid, aggregate_version int, payload jsonb, n bigint)
    order by e.n`,
);

/** The rows of `insertEvents`, numbered so that their order holds. */
export function eventRows(pending: readonly PendingEvent[]): string {
  return JSON.stringify(
    pending.map((event, n) => ({
      n,
      event_id: event.id,
      event_type: event.type,
      schema_version: events[event.type].version,
      aggregate_type: events[event.type].aggregate,
      aggregate_id: event.aggregateId,
      aggregate_version: event.aggregateVersion,
      payload: event.payload,
    })),
  );
}

/** Values of `insertEvents`. */
export function eventValues(
  context: { readonly orgId: string; readonly actor: Actor; readonly call: CallInfo; readonly now: Date },
  pending: readonly PendingEvent[],
): Value[] {
  const { orgId, actor, call, now } = context;
  return [orgId, actor.type, actor.userId ?? '', call.requestId ?? '', call.traceparent ?? '', now, eventRows(pending)];
}

/** What the columns of `events` say about an event, besides when and what. */
interface OutboxHead {
  readonly event_id: string;
  readonly event_type: string;
  readonly schema_version: number;
  readonly org_id: string | null;
  readonly aggregate_type: AggregateType;
  readonly aggregate_id: string;
  readonly aggregate_version: number;
  readonly actor_type: Actor['type'];
  readonly actor_id: string | null;
  readonly request_id: string | null;
  readonly traceparent: string | null;
}

/** A row of `events`. */
export interface OutboxRow extends OutboxHead {
  readonly id: string;
  readonly occurred_at: Date;
  readonly payload: Envelope['payload'];
}

/** A row of `events` as the relay claims it: what it passes on unread is text. */
export interface ClaimedEvent extends OutboxHead {
  readonly id: string;
  /** ISO 8601. */
  readonly occurred_at: string;
  /** JSON. */
  readonly payload: string;
  /** Size of the payload as the database stores it. */
  readonly bytes: number;
  /** `created_at` to the microsecond: the other half of the row's key. */
  readonly created: string;
}

/** The row as it travels. */
export function toEnvelope(row: OutboxRow): Envelope {
  return { ...envelopeHead(row, row.occurred_at.toISOString()), payload: row.payload };
}

/** The envelope of a claimed row, as JSON. */
export function envelopeText(row: ClaimedEvent): string {
  return `${JSON.stringify(envelopeHead(row, row.occurred_at)).slice(0, -1)},"payload":${row.payload}}`;
}

function envelopeHead(row: OutboxHead, occurredAt: string): Omit<Envelope, 'payload'> {
  return {
    id: row.event_id,
    type: row.event_type,
    schemaVersion: row.schema_version,
    organizationId: row.org_id,
    aggregate: { type: row.aggregate_type, id: row.aggregate_id, version: row.aggregate_version },
    actor: { type: row.actor_type, id: row.actor_id },
    occurredAt,
    requestId: row.request_id,
    traceparent: row.traceparent,
  };
}
