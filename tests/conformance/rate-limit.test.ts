/** The rate limiter port, on the fake and on the real server. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { redisRateLimiter } from '@novax/adapters/rate-limit';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { fakeRateLimiter } from '@novax/adapters/fakes/rate-limit';
import type { RateLimiter, RateWindow } from '@novax/domain/rate-limiter';
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

const windowOf = (limit: number, windowMs = 60_000, key = uniqueName()): RateWindow => ({ key, limit, windowMs });

describe.each(Object.entries(kinds))('rate limiter: %s', (_, make) => {
  test('admits the limit, counts down, then refuses and says how long to wait', async () => {
    const limiter = make();
    const window = windowOf(3);
    const taken = [];
    for (let call = 0; call < 4; call++) taken.push(await limiter.take([window]));
    expect(taken.map(({ admitted, remaining }) => [admitted, remaining])).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    for (const { limit, resetMs } of taken) {
      expect(limit).toBe(3);
      expect(resetMs).toBeGreaterThan(55_000);
      expect(resetMs).toBeLessThanOrEqual(60_000);
    }
  });

  test('admits exactly the limit of 300 simultaneous calls', async () => {
    const limiter = make();
    const window = windowOf(50);
    const taken = await Promise.all(Array.from({ length: 300 }, () => limiter.take([window])));
    expect(taken.filter(({ admitted }) => admitted)).toHaveLength(50);
  });

  test('subjects do not share a window', async () => {
    const limiter = make();
    const [one, other] = [windowOf(1), windowOf(1)];
    await limiter.take([one]);
    expect((await limiter.take([other])).admitted).toBe(true);
    expect((await limiter.take([one])).admitted).toBe(false);
  });

  test('a call that one window refuses is counted in none, and the refusing window is named', async () => {
    const limiter = make();
    const [wide, narrow] = [windowOf(10), windowOf(2)];
    for (let call = 0; call < 2; call++) await limiter.take([wide, narrow]);
    for (let call = 0; call < 20; call++)
      expect(await limiter.take([wide, narrow])).toMatchObject({
        admitted: false,
        tightest: 1,
        limit: 2,
        remaining: 0,
      });
    expect(await limiter.take([wide])).toMatchObject({ admitted: true, tightest: 0, remaining: 7 });
  });

  test('of the windows that admit, the one with the fewest calls left is named', async () => {
    const limiter = make();
    const [wide, narrow] = [windowOf(10), windowOf(5)];
    expect(await limiter.take([narrow, wide])).toMatchObject({ tightest: 0, limit: 5, remaining: 4 });
    for (let call = 0; call < 7; call++) await limiter.take([wide]);
    expect(await limiter.take([narrow, wide])).toMatchObject({ tightest: 1, limit: 10, remaining: 1 });
  });

  test('of the windows that refuse, the one to wait for longest is named', async () => {
    const limiter = make();
    const [minute, hour] = [windowOf(1), windowOf(1, 3_600_000)];
    await limiter.take([minute, hour]);
    const refused = await limiter.take([minute, hour]);
    expect(refused).toMatchObject({ admitted: false, tightest: 1 });
    expect(refused.resetMs).toBeGreaterThan(3_500_000);
  });

  test('a limit of zero admits nothing', async () => {
    expect(await make().take([windowOf(0, 1000)])).toMatchObject({ admitted: false, remaining: 0 });
  });

  test('a limit that was lowered counts the calls already made', async () => {
    const limiter = make();
    const window = windowOf(5);
    for (let call = 0; call < 5; call++) await limiter.take([window]);
    expect((await limiter.take([{ ...window, limit: 2 }])).admitted).toBe(false);
  });
});

describe('rate limiter: on the server', () => {
  test('a window leaves no key behind once it has passed', async () => {
    const window = windowOf(5, 50);
    await redisRateLimiter(redis).take([window]);
    expect(await redis.pttl(window.key)).toBeLessThanOrEqual(50);
    await eventually(async () => expect(await redis.exists(window.key)).toBe(0));
  });

  test('a window holds no more than its limit, and refused calls neither grow it nor keep it alive', async () => {
    const window = windowOf(7);
    const limiter = redisRateLimiter(redis);
    await Promise.all(Array.from({ length: 200 }, () => limiter.take([window])));
    expect(await redis.zcard(window.key)).toBe(7);
    const [size, until] = [await redis.memory('USAGE', window.key), await redis.pexpiretime(window.key)];
    await Promise.all(Array.from({ length: 200 }, () => limiter.take([window])));
    expect(await redis.memory('USAGE', window.key)).toBe(size);
    expect(await redis.pexpiretime(window.key)).toBe(until);
  });

  test('a server clock that was set back makes nobody wait longer than a window', async () => {
    const window = windowOf(2, 100);
    const limiter = redisRateLimiter(redis);
    const [seconds] = await redis.time();
    const ahead = (Number(seconds) + 3600) * 1_000_000;
    await redis.zadd(window.key, ahead, 'a', ahead + 1, 'b');
    const refused = await limiter.take([window]);
    expect(refused.admitted).toBe(false);
    expect(refused.resetMs).toBeLessThanOrEqual(100);
    await eventually(async () => expect((await limiter.take([window])).admitted).toBe(true));
  });

  test('limits survive a server that forgot its scripts', async () => {
    const limiter = redisRateLimiter(redis);
    const window = windowOf(2);
    await limiter.take([window]);
    await redis.script('FLUSH');
    expect(await limiter.take([window])).toMatchObject({ admitted: true, remaining: 0 });
  });

  test('three processes that make 500 calls at once are together admitted exactly the limit, ten times over', async () => {
    await using stack = new AsyncDisposableStack();
    const processes = await Promise.all([167, 167, 166].map(async (calls) => ({ calls, ...(await taker(stack)) })));
    const rounds: number[] = [];
    for (let round = 0; round < 10; round++) {
      const key = uniqueName();
      const admitted = await Promise.all(processes.map(({ calls, take }) => take(`${key} 100 60000 ${calls}`)));
      rounds.push(admitted.reduce((sum, count) => sum + count, 0));
    }
    process.stdout.write(`admitted of 500 at a limit of 100, ten rounds: ${rounds.join(' ')}\n`);
    expect(rounds).toEqual(Array.from({ length: 10 }, () => 100));
  });
});

/** A process that takes calls; the stack ends it. */
async function taker(stack: AsyncDisposableStack): Promise<{ take: (line: string) => Promise<number> }> {
  const file = fileURLToPath(new URL('rate-limit-worker.ts', import.meta.url));
  const child = spawn(process.execPath, [file, servers().queueRedisUrl], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  stack.defer(async () => {
    child.stdin.end();
    await ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the process ended early');
    return line.value;
  };
  expect(await next()).toBe('ready');
  return {
    async take(line) {
      child.stdin.write(`${line}\n`);
      return Number(await next());
    },
  };
}
