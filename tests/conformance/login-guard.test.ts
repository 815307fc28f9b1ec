/** The port that makes guessing slow, on the fake and on the real server. */
import { cacheKeys } from '@novax/contracts/cache-keys';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { fakeLoginGuard } from '@novax/adapters/fakes/login-guard';
import { redisLoginGuard, type LoginGuardOptions } from '@novax/adapters/login-guard';
import type { LoginGuard, SignInTry } from '@novax/domain/ports';
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

const tries: LoginGuardOptions['tries'] = { account: 3, network: 10 };

interface Kind {
  readonly guard: LoginGuard;
  /** Lets time pass for whatever this attempt is counted under. */
  readonly pass: (attempt: SignInTry, ms: number) => Promise<void>;
}

const kinds: Record<string, () => Kind> = {
  fake: () => {
    const clock = { at: 1_000_000, now: () => new Date(clock.at) };
    return { guard: fakeLoginGuard(clock, { tries }), pass: async (_, ms) => void (clock.at += ms) };
  },
  // The server's clock cannot be moved, so what it wrote is moved into the past.
  valkey: () => ({
    guard: redisLoginGuard(redis, { tries }),
    pass: async ({ account, network }, ms) => {
      const counters = [
        cacheKeys.signInAccount(account),
        cacheKeys.signInKnown(account, network),
        cacheKeys.signInNetwork(network),
      ];
      for (const key of counters) {
        if ((await redis.exists(key)) === 0) continue;
        for (const field of ['at', 'until']) await redis.hincrbyfloat(key, field, -ms);
      }
    },
  }),
};

const attempt = (changes: Partial<SignInTry> = {}): SignInTry => ({
  account: uniqueName(),
  network: uniqueName(),
  ...changes,
});

describe.each(Object.entries(kinds))('login guard: %s', (_, make) => {
  /** The waits that follow each of so many failures, in seconds, every one waited out; networks differ each time. */
  async function waits({ guard, pass }: Kind, account: string, failures: number): Promise<number[]> {
    const seen: number[] = [];
    for (let n = 0; n < failures; n++) {
      const next = attempt({ account });
      expect((await guard.begin(next)).admitted).toBe(true);
      const { admitted, retryAfterMs } = await guard.begin(attempt({ account }));
      if (admitted) seen.push(0);
      else {
        seen.push(Math.round(retryAfterMs / 1000));
        await pass(next, retryAfterMs + 1);
      }
    }
    return seen;
  }

  test('three failures of an account are free; then the wait is 1 s, doubles, and ends at 15 minutes', async () => {
    const kind = make();
    const account = uniqueName();
    for (let n = 0; n < 2; n++) expect((await kind.guard.begin(attempt({ account }))).admitted).toBe(true);
    expect(await waits(kind, account, 12)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
  });

  test('a refused try counts for nothing: the wait ends on time however often it is asked', async () => {
    const { guard, pass } = make();
    const one = attempt();
    for (let n = 0; n < 5; n++) {
      await guard.begin(one);
      if (n >= 2) await pass(one, 2 ** (n - 2) * 1000 + 1);
    }
    await guard.begin(one);
    const first = await guard.begin(one);
    for (let n = 0; n < 20; n++) await guard.begin(one);
    const last = await guard.begin(one);
    expect(first.retryAfterMs - last.retryAfterMs).toBeGreaterThanOrEqual(0);
    await pass(one, last.retryAfterMs + 1);
    expect((await guard.begin(one)).admitted).toBe(true);
  });

  test('of 200 simultaneous tries at one account from as many networks three are looked at', async () => {
    const { guard } = make();
    const account = uniqueName();
    const decisions = await Promise.all(Array.from({ length: 200 }, () => guard.begin(attempt({ account }))));
    expect(decisions.filter(({ admitted }) => admitted)).toHaveLength(3);
  });

  test('a network that tries many accounts waits after ten failures, and is forgiven one every six minutes', async () => {
    const { guard, pass } = make();
    const network = uniqueName();
    for (let n = 0; n < 10; n++) expect((await guard.begin(attempt({ network }))).admitted).toBe(true);
    const held = attempt({ network });
    const { admitted, retryAfterMs } = await guard.begin(held);
    expect(admitted).toBe(false);
    expect(retryAfterMs).toBeLessThanOrEqual(1_000);
    await pass(held, 6 * 60_000 + 1_000);
    const later = [];
    for (let n = 0; n < 4; n++) later.push((await guard.begin(attempt({ network }))).admitted);
    expect(later).toEqual([true, false, false, false]);
  });

  test('a right password takes its own count back and leaves the network what strangers failed there', async () => {
    const { guard } = make();
    const network = uniqueName();
    for (let n = 0; n < 9; n++) await guard.begin(attempt({ network }));
    for (let n = 0; n < 5; n++) {
      const right = attempt({ network });
      expect((await guard.begin(right)).admitted).toBe(true);
      await guard.succeeded(right);
    }
    expect((await guard.begin(attempt({ network }))).admitted).toBe(true);
    expect((await guard.begin(attempt({ network }))).admitted).toBe(false);
  });

  test('a network from which the account signed in has a count of its own, and its success leaves the strangers theirs', async () => {
    const { guard } = make();
    const home = attempt();
    await guard.begin(home);
    await guard.succeeded(home);
    const stranger = (): SignInTry => attempt({ account: home.account });
    for (let n = 0; n < 3; n++) expect((await guard.begin(stranger())).admitted).toBe(true);
    expect((await guard.begin(stranger())).admitted).toBe(false);
    expect((await guard.begin(home)).admitted).toBe(true);
    await guard.succeeded(home);
    expect((await guard.begin(stranger())).admitted).toBe(false);
    // It is no way around the wait either.
    for (let n = 0; n < 3; n++) expect((await guard.begin(home)).admitted).toBe(true);
    expect((await guard.begin(home)).admitted).toBe(false);
  });

  test('an account that is cleared starts anew, and the network it was cleared from is known', async () => {
    const { guard } = make();
    const { account } = attempt();
    for (let n = 0; n < 3; n++) await guard.begin(attempt({ account }));
    const owner = attempt({ account });
    expect((await guard.begin(owner)).admitted).toBe(false);
    await guard.cleared(owner);
    // Strangers use the fresh tries up at once; the owner is not among them.
    for (let n = 0; n < 5; n++) await guard.begin(attempt({ account }));
    expect((await guard.begin(owner)).admitted).toBe(true);
  });

  test('accounts do not share a count', async () => {
    const { guard } = make();
    const account = uniqueName();
    for (let n = 0; n < 4; n++) await guard.begin(attempt({ account }));
    expect((await guard.begin(attempt())).admitted).toBe(true);
  });
});

test('10,000 guesses an hour from 100 addresses at one account are looked at 20 times at most, hour after hour', async () => {
  const clock = { at: 0, now: () => new Date(clock.at) };
  const guard = fakeLoginGuard(clock, { tries });
  const networks = Array.from({ length: 100 }, () => uniqueName());
  const evaluated: number[] = [];
  for (let hour = 0; hour < 3; hour++) {
    let looked = 0;
    for (let guess = 0; guess < 10_000; guess++) {
      const { admitted } = await guard.begin({ account: 'victim', network: networks[guess % 100] ?? '' });
      if (admitted) looked += 1;
      clock.at += 360;
    }
    evaluated.push(looked);
  }
  process.stdout.write(`guesses looked at per account-hour of 10,000 from 100 addresses: ${evaluated.join(', ')}\n`);
  for (const looked of evaluated) expect(looked).toBeLessThanOrEqual(20);
});

describe('login guard: on the server', () => {
  test('a server that is away is an error, so that the caller can refuse', async () => {
    await using proxy = await tcpProxy(servers().queueRedisUrl);
    const behind = await connectRedis({ url: proxy.url, log: quiet, name: 'test', mode: 'fail-fast' });
    const guard = redisLoginGuard(behind, { tries });
    await guard.begin(attempt());
    proxy.cut();
    await expect(guard.begin(attempt())).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await closeRedis(behind);
  });

  test('counts survive a server that forgot its scripts, and are gone a day later', async () => {
    const guard = redisLoginGuard(redis, { tries });
    const one = attempt();
    await guard.begin(one);
    await redis.script('FLUSH');
    await guard.begin(one);
    const left = await redis.ttl(cacheKeys.signInAccount(one.account));
    expect(left).toBeGreaterThan(86_000);
    expect(left).toBeLessThanOrEqual(86_400);
    expect(await redis.hget(cacheKeys.signInAccount(one.account), 'n')).toBe('2.000');
  });
});
