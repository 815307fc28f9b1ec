/** The revocation feed: what sessions have ended anywhere, asked of PostgreSQL by every API process, whoever ended them. */
import { revokedSessions } from '@novax/db/queries/sessions';
import type { ReadLane } from '@novax/db/read-lane';
import type { SessionCache } from '@novax/domain/ports';
import { pause } from '@novax/runtime/clock';
import type { Logger } from '@novax/runtime/log';
import { LRUCache } from 'lru-cache';

/** Time from one look to the next, milliseconds. */
const everyMs = 400;
/** A look that began longer ago than this may have missed an end that is a second old by the time its caller is let in. */
const freshMs = 900;
/**
 * How far each look goes back behind the one before, seconds: a session is stamped before its transaction commits, and may show up that much later. A role that serves
 * callers has 5 s for a statement, 1 s for a lock and 10 s between statements (`infra/images/postgres/bootstrap.sql`).
 */
const overlapS = 20;
/** How long a copy of a session can lie in the cache without being used, seconds, and some: so far back the first look goes, and so long an end is remembered. */
const copyLifeS = 3_660;
const rememberedMax = 100_000;

export interface Revocations {
  /** True while the feed has looked within the second: only then may a copy of a session be believed. */
  readonly fresh: boolean;
  /** True for a session known to have ended. */
  ended(sidHash: string): boolean;
  /** Notes an end this process has just made, so that it need not wait for the next look. */
  note(sidHash: string): void;
  /** Starts looking; resolves after the first look, successful or not. */
  start(): Promise<void>;
  stop(): void;
}

/**
 * A feed over one lane. What it learns of is removed from the cache of all processes too, again and again until that succeeded; until then, and
 * for as long as a copy could live, `ended` answers true whatever the cache holds. `onEnded` hears each end once.
 */
export function createRevocations(parts: {
  readonly lane: ReadLane;
  readonly sessions: SessionCache;
  readonly log: Logger;
  readonly onEnded: (sidHash: string) => void;
}): Revocations {
  const { lane, sessions, log, onEnded } = parts;
  const known = new LRUCache<string, true>({ max: rememberedMax, ttl: copyLifeS * 1000 });
  /** Ends whose copy in the cache may still be there, and when it is gone by itself. */
  const unremoved = new Map<string, number>();
  const stopping = new AbortController();
  let lookedAt = Number.NEGATIVE_INFINITY;
  /** The database's clock at the last look, as text that keeps its microseconds. */
  let seenTo: string | null = null;
  let removing = false;
  let failing = false;

  function note(sidHash: string): void {
    if (known.has(sidHash)) return;
    known.set(sidHash, true);
    unremoved.set(sidHash, performance.now() + copyLifeS * 1000);
    onEnded(sidHash);
  }

  async function look(): Promise<void> {
    const began = performance.now();
    const lookBackS = seenTo === null ? copyLifeS : overlapS;
    const [row] = await lane.read({ userId: null, orgId: null }, revokedSessions, [seenTo, lookBackS]);
    if (row === undefined) return;
    for (const sidHash of row.sid_hashes) note(sidHash);
    seenTo = row.at;
    lookedAt = began;
  }

  async function lookOnce(): Promise<void> {
    try {
      await look();
      if (failing) log.info('the revocation feed looks again');
      failing = false;
    } catch (err) {
      if (!failing) log.warn({ err }, 'the revocation feed cannot look; sessions are checked in PostgreSQL');
      failing = true;
    }
    // Beside the looks: a cache that takes its time to fail must not hold up the next one.
    if (!removing) void removeCopies();
  }

  async function removeCopies(): Promise<void> {
    removing = true;
    try {
      for (const [sidHash, goneAt] of unremoved) {
        if (goneAt > performance.now()) await sessions.remove(sidHash);
        unremoved.delete(sidHash);
      }
    } catch {
      // The cache is away: `ended` answers for it, and the next look tries again.
    } finally {
      removing = false;
    }
  }

  async function run(): Promise<void> {
    let began = performance.now();
    for (;;) {
      await pause(Math.max(began + everyMs - performance.now(), 0), stopping.signal);
      if (stopping.signal.aborted) return;
      began = performance.now();
      await lookOnce();
    }
  }

  return {
    get fresh() {
      return performance.now() - lookedAt <= freshMs;
    },
    ended: (sidHash) => known.has(sidHash) || unremoved.has(sidHash),
    note,
    async start() {
      await lookOnce();
      void run();
    },
    stop: () => stopping.abort(),
  };
}
