/** The relay's side of the outbox: claim by id, move what the stream acknowledged, put off what it refused. */
import type { OutboxRow } from '../outbox.ts';
import { statement } from '../statement.ts';

/**
 * Oldest events of some shards that may go now, in id order. An aggregate with an event that was refused and must wait, or that failed for good and
 * nobody has freed, is left out, so that it keeps its order: what it has beside that event came later. Values: shards, rows at most, bytes at most
 * (one row goes whatever its size), ids on their way.
 * One walk along the ids, without a join: whatever the statistics say of a table that is empty now and full a moment later, it costs the rows it answers.
 */
export const claimPending = statement<OutboxRow>(
  'claim_pending_events',
  `select id, event_id, event_type, schema_version, org_id, aggregate_type, aggregate_id, aggregate_version,
          actor_type, actor_id, request_id, traceparent, occurred_at, attempts, payload, bytes, created_at::text as created
     from (select c.*, sum(c.bytes) over (order by c.id rows unbounded preceding) as total
             from (select e.*, pg_column_size(e.payload) as bytes
                     from events e
                    where e.status = 'pending' and e.shard = any($1::smallint[]) and e.id <> all($4::bigint[])
                      and e.aggregate_id <> all(array(
                            select w.aggregate_id from events w
                             where w.status = 'pending' and w.last_error is not null and w.next_attempt_at > now()
                            union all
                            select f.aggregate_id from events f where f.status = 'failed'))
                    order by e.id limit $2::int) c) t
    where total - bytes < $3::bigint
    order by id`,
);

/**
 * Moves acknowledged events to the published partition in one statement. Values: JSON array of { id, created, seq }. `created` completes the key:
 * by `id` and status alone a plan without statistics may look every event up among all that are pending.
 */
export const markPublished = statement<{ id: string }>(
  'mark_events_published',
  `update events e set status = 'published', published_at = now(), stream_seq = a.seq, attempts = e.attempts + 1, last_error = null
     from jsonb_to_recordset($1::jsonb) as a(id bigint, created timestamptz, seq bigint)
    where e.status = 'pending' and e.id = a.id and e.created_at = a.created
   returning e.id`,
);

/**
 * Puts refused events off. Poison, which no stream would take as it is, moves to the failed partition after the last attempt; what a stream refused for
 * reasons of its own uses up no attempt and is tried again within two seconds for as long as it takes. Values: JSON array of { id, created, error, poison }, attempts at most.
 */
export const putOff = statement<{ id: string; status: string }>(
  'put_off_events',
  `update events e set
      attempts = e.attempts + a.poison::int,
      last_error = left(a.error, 500),
      status = case when a.poison and e.attempts + 1 >= $2::int then 'failed' else 'pending' end,
      next_attempt_at = now() + case when a.poison then least(interval '1 minute', interval '1 second' * power(2, e.attempts))
                                     else interval '1 second' * (1 + random()) end
     from jsonb_to_recordset($1::jsonb) as a(id bigint, created timestamptz, error text, poison boolean)
    where e.status = 'pending' and e.id = a.id and e.created_at = a.created
   returning e.id, e.status`,
);

/** How much waits, how much of that was refused before, how much failed for good, how old the oldest is (seconds), and how many dead letters nobody resolved. */
export const pendingState = statement<{
  pending: string;
  refused: string;
  failed: string;
  dead: string;
  lag_seconds: number;
}>(
  'pending_events_state',
  `select (select count(*) from events where status = 'pending') as pending,
          (select count(*) from events where status = 'pending' and last_error is not null) as refused,
          (select count(*) from events where status = 'failed') as failed,
          (select count(*) from dead_letters where status = 'pending') as dead,
          coalesce(extract(epoch from now() - (select min(created_at) from events where status = 'pending')), 0)::float8 as lag_seconds`,
);
