/** The relay's side of the outbox: claim by id, move what the stream acknowledged, put off what it refused. */
import type { ClaimedEvent } from '../outbox.ts';
import { statement } from '../statement.ts';

/**
 * Oldest events of some shards that may go now, in id order. An aggregate with an event that was refused and must wait, or that failed for good and
 * nobody has freed, is left out, so that it keeps its order: what it has beside that event came later. Values: shards, rows at most, bytes at most
 * (one row goes whatever its size), ids on their way, the id to begin behind, 0 for all.
 * An aggregate whose first pending event is not behind that id is left out as well: a transaction may end long after it took its ids, and what
 * another one adds to the aggregate then must not go before it. Both are seen at once, as the second waited for the first.
 * One walk along the ids, without a join, and refused events in the order of the one index of them: whatever the statistics say of a table that is empty
 * now and full a moment later, it costs the rows it walks over.
 */
export const claimPending = statement<ClaimedEvent>(
  'claim_pending_events',
  `select id, event_id, event_type, schema_version, org_id, aggregate_type, aggregate_id, aggregate_version,
          actor_type, actor_id, request_id, traceparent, bytes, created_at::text as created, payload::text as payload,
          to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as occurred_at
     from (select c.*, sum(c.bytes) over (order by c.id rows unbounded preceding) as total
             from (select e.*, pg_column_size(e.payload) as bytes
                     from events e
                    where e.status = 'pending' and e.shard = any($1::smallint[]) and e.id not in (select unnest($4::bigint[])) and e.id > $5::bigint
                      and ($5::bigint = 0 or $5::bigint < (
                            select p.id from events p where p.status = 'pending' and p.aggregate_id = e.aggregate_id
                             order by p.aggregate_id, p.id limit 1))
                      and e.aggregate_id <> all(array(
                            (select w.aggregate_id from events w
                              where w.status = 'pending' and w.last_error is not null and w.next_attempt_at > now()
                              order by w.next_attempt_at)
                            union all
                            select f.aggregate_id from events f where f.status = 'failed'))
                    order by e.id limit $2::int) c) t
    where total - bytes < $3::bigint
    order by id`,
);

/**
 * Moves acknowledged events to the published partition in one statement, unless the stream that acknowledged them is no more. Values: JSON array of
 * { id, created, seq }, stream, identity. `created` completes the key: by `id` and status alone a plan without statistics may look every event up
 * among all that are pending.
 */
export const markPublished = statement<{ count: number }>(
  'mark_events_published',
  `with stream as (select from event_streams where name = $2 and identity = $3 for share),
        moved as (
          update events e set status = 'published', published_at = now(), stream_seq = a.seq, attempts = e.attempts + 1, last_error = null
            from jsonb_to_recordset($1::jsonb) as a(id bigint, created timestamptz, seq bigint), stream
           where e.status = 'pending' and e.id = a.id and e.created_at = a.created
          returning 1)
   select count(*)::int as count from moved`,
);

/**
 * Puts refused events off. Poison, which no stream would take as it is, moves to the failed partition after the last attempt and leaves a dead letter; what a
 * stream refused for reasons of its own uses up no attempt and is tried again within two seconds for as long as it takes. Values: JSON array of
 * { id, created, error, poison }, attempts at most.
 */
export const putOff = statement<{ id: string; status: string }>(
  'put_off_events',
  `with put as (
     update events e set
        attempts = e.attempts + a.poison::int,
        last_error = left(a.error, 500),
        status = case when a.poison and e.attempts + 1 >= $2::int then 'failed' else 'pending' end,
        next_attempt_at = now() + case when a.poison then least(interval '1 minute', interval '1 second' * power(2, e.attempts))
                                       else interval '1 second' * (1 + random()) end
       from jsonb_to_recordset($1::jsonb) as a(id bigint, created timestamptz, error text, poison boolean)
      where e.status = 'pending' and e.id = a.id and e.created_at = a.created
     returning e.id, e.status, e.org_id, e.event_id, e.event_type, e.payload, e.last_error, e.attempts
   ), kept as (
     insert into dead_letters (source, name, dedupe_key, org_id, event_id, payload, error, attempts)
     select 'outbox', event_type, event_id::text, org_id, event_id, payload, last_error, attempts from put where status = 'failed'
     on conflict do nothing
   )
   select id, status from put`,
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
          coalesce(extract(epoch from now() - (select created_at from events where status = 'pending' order by id limit 1)), 0)::float8 as lag_seconds`,
);

/** Notes which stream the outbox publishes into, when none is noted. Values: stream, identity. */
export const noteStream = statement<Record<string, never>>(
  'note_event_stream',
  `insert into event_streams (name, identity) values ($1, $2) on conflict do nothing`,
);

/** Notes that the stream is another one, which owes a refill; from here on nobody can mark what the old one acknowledged. Values: stream, identity. */
export const noteOtherStream = statement<Record<string, never>>(
  'note_other_event_stream',
  `update event_streams set identity = $2, owes_refill = true where name = $1 and identity <> $2`,
);

/**
 * Pays an owed refill: makes pending again what the old stream had and somebody may not have consumed. Of several relays one does it. A statement of its own
 * after `noteOtherStream`, so that it sees every mark that came before that. Values: stream, identity.
 */
export const refillStream = statement<{ count: string }>(
  'refill_event_stream',
  `with known as (select name, consumed_seq, since, seen_at from event_streams where name = $1 and identity = $2 and owes_refill for update),
        noted as (update event_streams s set owes_refill = false, consumed_seq = 0, since = now(), seen_at = now() from known where s.name = known.name),
        back as (
          update events e set status = 'pending', published_at = null, stream_seq = null, attempts = 0, next_attempt_at = now()
            from known
           where e.status = 'published' and e.published_at >= known.since
             and (e.stream_seq > known.consumed_seq or e.published_at >= known.seen_at)
             and e.created_at > now() - interval '30 days'
          returning 1)
   select count(*) from back`,
);

/** Notes up to which message every consumer is done. Values: stream, identity, sequence. */
export const noteConsumed = statement<Record<string, never>>(
  'note_event_stream_consumed',
  `update event_streams set consumed_seq = $3::bigint, seen_at = now() where name = $1 and identity = $2 and not owes_refill`,
);

/** Makes pending again what a stream that lost its end had after it. Values: stream, shards, last sequence it still has. */
export const refillTail = statement<{ count: string }>(
  'refill_event_stream_tail',
  `with back as (
     update events e set status = 'pending', published_at = null, stream_seq = null, attempts = 0, next_attempt_at = now()
       from event_streams s
      where s.name = $1 and e.status = 'published' and e.shard = any($2::smallint[]) and e.stream_seq > $3::bigint
        and e.published_at >= s.since and e.created_at > now() - interval '30 days'
     returning 1)
   select count(*) from back`,
);

/** The highest sequence that the noted stream gave lately published events of some shards. Values: stream, shards. */
export const highestPublished = statement<{ seq: string }>(
  'highest_published_seq',
  `select coalesce(max(e.stream_seq), 0) as seq from events e join event_streams s on s.name = $1
    where e.status = 'published' and e.shard = any($2::smallint[]) and e.published_at >= s.since and e.created_at > now() - interval '1 day'`,
);
