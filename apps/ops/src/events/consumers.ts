/** What a replay would change: which consumers have applied which of the events, by their inbox. */
import { notedJobs, owedJobs } from '@novax/contracts/events/owed-jobs';
import { rowsOf, type Connection } from '../database/connect.ts';
import type { ReplayRange } from './outbox.ts';

export interface ConsumerDifference {
  readonly consumer: string;
  /** Events that it takes and has in its inbox. */
  readonly applied: number;
  /** Not in its inbox, but a newer version of the same aggregate is: it would note the event and do nothing. */
  readonly overtaken: number;
  /** What a replay would have it apply. */
  readonly notApplied: number;
  /** Event ids of some that it would apply, oldest first. */
  readonly examples: readonly string[];
}

const examplesMax = 20;

/**
 * Per consumer with an inbox, how it stands to the published events of a range. What a job is owed the contract says; any other consumer takes the
 * types of which it has applied one in the range. A job that the tables brought back, not its event, has no row: its event counts as not applied.
 */
export async function consumerDifferences(client: Connection, range: ReplayRange): Promise<ConsumerDifference[]> {
  const takes = Object.entries(owedJobs).flatMap(([type, owed]) =>
    owed.filter((job) => notedJobs.includes(job)).map((consumer) => ({ consumer, event_type: type })),
  );
  return rowsOf<ConsumerDifference & { [column: string]: unknown }>(
    client,
    `with recursive consumers as (
       select min(consumer) as consumer from inbox
       union all
       select (select min(i.consumer) from inbox i where i.consumer > c.consumer) from consumers c where c.consumer is not null
     ), chosen as (
       select id, event_id, event_type, aggregate_id, aggregate_version from events
        where status = 'published' and occurred_at >= $1 and occurred_at < $2 and ($3::uuid is null or aggregate_id = $3)
     ), takes as (
       select t.consumer, t.event_type from jsonb_to_recordset($4::jsonb) as t(consumer varchar, event_type varchar)
       union
       select c.consumer, e.event_type from consumers c
         join chosen e on exists (select from inbox i where i.consumer = c.consumer and i.event_id = e.event_id)
     ), states as (
       select t.consumer, e.id, e.event_id,
              exists (select from inbox i where i.consumer = t.consumer and i.event_id = e.event_id) as applied,
              exists (select from inbox n where n.consumer = t.consumer and n.aggregate_id = e.aggregate_id
                         and n.aggregate_version > e.aggregate_version) as newer
         from chosen e join takes t on t.event_type = e.event_type
     )
     select consumer, count(*) filter (where applied)::int as applied, count(*) filter (where not applied and newer)::int as overtaken,
            count(*) filter (where not applied and not newer)::int as "notApplied",
            coalesce((array_agg(event_id::text order by id) filter (where not applied and not newer))[1:${examplesMax}], '{}') as examples
       from states group by consumer order by consumer`,
    [range.from, range.to, range.aggregate, JSON.stringify(takes)],
  );
}
