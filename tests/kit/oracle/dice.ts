/** Chance that can be had again: the same seed, the same throws. */

export interface Dice {
  /** A whole number from 0 to below `n`. */
  below(n: number): number;
  /** True once in `n` throws. */
  once(n: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** A uuid of version 4. */
  uuid(): string;
}

/** Dice of a seed (mulberry32: small, and good enough to choose rows). */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (n: number): number => Math.floor(next() * n);
  const hex = (digits: number): string => Array.from({ length: digits }, () => below(16).toString(16)).join('');
  return {
    below,
    once: (n) => below(n) === 0,
    pick: (items) => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`,
  };
}
