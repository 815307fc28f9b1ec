/** Answers kept in the cache server, and found once for all who ask for the same thing at the same time. */
import type { CacheScope } from '@novax/contracts/cache-keys';
import { AppError } from '@novax/runtime/errors';
import type { CacheStore, CacheTrouble } from './cache.ts';

/** One answer: whose it is, what it is called, and how it is read back. */
export interface AnswerEntry<T> {
  readonly scope: Omit<CacheScope, 'generation'>;
  readonly key: (scope: CacheScope) => string;
  /** Throws for what is not such an answer, as for one of an earlier release. */
  readonly parse: (value: unknown) => T;
  readonly ttlMs: number;
  /** False for an answer that is good enough for whoever waits for it now and for nobody else. */
  readonly worthKeeping: (answer: T) => boolean;
}

/** Answers of organizations. Callers see to it that whoever asks may see the answer; see `through`. */
export interface Answers {
  /**
   * What was kept since the organization's last change, or else what `load` answers. Callers of one key in one process share one `load`, and
   * what it throws; a NOT_FOUND is of its own caller alone. Without the server an answer is at most as old as the `load` that found it is long.
   */
  through<T>(entry: AnswerEntry<T>, load: () => Promise<T>): Promise<T>;
  /** From now on nothing is answered that was found before. Never rejects; see `CacheStore.bump`. */
  changed(organizationId: string): Promise<void>;
}

/** Where an answer came from: the server, or a load of another caller in this process. */
type Counted = (tier: 'redis' | 'process', result: 'hit' | 'miss' | CacheTrouble) => void;

interface Flight {
  readonly organizationId: string;
  readonly answer: Promise<unknown>;
}

/** Answers in `store`; each one is counted. */
export function createAnswers(store: CacheStore, counted: Counted): Answers {
  /** Loads under way by what they are called, each until its answer is kept as well. */
  const flights = new Map<string, Flight>();

  function fly<T>(
    names: readonly string[],
    organizationId: string,
    find: () => Promise<{ answer: T; keep?: () => Promise<void> }>,
  ): Promise<T> {
    const found = find();
    const answer = found.then((it) => it.answer);
    const flight = { organizationId, answer };
    for (const name of names) flights.set(name, flight);
    const kept = found.then(({ keep }) => keep?.());
    const land = (): void => names.forEach((name) => flights.get(name) === flight && flights.delete(name));
    void kept.catch(() => undefined).finally(land);
    return answer;
  }

  async function find<T>(key: string, entry: AnswerEntry<T>, load: () => Promise<T>) {
    const found = await store.read(key);
    const known = typeof found === 'string' || found.text === null ? null : parsed(found.text, key, entry.parse);
    if (known !== null) {
      counted('redis', 'hit');
      return known;
    }
    counted('redis', typeof found === 'string' ? found : 'miss');
    const answer = await load();
    const keep = (): Promise<void> => store.write(key, JSON.stringify({ key, answer }), entry.ttlMs);
    return entry.worthKeeping(answer) ? { answer, keep } : { answer };
  }

  return {
    async through<T>(entry: AnswerEntry<T>, load: () => Promise<T>) {
      const { organizationId } = entry.scope;
      // Asked for before anything is loaded: what a change overtakes is kept under a generation that nobody asks for any more.
      const generation = await store.generation(organizationId);
      const known = typeof generation === 'number';
      const key = entry.key({ ...entry.scope, generation: known ? generation : 0 });
      // Whoever was told no generation shares also what was begun under one, so that a server that fails now makes nobody search anew.
      const anyGeneration = entry.key({ ...entry.scope, generation: 0 });
      const flight = flights.get(known ? key : anyGeneration);
      if (flight === undefined) {
        if (known) return fly([key, anyGeneration], organizationId, () => find(key, entry, load));
        counted('redis', generation);
        return fly([anyGeneration], organizationId, async () => ({ answer: await load() }));
      }
      counted('process', 'hit');
      try {
        // A key is of one kind of entry, so what is on its way under it is what this caller asks for.
        return (await flight.answer) as T;
      } catch (thrown) {
        // The first caller has lost sight of the organization; the others have not.
        if (thrown instanceof AppError && thrown.code === 'NOT_FOUND') return load();
        throw thrown;
      }
    },
    async changed(organizationId) {
      // What is on its way must not answer the change's author, whether or not the server hears of it.
      for (const [name, flight] of flights) if (flight.organizationId === organizationId) flights.delete(name);
      await store.bump(organizationId);
    },
  };
}

/** The answer in a kept text; null for one of another key, for garbage and for another release's. */
function parsed<T>(text: string, key: string, parse: (value: unknown) => T): { readonly answer: T } | null {
  try {
    const kept: unknown = JSON.parse(text);
    if (typeof kept !== 'object' || kept === null || !('key' in kept) || kept.key !== key || !('answer' in kept))
      return null;
    return { answer: parse(kept.answer) };
  } catch {
    return null;
  }
}
