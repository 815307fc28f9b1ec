/** Sessions in memory, with the same sliding time to live. */
import type { CachedSession, SessionCache } from '@novax/domain/ports';
import type { Clock } from '@novax/runtime/clock';
import { sessionTtlS } from '../sessions.ts';

/** A session cache that forgets by `clock`. */
export function fakeSessionCache(clock: Clock): SessionCache {
  const entries = new Map<string, { session: CachedSession; expiresAt: number }>();
  const expiry = (): number => clock.now().getTime() + sessionTtlS * 1000;
  return {
    async get(sidHash) {
      const entry = entries.get(sidHash);
      if (!entry || entry.expiresAt <= clock.now().getTime()) return null;
      entry.expiresAt = expiry();
      return { ...entry.session };
    },
    async set(sidHash, session) {
      entries.set(sidHash, { session: { ...session }, expiresAt: expiry() });
    },
    async remove(sidHash) {
      entries.delete(sidHash);
    },
  };
}
