/** Kept answers and their counters in memory. */
import type { CacheStore } from '@novax/domain/cache';
import type { Clock } from '@novax/runtime/clock';

export interface FakeCacheStore extends CacheStore {
  /** Drops the counter of an organization, as a server that needs its memory for something else. */
  evict(organizationId: string): void;
}

/** A cache that forgets by `clock`. */
export function fakeCacheStore(clock: Clock): FakeCacheStore {
  const texts = new Map<string, { readonly text: string; readonly expiresAt: number }>();
  const generations = new Map<string, number>();
  let highest = 0;
  const next = (organizationId: string): number => {
    highest += 1;
    generations.set(organizationId, highest);
    return highest;
  };
  return {
    generation: async (organizationId) => generations.get(organizationId) ?? next(organizationId),
    async read(key) {
      const kept = texts.get(key);
      return { text: kept === undefined || kept.expiresAt <= clock.now().getTime() ? null : kept.text };
    },
    async write(key, text, ttlMs) {
      texts.set(key, { text, expiresAt: clock.now().getTime() + ttlMs });
    },
    bump: async (organizationId) => void next(organizationId),
    evict: (organizationId) => void generations.delete(organizationId),
  };
}
