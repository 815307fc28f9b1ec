/** What runs by the clock. The schedules live in Redis and are put back there whenever they are missing, so that losing Redis loses none. */
import type { JobRequest } from '@novax/contracts/jobs';
import type { JobQueue } from '@novax/domain/ports';
import type { Logger } from '@novax/runtime/log';

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
  { key: 'sweep-expired', everyMs: 60 * minuteMs, request: { name: 'sweep-expired', payload: {} } },
  { key: 'purge-deleted', everyMs: 60 * minuteMs, request: { name: 'purge-deleted', payload: {} } },
  // What changed lately is looked at often and by index, everything now and then. With the half minute that the stream is given, and the
  // `SCHEDULES_REPEAT_MS` until lost schedules are back, a lost job returns within a minute.
  {
    key: 'reconcile-recent',
    everyMs: minuteMs / 3,
    request: { name: 'reconcile-owed-work', payload: { sinceS: dayS } },
  },
  { key: 'reconcile-all', everyMs: 15 * minuteMs, request: { name: 'reconcile-owed-work', payload: { sinceS: null } } },
];

/** Puts every schedule in place, and again every `everyMs`: one that is there keeps its pace, one that was lost begins anew. The answer stops it. */
export async function keepSchedules(
  queue: JobQueue,
  options: { readonly everyMs: number; readonly log: Logger },
): Promise<() => Promise<void>> {
  await putSchedules(queue);
  let running = Promise.resolve();
  const timer = setInterval(() => {
    running = running
      .then(() => putSchedules(queue))
      .catch((err: unknown) => options.log.warn({ err }, 'schedules could not be put in place; trying again later'));
  }, options.everyMs);
  return async () => {
    clearInterval(timer);
    await running;
  };
}

async function putSchedules(queue: JobQueue): Promise<void> {
  for (const { key, everyMs, request } of schedules) await queue.schedule(key, everyMs, request);
}
