/** The relay's side of the outbox: claim by id, move what the stream acknowledged, put off what it refused. */
import type { OutboxRow } from '../outbox.ts';
import { statement } from '../statement.ts';

/** Oldest events of some shards that may go now, in id order; an aggregate with an event that must wait is left out, so that it keeps its order. Values: shards, rows at most. */
export const claimPending = statement<OutboxRow>(
  'claim_pending_events',
  `select e.id, e.event_id, e.event_type, e.schema_version, e.org_id, e.aggregate_type, e.aggregate_id, e.aggregate_version,
          e.actor_type, e.actor_id, e.request_id, e.traceparent, e.occurred_at, e.attempts, e.payload
     from events e
    where e.status = 'pending' and e.shard = any($1::smallint[])
      and not exists (select from events w
                       where w.status = 'pending' and w.aggregate_id = e.aggregate_id
                         and w.next_attempt_at > now() and w.id <= e.id)
    order by e.id limit $2::int`,
);

/** Moves acknowledged events to the published partition in one statement. Values: JSON array of { id, seq }. */
export const markPublished = statement<{ id: string }>(
  'mark_events_published',
  `update events e set status = 'published', published_at = now(), stream_seq = a.seq, attempts = e.attempts + 1, last_error = null
     from jsonb_to_recordset($1::jsonb) as a(id bigint, seq bigint)
    where e.status = 'pending' and e.id = a.id
   returning e.id`,
);

/** Puts refused events off; after the last attempt they move to the failed partition. Values: JSON array of { id, error }, attempts at most. */
export const putOff = statement<{ id: string; status: string }>(
  'put_off_events',
  `update events e set
      attempts = e.attempts + 1,
      last_error = left(a.error, 500),
      status = case when e.attempts + 1 >= $2::int then 'failed' else 'pending' end,
      next_attempt_at = now() + least(interval '1 minute', interval '1 second' * power(2, e.attempts))
     from jsonb_to_recordset($1::jsonb) as a(id bigint, error text)
    where e.status = 'pending' and e.id = a.id
   returning e.id, e.status`,
);

/** How much waits, how old the oldest is (seconds), and how many dead letters nobody resolved. */
export const pendingState = statement<{ pending: string; failed: string; dead: string; lag_seconds: number }>(
  'pending_events_state',
  `select (select count(*) from events where status = 'pending') as pending,
          (select count(*) from events where status = 'failed') as failed,
          (select count(*) from dead_letters where status = 'pending') as dead,
          coalesce(extract(epoch from now() - (select min(created_at) from events where status = 'pending')), 0)::float8 as lag_seconds`,
);
