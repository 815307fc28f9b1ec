/** A queue or cache server of a test's own, to be killed, emptied and filled up. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startServers } from '../../../apps/ops/src/stack/servers.ts';
import { eventually } from '../eventually.ts';

export interface OwnValkey extends AsyncDisposable {
  readonly url: string;
  readonly redis: Redis;
  /** Ends the server as by `kill -9` and resolves when it serves again from what its disk holds, which is nothing for a cache; false where it has no process here to be killed. */
  kill(): Promise<boolean>;
  /** Every key as it is now; the answer puts that state back in place of whatever is there then, as a restore does. */
  snapshot(): Promise<() => Promise<void>>;
}

/** Starts it as the product does: a queue server has everything on disk, written out every second. */
export async function ownValkey(role: 'valkey-queue' | 'valkey-cache' = 'valkey-queue'): Promise<OwnValkey> {
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'novax-valkey-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const server = stack.use(await startServers({ dir, durable: true, only: [role] }));
  const { QUEUE_REDIS_URL, CACHE_REDIS_URL } = server.endpoints;
  const url = role === 'valkey-queue' ? QUEUE_REDIS_URL : CACHE_REDIS_URL;
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  stack.defer(() => redis.disconnect());
  const owned = stack.move();
  const pid = (): number | undefined => server.statuses().find(({ state }) => state === 'ready')?.identity?.pid;
  return {
    url,
    redis,
    async kill() {
      const killed = pid();
      if (killed === undefined) return false;
      process.kill(killed, 'SIGKILL');
      await eventually(
        async () => {
          const now = pid();
          if (now === undefined || now === killed) throw new Error('it is not back yet');
          await redis.ping();
        },
        { timeoutMs: 20_000 },
      );
      return true;
    },
    async snapshot() {
      const keys = await redis.keys('*');
      const values = await Promise.all(keys.map(async (key) => [key, await redis.dumpBuffer(key)] as const));
      return async () => {
        await redis.flushall();
        for (const [key, value] of values) if (value !== null) await redis.restore(key, 0, value, 'REPLACE');
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
