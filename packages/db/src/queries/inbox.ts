/** The inbox: which events a consumer has applied, written in the effect's own transaction. */
import { statement } from '../statement.ts';
import type { SqlTx } from '../tx.ts';

/** One transaction of a consumer and an aggregate at a time; a statement of its own, because the next one must see what the one before committed. */
const holdAggregate = statement<Record<string, never>>(
  'hold_inbox_aggregate',
  `select pg_advisory_xact_lock(hashtextextended($1::text || $2::text, 0))`,
);
const insertInbox = statement<{ stale: boolean }>(
  'insert_inbox',
  `insert into inbox (consumer, event_id, occurred_at, org_id, aggregate_id, aggregate_version)
   values ($1, $2::uuid, $3::timestamptz, nullif($4, '')::uuid, $5::uuid, $6::int)
   on conflict do nothing
   returning exists (select from inbox newer
                      where newer.consumer = $1 and newer.aggregate_id = $5::uuid and newer.aggregate_version > $6::int) as stale`,
);

export interface Receipt {
  readonly consumer: string;
  readonly eventId: string;
  /** The event's own time, the same at every delivery. */
  readonly occurredAt: string;
  readonly organizationId: string | null;
  readonly aggregate: { readonly id: string; readonly version: number };
}

/**
 * True when the effect must be applied now. False when it was applied before, or when the consumer has applied a strictly newer version of the
 * aggregate: an event that was overtaken is noted as seen and does nothing, then or ever. Events of one version are different facts about it and all apply.
 */
export async function receive(tx: SqlTx, receipt: Receipt): Promise<boolean> {
  const { consumer, eventId, occurredAt, organizationId, aggregate } = receipt;
  await tx.sql(holdAggregate, [consumer, aggregate.id]);
  const [row] = await tx.sql(insertInbox, [
    consumer,
    eventId,
    occurredAt,
    organizationId ?? '',
    aggregate.id,
    aggregate.version,
  ]);
  return row !== undefined && !row.stale;
}
