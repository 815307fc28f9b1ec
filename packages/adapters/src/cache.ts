/** The cache on Valkey or Redis: every call is bounded to a moment, and a server that was slow or away is left alone for a while. */
import { randomInt } from 'node:crypto';
import { cacheKeys } from '@novax/contracts/cache-keys';
import type { CacheStore, CacheTrouble } from '@novax/domain/cache';
import { type Clock, pause, systemClock } from '@novax/runtime/clock';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import type { Redis } from 'ioredis';
import { createBreaker } from './breaker.ts';
import { assertPolicy, closeRedis, connectRedis } from './redis.ts';
import { throttled } from './throttled.ts';

export interface CacheOptions {
  readonly url: string;
  readonly log: Logger;
  /** Shown by `CLIENT LIST`. */
  readonly name: string;
  readonly clock?: Clock;
  /** Longest one call may take, milliseconds; what it costs to ask a slow server. */
  readonly answerMs: number;
  /** Milliseconds to wait for the server at the start, before going on without it. */
  readonly connectWithinMs?: number;
}

export interface KeptCache extends CacheStore {
  /** Throws DEPENDENCY_UNAVAILABLE while the server is left alone. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** How long a server that failed is left alone, milliseconds: at first, and at most. */
const alone = { baseMs: 1_000, capMs: 10_000 };
/** Longest time between two tries to reach a server that was away at the start, milliseconds. */
const attachMs = 5_000;
/** How long a counter is kept; a lost one costs the organization's answers, and no more. */
const generationTtlMs = 24 * 60 * 60 * 1000;
/** Organizations whose change the server was not told of, at most; beyond that their answers live until their time is over. */
const owedMax = 10_000;
/** Changes told at a time to a server that is back. */
const tellAtOnce = 100;

/**
 * Connects within `connectWithinMs`, or goes on trying in the background. Throws INTERNAL for a server that would refuse writes when it is full,
 * instead of dropping what is old; one that shows up later is not used until that is mended.
 */
export async function connectCache(options: CacheOptions): Promise<KeptCache> {
  const { log, answerMs } = options;
  const clock = options.clock ?? systemClock;
  const stopping = new AbortController();
  /** Organizations that changed while the server was no help. */
  const owed = new Set<string>();
  let redis: Redis | undefined;

  const attach = async (connectWithinMs: number): Promise<void> => {
    const { url, name } = options;
    const made = await connectRedis({ url, name, log, mode: 'fail-fast', connectWithinMs });
    try {
      await assertPolicy(made, 'allkeys-lru');
    } catch (thrown) {
      await closeRedis(made);
      throw thrown;
    }
    if (stopping.signal.aborted) return closeRedis(made);
    redis = made;
  };
  const breaker = createBreaker({
    ...alone,
    async probe() {
      if (redis === undefined) throw new Error('not connected');
      const server = redis;
      await answered(answerMs, server.ping()).catch((thrown: unknown) => {
        forsake(server, thrown);
        throw thrown;
      });
    },
    onChange(open) {
      if (open) return;
      log.info('the cache server answers again');
      void tellOwed();
    },
  });
  const warn = throttled(1000, (err: unknown) =>
    log.warn({ err }, 'the cache server is no help; answers are found without it for a while'),
  );

  /** What the server says to `work`, or why it says nothing. */
  async function ask<T>(work: (server: Redis) => Promise<T>): Promise<T | CacheTrouble> {
    if (redis === undefined || breaker.open) return 'skipped';
    const server = redis;
    try {
      return await answered(answerMs, work(server));
    } catch (thrown) {
      if (!stopping.signal.aborted) warn(thrown);
      if (!breaker.open) forsake(server, thrown);
      breaker.trip();
      return 'error';
    }
  }

  async function tell(organizationId: string): Promise<number | CacheTrouble> {
    const generation = await ask((server) => nextGeneration(server, organizationId, clock));
    if (typeof generation === 'number') owed.delete(organizationId);
    else if (owed.size < owedMax) owed.add(organizationId);
    return generation;
  }

  async function tellOwed(): Promise<void> {
    const all = [...owed];
    for (let at = 0; at < all.length && !breaker.open; at += tellAtOnce)
      await Promise.all(all.slice(at, at + tellAtOnce).map(tell));
  }

  try {
    await attach(options.connectWithinMs ?? 1_000);
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'DEPENDENCY_UNAVAILABLE') throw thrown;
    log.warn({ err: thrown }, 'no cache server yet; going on without');
    void attachLater();
  }

  async function attachLater(): Promise<void> {
    while (redis === undefined && !stopping.signal.aborted) {
      try {
        await attach(attachMs);
        await tellOwed();
      } catch (err) {
        warn(err);
        await pause(attachMs, stopping.signal);
      }
    }
  }

  return {
    generation: (organizationId) =>
      owed.has(organizationId)
        ? tell(organizationId)
        : ask((server) => currentGeneration(server, organizationId, clock)),
    read: (key) => ask(async (server) => ({ text: await textAt(server, key) })),
    async write(key, text, ttlMs) {
      await ask((server) => server.set(key, text, 'PX', ttlMs));
    },
    async bump(organizationId) {
      await tell(organizationId);
    },
    async ping() {
      const said = await ask((server) => server.ping());
      if (said !== 'PONG') throw new AppError('DEPENDENCY_UNAVAILABLE', { detail: `cache server: ${said}` });
    },
    async close() {
      stopping.abort();
      breaker.stop();
      // One that does not answer is not waited for.
      if (breaker.open) redis?.disconnect();
      else if (redis !== undefined) await closeRedis(redis);
    },
  };
}

/** What `work` answers, if it does within `answerMs`. Throws TIMEOUT. */
function answered<T>(answerMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new AppError('TIMEOUT', { detail: `no answer within ${answerMs} ms` }));
    // One more turn of the loop: where this process was busy itself, the answer lies in the socket already.
    const timer = setTimeout(() => setImmediate(late), answerMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** A connection that owes an answer is used no more, so that no later answer can be taken for the one that is missing; it is made anew. */
function forsake(server: Redis, thrown: unknown): void {
  if (thrown instanceof AppError && thrown.code === 'TIMEOUT') server.disconnect(true);
}

/** A number that no counter ever had: microseconds of the clock, which no counter outruns, the last three of them by chance. */
function unusedGeneration(clock: Clock): number {
  return clock.now().getTime() * 1000 + randomInt(1000);
}

async function currentGeneration(server: Redis, organizationId: string, clock: Clock): Promise<number> {
  const key = cacheKeys.generation(organizationId);
  const found = await textAt(server, key);
  if (found !== null) return generationOf(found) ?? renewed(server, key, clock);
  // Whoever comes first decides, and everybody reads what that was.
  const replies = await server.multi().set(key, unusedGeneration(clock), 'PX', generationTtlMs, 'NX').get(key).exec();
  return generationOf(replies?.[1]?.[1]) ?? renewed(server, key, clock);
}

async function nextGeneration(server: Redis, organizationId: string, clock: Clock): Promise<number> {
  const key = cacheKeys.generation(organizationId);
  const replies = await server.multi().set(key, unusedGeneration(clock), 'PX', generationTtlMs, 'NX').incr(key).exec();
  return generationOf(replies?.[1]?.[1]) ?? renewed(server, key, clock);
}

/** Puts a new counter in place of what is none. */
async function renewed(server: Redis, key: string, clock: Clock): Promise<number> {
  const generation = unusedGeneration(clock);
  await server.set(key, generation, 'PX', generationTtlMs);
  return generation;
}

function generationOf(reply: unknown): number | null {
  const generation = typeof reply === 'string' && /^\d+$/.test(reply) ? Number(reply) : reply;
  return typeof generation === 'number' && Number.isSafeInteger(generation) ? generation : null;
}

/** Null also for a value of another type, which the next write replaces. */
async function textAt(server: Redis, key: string): Promise<string | null> {
  try {
    return await server.get(key);
  } catch (thrown) {
    if (thrown instanceof Error && thrown.message.startsWith('WRONGTYPE')) return null;
    throw thrown;
  }
}
