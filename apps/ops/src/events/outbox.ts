/** The outbox as an operator sees it: how much waits and why, freed again, and what was published read for another sending. */
import type { OutboxRow } from '@novax/db/outbox';
import type { Connection } from '../database/connect.ts';
import { rowsOf } from '../database/connect.ts';

export interface ShardCounts {
  shard: number;
  pending: number;
  /** Of the pending ones, those that the stream refused at least once. */
  refused: number;
  failed: number;
  /** Given up by a person: never published, and holding nothing back. */
  dropped: number;
  published: number;
}

export interface RefusedEvent {
  eventId: string;
  type: string;
  aggregateId: string;
  status: string;
  attempts: number;
  error: string;
}

export interface OutboxStatus {
  shards: ShardCounts[];
  /** Seconds; null when nothing waits. */
  oldestPendingS: number | null;
  /** The oldest refusals, ten at most. */
  refusals: RefusedEvent[];
}

/** Counts by shard, the age of the oldest event that waits, and the last words of the stream about what it refused. */
export async function outboxStatus(client: Connection): Promise<OutboxStatus> {
  const shards = await rowsOf<ShardCounts>(
    client,
    `select s.shard, count(*) filter (where e.status = 'pending')::int as pending,
            count(*) filter (where e.status = 'pending' and e.last_error is not null)::int as refused,
            count(*) filter (where e.status = 'failed')::int as failed,
            count(*) filter (where e.status = 'dropped')::int as dropped,
            count(*) filter (where e.status = 'published')::int as published
       from generate_series(0, 7) as s(shard) left join events e on e.shard = s.shard group by s.shard order by s.shard`,
  );
  const [age] = await rowsOf<{ seconds: number | null }>(
    client,
    `select extract(epoch from now() - min(created_at))::float8 as seconds from events where status = 'pending'`,
  );
  const refusals = await rowsOf<RefusedEvent>(
    client,
    `select event_id::text as "eventId", event_type as type, aggregate_id::text as "aggregateId", status, attempts, last_error as error
       from events where status in ('failed', 'pending') and last_error is not null order by status, id limit 10`,
  );
  return { shards, oldestPendingS: age?.seconds ?? null, refusals };
}

export interface RetryChoice {
  id?: string | undefined;
  aggregate?: string | undefined;
  allFailed?: boolean | undefined;
}

/** Gives refused and failed events their attempts back and makes them due now: one, those of an aggregate, or all that failed. Answers how many. */
export async function retryEvents(client: Connection, choice: RetryChoice): Promise<number> {
  const { id = null, aggregate = null, allFailed = false } = choice;
  const freed = await rowsOf(
    client,
    `update events set status = 'pending', attempts = 0, next_attempt_at = now(), last_error = null
      where (status = 'failed' or (status = 'pending' and last_error is not null and not $3::boolean))
        and ($1::uuid is null or event_id = $1) and ($2::uuid is null or aggregate_id = $2)
     returning id`,
    [id, aggregate, allFailed],
  );
  return freed.length;
}

export interface ReplayRange {
  from: Date;
  to: Date;
  aggregate: string | null;
}

/** A page of published events that happened in the range, in the order in which they were written; `after` is the id of the last one of the page before. */
export async function publishedEvents(client: Connection, range: ReplayRange, after: string): Promise<OutboxRow[]> {
  return rowsOf<OutboxRow>(
    client,
    `select id, event_id, event_type, schema_version, org_id, aggregate_type, aggregate_id, aggregate_version, actor_type, actor_id, request_id,
            traceparent, occurred_at, attempts, payload, pg_column_size(payload) as bytes, created_at::text as created
       from events
      where status = 'published' and occurred_at >= $1 and occurred_at < $2 and ($3::uuid is null or aggregate_id = $3) and id > $4::bigint
      order by id limit 500`,
    [range.from, range.to, range.aggregate, after],
  );
}
