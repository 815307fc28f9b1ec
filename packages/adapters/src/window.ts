/**
 * What is under way, numbered in the order in which it began.
 * An array and no Map: where entries come and go all the time, the tables that a Map has outgrown keep what they held alive until the next full collection,
 * and each small collection copies it (V8; a relay spent a fifth of its time on that).
 */
export interface Window<T> {
  /** Answers the entry's number. */
  add(entry: T): number;
  /** Removes an entry; undefined when it is not there any more. */
  take(number: number): T | undefined;
  /** Those that are there, oldest first, with their numbers. */
  entries(): (readonly [number: number, entry: T])[];
  oldest(): T | undefined;
}

/** Answered entries at the front at which the array is cut. */
const cutAt = 1_024;

/** A window with nothing under way. */
export function createWindow<T>(): Window<T> {
  const entries: (T | undefined)[] = [];
  /** Number of the first place. */
  let base = 0;
  /** Place of the oldest entry that is there. */
  let first = 0;
  return {
    add: (entry) => base + entries.push(entry) - 1,
    take(number) {
      const entry = entries[number - base];
      if (entry === undefined) return undefined;
      entries[number - base] = undefined;
      while (first < entries.length && entries[first] === undefined) first += 1;
      if (first >= cutAt) {
        entries.splice(0, first);
        base += first;
        first = 0;
      }
      return entry;
    },
    entries: () => entries.flatMap((entry, place) => (entry === undefined ? [] : [[base + place, entry] as const])),
    oldest: () => entries[first],
  };
}
