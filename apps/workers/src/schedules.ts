/** What runs by the clock. The schedules live in Redis and are put there at every start, so that losing Redis loses none. */
import type { JobName } from '@novax/contracts/jobs';
import type { JobQueue } from '@novax/domain/ports';

const minuteMs = 60_000;

export const schedules = [
  { name: 'refresh-views', everyMs: 5 * minuteMs },
  { name: 'ensure-partitions', everyMs: 6 * 60 * minuteMs },
  { name: 'reconcile-owed-work', everyMs: minuteMs },
] as const satisfies readonly { name: JobName; everyMs: number }[];

/** Puts every schedule in place; repeating it changes nothing. */
export async function startSchedules(queue: JobQueue): Promise<void> {
  for (const { name, everyMs } of schedules) await queue.schedule(name, everyMs, { name, payload: {} });
}
