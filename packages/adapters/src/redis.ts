/** Connections to Valkey or Redis: bounded waits, quiet error handling, and the check that a server may not evict what it must keep. */
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { pause } from '@novax/runtime/clock';
import { Redis, type RedisOptions } from 'ioredis';
import { throttled } from './throttled.ts';

/** What a server does when its memory is full: queues, sessions and limits need `noeviction`, a cache needs `allkeys-lru`. */
export type MemoryPolicy = 'noeviction' | 'allkeys-lru';

export interface RedisConnectOptions {
  readonly url: string;
  readonly log: Logger;
  /** Shown by `CLIENT LIST`. */
  readonly name: string;
  /**
   * `fail-fast`: a command ends within `commandTimeoutMs`, at once while the server is away.
   * `patient`: a command waits for the server to come back, as blocking workers need.
   */
  readonly mode: 'fail-fast' | 'patient';
  /** Milliseconds before a command of a fail-fast connection is given up. */
  readonly commandTimeoutMs?: number;
  /** Milliseconds to keep trying the first connection. */
  readonly connectWithinMs?: number;
  /** Asked after each lost connection; with false the connection ends for good. */
  readonly keepTrying?: () => boolean;
}

/** Connects and waits until the server answers; later losses are mended for ever. Throws DEPENDENCY_UNAVAILABLE. */
export async function connectRedis(options: RedisConnectOptions): Promise<Redis> {
  const redis = new Redis(options.url, connectionOptions(options));
  const warn = throttled(1000, (err: Error) =>
    options.log.warn({ err, connection: options.name }, 'redis connection trouble'),
  );
  let last: Error | undefined;
  redis.on('error', (error: Error) => {
    last = error;
    warn(error);
  });
  const ready = new Promise<'ready'>((resolve) => redis.once('ready', () => resolve('ready')));
  // The first attempt may be refused; reconnection goes on by itself, so only the deadline below decides.
  redis.connect().catch(() => undefined);
  const giveUp = new AbortController();
  const outcome = await Promise.race([ready, pause(options.connectWithinMs ?? 10_000, giveUp.signal)]);
  giveUp.abort();
  if (outcome === 'ready') return redis;
  redis.disconnect();
  throw unavailable(last ?? new Error('no answer'), 'redis does not answer');
}

function connectionOptions(options: RedisConnectOptions): Omit<RedisOptions, 'replyMapping'> {
  const failFast = options.mode === 'fail-fast';
  return {
    lazyConnect: true,
    connectionName: options.name,
    connectTimeout: 2000,
    keepAlive: 10_000,
    retryStrategy: (times) =>
      options.keepTrying?.() === false
        ? null
        : Math.min(50 * 2 ** Math.min(times, 5), 1000) * (0.75 + Math.random() / 2),
    // After a failover the old primary answers READONLY: reconnect, and send the command again.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
    enableOfflineQueue: !failFast,
    maxRetriesPerRequest: failFast ? 0 : null,
    ...(failFast ? { commandTimeout: options.commandTimeoutMs ?? 2000 } : {}),
  };
}

/** Ends a connection politely, or at once when the server is away. Never throws. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => undefined);
  redis.disconnect();
}

/**
 * Resolves once a connection that is waiting to reconnect is up again, or has ended because `keepTrying` says so. Closing it before would
 * never finish: the client forgets its reconnection without ending.
 */
export async function settledRedis(redis: Redis): Promise<void> {
  if (redis.status !== 'reconnecting') return;
  await new Promise<void>((resolve) => {
    redis.once('ready', resolve);
    redis.once('end', resolve);
  });
}

/** Throws INTERNAL when the server's `maxmemory-policy` is another one, DEPENDENCY_UNAVAILABLE when it does not answer. */
export async function assertPolicy(redis: Redis, wanted: MemoryPolicy): Promise<void> {
  const found = await redisCall(() => memoryPolicy(redis));
  if (found === wanted) return;
  const why =
    wanted === 'noeviction'
      ? 'it would silently drop jobs, sessions and rate windows when memory is full'
      : 'it would refuse writes instead of dropping old entries when memory is full';
  throw new AppError('INTERNAL', {
    detail: `the server at ${redis.options.host}:${redis.options.port} has maxmemory-policy ${found}; it must be ${wanted}: with ${found} ${why}. Mend: CONFIG SET maxmemory-policy ${wanted}`,
  });
}

async function memoryPolicy(redis: Redis): Promise<string> {
  try {
    const [, policy] = await redis.config('GET', 'maxmemory-policy');
    if (policy !== undefined) return policy;
  } catch (thrown) {
    // Hosted servers often forbid CONFIG; INFO says the same.
    if (!(thrown instanceof Error) || !/NOPERM|unknown command/i.test(thrown.message)) throw thrown;
  }
  return /maxmemory_policy:(\S+)/.exec(await redis.info('memory'))?.[1] ?? 'unknown';
}

/** Runs commands and turns lost connections and timeouts into DEPENDENCY_UNAVAILABLE; the server's own refusals pass as they are. */
export async function redisCall<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    if (
      thrown instanceof Error &&
      thrown.name === 'ReplyError' &&
      !/^(OOM|LOADING|READONLY|MASTERDOWN)/.test(thrown.message)
    )
      throw thrown;
    throw unavailable(thrown, 'redis call failed');
  }
}

function unavailable(cause: unknown, what: string): AppError {
  const detail = `${what}: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail });
}
