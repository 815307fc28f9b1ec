/** What runs by the clock. The schedules live in Redis and are put there at every start, so that losing Redis loses none. */
import type { JobRequest } from '@novax/contracts/jobs';
import type { JobQueue } from '@novax/domain/ports';

const minuteMs = 60_000;
const dayS = 24 * 60 * 60;

interface Schedule {
  readonly key: string;
  readonly everyMs: number;
  readonly request: Omit<JobRequest, 'id'>;
}

export const schedules: readonly Schedule[] = [
  { key: 'refresh-views', everyMs: 5 * minuteMs, request: { name: 'refresh-views', payload: {} } },
  { key: 'ensure-partitions', everyMs: 6 * 60 * minuteMs, request: { name: 'ensure-partitions', payload: {} } },
  { key: 'prune-partitions', everyMs: 24 * 60 * minuteMs, request: { name: 'prune-partitions', payload: {} } },
  { key: 'record-erasures', everyMs: minuteMs, request: { name: 'record-erasures', payload: {} } },
  { key: 'anchor-audit', everyMs: 60 * minuteMs, request: { name: 'anchor-audit', payload: {} } },
  // What changed lately is looked at often and by index, everything now and then.
  { key: 'reconcile-recent', everyMs: minuteMs, request: { name: 'reconcile-owed-work', payload: { sinceS: dayS } } },
  { key: 'reconcile-all', everyMs: 15 * minuteMs, request: { name: 'reconcile-owed-work', payload: { sinceS: null } } },
];

/** Puts every schedule in place; repeating it changes nothing. */
export async function startSchedules(queue: JobQueue): Promise<void> {
  for (const { key, everyMs, request } of schedules) await queue.schedule(key, everyMs, request);
}
