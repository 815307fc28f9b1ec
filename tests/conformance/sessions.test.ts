/** The session cache port, on the fake and on the real server. */
import { randomUUID } from 'node:crypto';
import { cacheKeys } from '@novax/contracts/cache-keys';
import type { SessionCache } from '@novax/domain/ports';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { redisSessionCache } from '@novax/adapters/sessions';
import { fakeSessionCache } from '@novax/adapters/fakes/sessions';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { servers } from '../kit/servers.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';
import { quiet, uniqueName } from './unique.ts';

let redis: Redis;
beforeAll(async () => {
  redis = await connectRedis({ url: servers().queueRedisUrl, log: quiet, name: 'test', mode: 'fail-fast' });
});
afterAll(() => closeRedis(redis));

/** Each kind makes its cache, and tells and moves the seconds an entry has left. */
const kinds = {
  fake: () => {
    const clock = { at: 0, now: () => new Date(clock.at) };
    return {
      cache: fakeSessionCache(clock),
      age: async (_: string, seconds: number) => void (clock.at += seconds * 1000),
    };
  },
  valkey: () => ({
    cache: redisSessionCache(redis),
    age: async (sid: string, seconds: number) => {
      const key = cacheKeys.session(sid);
      const left = await redis.ttl(key);
      await (left > seconds ? redis.expire(key, left - seconds) : redis.del(key));
    },
  }),
} satisfies Record<string, () => { cache: SessionCache; age: (sid: string, seconds: number) => Promise<unknown> }>;

describe.each(Object.entries(kinds))('session cache: %s', (_, make) => {
  const session = () => ({ sessionId: randomUUID(), userId: randomUUID() });

  test('an unknown session is null', async () => {
    expect(await make().cache.get(uniqueName())).toBeNull();
  });

  test('a stored session comes back as it was, and a second one replaces it', async () => {
    const { cache } = make();
    const sid = uniqueName();
    const [first, second] = [session(), session()];
    await cache.set(sid, first);
    expect(await cache.get(sid)).toEqual(first);
    await cache.set(sid, second);
    expect(await cache.get(sid)).toEqual(second);
  });

  test('a removed session is null, and removing it again does nothing', async () => {
    const { cache } = make();
    const sid = uniqueName();
    await cache.set(sid, session());
    await cache.remove(sid);
    await cache.remove(sid);
    expect(await cache.get(sid)).toBeNull();
  });

  test('an unused session is forgotten after 3600 s', async () => {
    const { cache, age } = make();
    const sid = uniqueName();
    await cache.set(sid, session());
    await age(sid, 3600);
    expect(await cache.get(sid)).toBeNull();
  });

  test('every use slides the time to live', async () => {
    const { cache, age } = make();
    const sid = uniqueName();
    const stored = session();
    await cache.set(sid, stored);
    for (let hour = 0; hour < 3; hour++) {
      await age(sid, 3000);
      expect(await cache.get(sid)).toEqual(stored);
    }
  });
});

describe('session cache: with the server away', () => {
  test.each(['cut', 'stall'] as const)(
    'calls fail with DEPENDENCY_UNAVAILABLE and work again afterwards (%s)',
    async (loss) => {
      await using proxy = await tcpProxy(servers().queueRedisUrl);
      const own = await connectRedis({
        url: proxy.url,
        log: quiet,
        name: 'test',
        mode: 'fail-fast',
        commandTimeoutMs: 200,
      });
      const cache = redisSessionCache(own);
      const sid = uniqueName();
      proxy[loss]();
      await expect(cache.get(sid)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
      await expect(cache.set(sid, { sessionId: sid, userId: sid })).rejects.toMatchObject({
        code: 'DEPENDENCY_UNAVAILABLE',
      });
      proxy.mend();
      await expect.poll(() => cache.get(sid).catch(() => 'away'), { timeout: 5000 }).not.toBe('away');
      await closeRedis(own);
    },
  );

  test('a server that never answers is reported within the connection time', async () => {
    await expect(
      connectRedis({ url: 'redis://127.0.0.1:9', log: quiet, name: 'test', mode: 'fail-fast', connectWithinMs: 300 }),
    ).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });
});
