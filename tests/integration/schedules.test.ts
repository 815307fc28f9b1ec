/** What runs by the clock goes on when the job server forgets everything under a living worker, and keeps its pace otherwise. */
import { connectJobQueue } from '@novax/adapters/queues';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { keepSchedules, schedules } from '../../apps/workers/src/schedules.ts';
import { unique } from '../kit/actors.ts';
import { eventually } from '../kit/eventually.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';

/** Everything this test's queues have in Redis. */
async function keysOf(redis: Redis, prefix: string): Promise<string[]> {
  return (await redis.keys(`${prefix}:*`)).toSorted();
}

/** Keys of the schedules and when each runs next. */
async function planned(redis: Redis, prefix: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const key of await redis.keys(`${prefix}:*:repeat`)) {
    const rows = await redis.zrange(key, '0', '-1', 'WITHSCORES');
    for (let n = 0; n < rows.length; n += 2) found[rows[n] ?? ''] = rows[n + 1] ?? '';
  }
  return found;
}

test('schedules lost with everything else in Redis come back while the process runs; those that are there are left as they are', async () => {
  const prefix = unique('schedules');
  const redis = new Redis(servers().queueRedisUrl);
  const queue = await connectJobQueue({ url: servers().queueRedisUrl, prefix, log: quiet });
  const stop = await keepSchedules(queue, { everyMs: 100, log: quiet });
  try {
    const names = schedules.map(({ key }) => key).toSorted();
    const before = await planned(redis, prefix);
    expect(Object.keys(before).toSorted()).toEqual(names);
    // Half a second later they were put there again several times.
    const until = Date.now() + 500;
    await eventually(() => expect(Date.now()).toBeGreaterThan(until));
    expect(await planned(redis, prefix)).toEqual(before);

    await redis.del(await keysOf(redis, prefix));
    await eventually(async () => expect(Object.keys(await planned(redis, prefix)).toSorted()).toEqual(names));
    // Each is not only listed but has its next job waiting.
    const waiting = Object.values(await queue.counts()).reduce((sum, at) => sum + at.waiting + at.delayed, 0);
    expect(waiting).toBe(names.length);
  } finally {
    await stop();
    await queue.close();
    await redis.del(await keysOf(redis, prefix));
    await redis.quit();
  }
});
