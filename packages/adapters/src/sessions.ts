/** Signed-in sessions as Valkey hashes with a sliding time to live; PostgreSQL stays the truth. */
import { cacheKeys } from '@novax/contracts/cache-keys';
import type { CachedSession, SessionCache } from '@novax/domain/ports';
import type { ChainableCommander, Redis } from 'ioredis';
import { redisCall } from './redis.ts';

/** Seconds a session stays cached after its last use. */
export const sessionTtlS = 3600;

/** Sessions in `redis`; every method throws DEPENDENCY_UNAVAILABLE when the server is away. */
export function redisSessionCache(redis: Redis): SessionCache {
  return {
    async get(sidHash) {
      const key = cacheKeys.session(sidHash);
      // EXPIRE on an absent key does nothing, so one round trip reads and slides.
      const [fields] = await together(redis.multi().hgetall(key).expire(key, sessionTtlS));
      return sessionOf(fields);
    },
    async set(sidHash, session) {
      const key = cacheKeys.session(sidHash);
      await together(
        redis
          .multi()
          .del(key)
          .hset(key, { sessionId: session.sessionId, userId: session.userId })
          .expire(key, sessionTtlS),
      );
    },
    async remove(sidHash) {
      await redisCall(() => redis.del(cacheKeys.session(sidHash)));
    },
  };
}

/** Sends a transaction and throws the first refusal in it. */
function together(commands: ChainableCommander): Promise<unknown[]> {
  return redisCall(async () => {
    const replies = (await commands.exec()) ?? [];
    return replies.map(([error, value]) => {
      if (error) throw error;
      return value;
    });
  });
}

function sessionOf(fields: unknown): CachedSession | null {
  if (typeof fields !== 'object' || fields === null) return null;
  // HGETALL answers an object of strings, empty when the key is absent.
  const { sessionId, userId } = fields as Record<string, string | undefined>;
  return sessionId !== undefined && userId !== undefined ? { sessionId, userId } : null;
}
