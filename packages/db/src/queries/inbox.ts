/** The inbox: which events a consumer has applied, written in the effect's own transaction. */
import { statement } from '../statement.ts';
import type { SqlTx } from '../tx.ts';

const insertInbox = statement<{ event_id: string }>(
  'insert_inbox',
  `insert into inbox (consumer, event_id, occurred_at, org_id, aggregate_id, aggregate_version)
   values ($1, $2::uuid, $3::timestamptz, nullif($4, '')::uuid, $5::uuid, $6::int)
   on conflict do nothing returning event_id`,
);

export interface Receipt {
  readonly consumer: string;
  readonly eventId: string;
  /** The event's own time, the same at every delivery. */
  readonly occurredAt: string;
  readonly organizationId: string | null;
  readonly aggregate: { readonly id: string; readonly version: number };
}

/** True the first time; false when the effect was applied before, in which case the transaction must do nothing. */
export async function receive(tx: SqlTx, receipt: Receipt): Promise<boolean> {
  const { consumer, eventId, occurredAt, organizationId, aggregate } = receipt;
  const rows = await tx.sql(insertInbox, [
    consumer,
    eventId,
    occurredAt,
    organizationId ?? '',
    aggregate.id,
    aggregate.version,
  ]);
  return rows.length > 0;
}
