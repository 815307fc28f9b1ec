/** The rate limiter port, on the fake and on the real server. */
import { redisRateLimiter } from '@novax/adapters/rate-limit';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { fakeRateLimiter } from '@novax/adapters/fakes/rate-limit';
import type { RateLimiter } from '@novax/domain/ports';
import { systemClock } from '@novax/runtime/clock';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { servers } from '../kit/servers.ts';
import { quiet, uniqueName } from './unique.ts';

let redis: Redis;
beforeAll(async () => {
  redis = await connectRedis({ url: servers().queueRedisUrl, log: quiet, name: 'test', mode: 'fail-fast' });
});
afterAll(() => closeRedis(redis));

const kinds: Record<string, () => RateLimiter> = {
  fake: () => fakeRateLimiter(systemClock),
  valkey: () => redisRateLimiter(redis),
};

describe.each(Object.entries(kinds))('rate limiter: %s', (_, make) => {
  test('admits the limit, counts down, then refuses and says how long to wait', async () => {
    const limiter = make();
    const key = uniqueName();
    const taken = [];
    for (let call = 0; call < 4; call++) taken.push(await limiter.take(key, 3, 60_000));
    expect(taken.map(({ admitted, remaining }) => [admitted, remaining])).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    expect(taken.map(({ limit }) => limit)).toEqual([3, 3, 3, 3]);
    expect(taken[0]?.retryAfterMs).toBe(0);
    expect(taken[3]?.retryAfterMs).toBeGreaterThan(55_000);
    expect(taken[3]?.retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  test('admits exactly the limit of 300 simultaneous calls', async () => {
    const limiter = make();
    const key = uniqueName();
    const taken = await Promise.all(Array.from({ length: 300 }, () => limiter.take(key, 50, 60_000)));
    expect(taken.filter(({ admitted }) => admitted)).toHaveLength(50);
  });

  test('subjects do not share a window', async () => {
    const limiter = make();
    const [one, other] = [uniqueName(), uniqueName()];
    await limiter.take(one, 1, 60_000);
    expect((await limiter.take(other, 1, 60_000)).admitted).toBe(true);
    expect((await limiter.take(one, 1, 60_000)).admitted).toBe(false);
  });

  test('no window of the log ever holds more than the limit, and refused calls do not extend the wait', async () => {
    const limiter = make();
    const key = uniqueName();
    const windowMs = 150;
    const admitted: number[] = [];
    // Without pause: most calls are refused, and still the window opens again on time, four times over.
    await eventually(
      async () => {
        const before = performance.now();
        const { admitted: yes } = await limiter.take(key, 5, windowMs);
        if (yes) admitted.push(before);
        expect(admitted.length).toBeGreaterThanOrEqual(20);
      },
      { timeoutMs: 5000, everyMs: 0 },
    );
    // `before` is taken before the server's clock, so a sixth call may seem early by one round trip.
    for (const [at, time] of admitted.entries()) {
      const fifthAfter = admitted[at + 5];
      if (fifthAfter !== undefined) expect(fifthAfter - time).toBeGreaterThanOrEqual(windowMs - 20);
    }
  });

  test('a limit of zero admits nothing', async () => {
    expect(await make().take(uniqueName(), 0, 1000)).toMatchObject({ admitted: false, remaining: 0 });
  });

  test('a limit that was lowered counts the calls already made', async () => {
    const limiter = make();
    const key = uniqueName();
    for (let call = 0; call < 5; call++) await limiter.take(key, 5, 60_000);
    expect((await limiter.take(key, 2, 60_000)).admitted).toBe(false);
  });
});

describe('rate limiter: on the server', () => {
  test('a window leaves no key behind once it has passed', async () => {
    const key = uniqueName();
    await redisRateLimiter(redis).take(key, 5, 50);
    expect(await redis.pttl(key)).toBeLessThanOrEqual(50);
    await eventually(async () => expect(await redis.exists(key)).toBe(0));
  });

  test('limits survive a server that forgot its scripts', async () => {
    const limiter = redisRateLimiter(redis);
    const key = uniqueName();
    await limiter.take(key, 2, 60_000);
    await redis.script('FLUSH');
    expect(await limiter.take(key, 2, 60_000)).toMatchObject({ admitted: true, remaining: 0 });
  });
});
