/** The cache port, on the fake and on the real server; and what is made of a real one that is away, slow or wrong. */
import { randomUUID } from 'node:crypto';
import { connectCache, type KeptCache } from '@novax/adapters/cache';
import { fakeCacheStore } from '@novax/adapters/fakes/cache';
import { cacheKeys } from '@novax/contracts/cache-keys';
import type { CacheStore } from '@novax/domain/cache';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { faultProxy, type FaultProxy } from '../kit/faults/proxy.ts';
import { servers } from '../kit/servers.ts';
import { quiet, uniqueName } from './unique.ts';

let redis: Redis;
let kept: KeptCache;
beforeAll(async () => {
  redis = new Redis(servers().cacheRedisUrl);
  kept = await connectCache({ url: servers().cacheRedisUrl, name: 'test', answerMs: 2_000, log: quiet });
});
afterAll(async () => {
  await kept.close();
  redis.disconnect();
});

interface Kind {
  readonly cache: CacheStore;
  /** Makes a text older. */
  readonly age: (key: string, ms: number) => Promise<unknown>;
  readonly evict: (organizationId: string) => Promise<unknown>;
}

const kinds = {
  fake(): Kind {
    const clock = { at: 0, now: () => new Date(clock.at) };
    const cache = fakeCacheStore(clock);
    return {
      cache,
      age: async (_, ms) => void (clock.at += ms),
      evict: async (organizationId) => cache.evict(organizationId),
    };
  },
  valkey: (): Kind => ({
    cache: kept,
    async age(key, ms) {
      const left = await redis.pttl(key);
      await (left > ms ? redis.pexpire(key, left - ms) : redis.del(key));
    },
    evict: (organizationId) => redis.del(cacheKeys.generation(organizationId)),
  }),
};

describe.each(Object.entries(kinds))('cache: %s', (_, make) => {
  test('a key without a text reads as null, one with a text as that, and a second text replaces it', async () => {
    const { cache } = make();
    const key = uniqueName();
    expect(await cache.read(key)).toEqual({ text: null });
    await cache.write(key, 'one', 60_000);
    expect(await cache.read(key)).toEqual({ text: 'one' });
    await cache.write(key, 'two', 60_000);
    expect(await cache.read(key)).toEqual({ text: 'two' });
  });

  test('a text is forgotten when its time is over', async () => {
    const { cache, age } = make();
    const key = uniqueName();
    await cache.write(key, 'one', 60_000);
    await age(key, 50_000);
    expect(await cache.read(key)).toEqual({ text: 'one' });
    await age(key, 10_001);
    expect(await cache.read(key)).toEqual({ text: null });
  });

  test('a generation stays until it is bumped, and belongs to its organization alone', async () => {
    const { cache } = make();
    const [one, other] = [randomUUID(), randomUUID()];
    const [first, untouched] = [await cache.generation(one), await cache.generation(other)];
    expect(first).toBeTypeOf('number');
    expect(await cache.generation(one)).toBe(first);
    await cache.bump(one);
    expect(await cache.generation(one)).not.toBe(first);
    expect(await cache.generation(other)).toBe(untouched);
  });

  test('no generation comes twice, though the counter is lost again and again, before a read or before a bump', async () => {
    const { cache, evict } = make();
    const organizationId = randomUUID();
    const seen: unknown[] = [];
    for (let turn = 0; turn < 20; turn++) {
      seen.push(await cache.generation(organizationId));
      await cache.bump(organizationId);
      seen.push(await cache.generation(organizationId));
      await evict(organizationId);
      if (turn % 2 === 0) await cache.bump(organizationId);
    }
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('all who ask for a lost generation at once are told the same', async () => {
    const { cache } = make();
    const organizationId = randomUUID();
    const told = await Promise.all(Array.from({ length: 50 }, () => cache.generation(organizationId)));
    expect(new Set(told).size).toBe(1);
  });
});

describe('cache: values of another type', () => {
  test('where a text should be: reads as null, and the next text replaces it', async () => {
    const key = uniqueName();
    await redis.rpush(key, 'a', 'list');
    expect(await kept.read(key)).toEqual({ text: null });
    await kept.write(key, 'one', 60_000);
    expect(await kept.read(key)).toEqual({ text: 'one' });
  });

  test.each([
    ['a list', (key: string) => redis.rpush(key, 'a', 'list')],
    ['words', (key: string) => redis.set(key, 'not a number')],
    ['a number out of range', (key: string) => redis.set(key, '9'.repeat(30))],
  ])('%s where the counter should be: replaced by a new one, by who reads and by who bumps', async (_, spoil) => {
    const organizationId = randomUUID();
    const key = cacheKeys.generation(organizationId);
    await spoil(key);
    const first = await kept.generation(organizationId);
    expect(first).toBeTypeOf('number');
    expect(await kept.generation(organizationId)).toBe(first);
    await redis.del(key);
    await spoil(key);
    await kept.bump(organizationId);
    const second = await kept.generation(organizationId);
    expect(second).toBeTypeOf('number');
    expect(second).not.toBe(first);
  });
});

describe('cache: a server that is no help', () => {
  const through = async (proxy: FaultProxy): Promise<KeptCache & AsyncDisposable> => {
    const cache = await connectCache({ url: proxy.url, name: 'test', answerMs: 300, log: quiet, connectWithinMs: 300 });
    return { ...cache, [Symbol.asyncDispose]: () => cache.close() };
  };
  const slow = { type: 'latency', latencyMs: 2_000 } as const;
  const spoilers = {
    'that is away': (proxy: FaultProxy) => proxy.down(),
    'that takes 2 s': (proxy: FaultProxy) => void proxy.poison(slow),
    'that swallows everything': (proxy: FaultProxy) => void proxy.poison({ type: 'timeout', timeoutMs: 0 }),
  };

  test.each(Object.entries(spoilers))(
    '%s costs one caller a moment and the others nothing, and is used again when it is well',
    { timeout: 30_000 },
    async (_, spoil) => {
      await using proxy = await faultProxy(servers().cacheRedisUrl);
      await using cache = await through(proxy);
      const organizationId = randomUUID();
      const before = await cache.generation(organizationId);
      spoil(proxy);
      const started = performance.now();
      expect(await cache.generation(organizationId)).toBe('error');
      const first = performance.now() - started;
      for (let call = 0; call < 100; call++) expect(await cache.generation(organizationId)).toBe('skipped');
      const rest = performance.now() - started - first;
      expect(first).toBeLessThan(1_000);
      expect(rest).toBeLessThan(300);
      proxy.mend();
      await eventually(async () => expect(await cache.generation(organizationId)).toBe(before), { timeoutMs: 15_000 });
    },
  );

  test(
    'that missed a change is told of it before anything of that organization is read again',
    { timeout: 30_000 },
    async () => {
      await using proxy = await faultProxy(servers().cacheRedisUrl);
      await using cache = await through(proxy);
      const organizationId = randomUUID();
      const before = await cache.generation(organizationId);
      proxy.down();
      await cache.bump(organizationId);
      expect(await kept.generation(organizationId)).toBe(before);
      proxy.mend();
      const after = await eventually(
        async () => {
          const found = await cache.generation(organizationId);
          expect(found).toBeTypeOf('number');
          return found;
        },
        { timeoutMs: 15_000 },
      );
      expect(after).not.toBe(before);
    },
  );

  test('that missed a change is told of it also by a process that reads nothing', { timeout: 30_000 }, async () => {
    await using proxy = await faultProxy(servers().cacheRedisUrl);
    await using cache = await through(proxy);
    const organizationId = randomUUID();
    const before = await kept.generation(organizationId);
    proxy.down();
    await cache.bump(organizationId);
    proxy.mend();
    await eventually(async () => expect(await kept.generation(organizationId)).not.toBe(before), {
      timeoutMs: 15_000,
    });
  });

  test('at the start is gone without, and used once it is there, with the changes it missed', async () => {
    await using proxy = await faultProxy(servers().cacheRedisUrl);
    const organizationId = randomUUID();
    const before = await kept.generation(organizationId);
    proxy.down();
    await using cache = await through(proxy);
    expect(await cache.generation(organizationId)).toBe('skipped');
    await expect(cache.ping()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await cache.bump(organizationId);
    proxy.mend();
    await eventually(async () => expect(await cache.generation(organizationId)).toBeTypeOf('number'), {
      timeoutMs: 15_000,
    });
    expect(await kept.generation(organizationId)).not.toBe(before);
    await cache.ping();
  });

  test('because it keeps what is old when it is full is refused, naming the setting', async () => {
    await expect(
      connectCache({ url: servers().queueRedisUrl, name: 'test', answerMs: 300, log: quiet }),
    ).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('allkeys-lru'),
    });
  });
});
