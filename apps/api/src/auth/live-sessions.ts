/** Whether a session is alive, asked at every call: a copy in this process, then one in the cache, then PostgreSQL, which is the truth. */
import { sessionByHash } from '@novax/db/queries/auth';
import type { ReadLane } from '@novax/db/read-lane';
import { secretHash } from '@novax/domain/auth/sessions';
import type { CachedSession, SessionCache } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { LRUCache } from 'lru-cache';
import { createRevocations, type Revocations } from './revocations.ts';

/** How long a process believes its own copy before it asks the cache, which keeps sessions that are in use, milliseconds. */
const beliefMs = 1_000;

export interface LiveSessions {
  /** The session of a secret id. Throws UNAUTHENTICATED when it is over; DEPENDENCY_UNAVAILABLE when nobody can tell. */
  of(sid: string): Promise<CachedSession & { readonly sidHash: string }>;
  /** Notes a session that this process has just ended: it is refused here from now on, elsewhere within a second. */
  ended(sidHash: string): void;
  start(): Promise<void>;
  stop(): void;
}

/**
 * Copies are believed only while the revocation feed is fresh, so that a session is dead everywhere within a second of its end, whoever ended it and
 * whatever the cache does. `lane` answers calls; `feedLane` is the feed's own, so that no call can hold it up.
 */
export function createLiveSessions(parts: {
  readonly lane: ReadLane;
  readonly feedLane: ReadLane;
  readonly sessions: SessionCache;
  readonly log: Logger;
}): LiveSessions {
  const { lane, feedLane, sessions, log } = parts;
  const believed = new LRUCache<string, CachedSession>({ max: 10_000, ttl: beliefMs });
  const revocations: Revocations = createRevocations({
    lane: feedLane,
    sessions,
    log,
    onEnded: (sidHash) => void believed.delete(sidHash),
  });

  function refuseEnded(sidHash: string): void {
    if (revocations.ended(sidHash)) throw over();
  }

  async function find(sidHash: string): Promise<CachedSession> {
    refuseEnded(sidHash);
    if (!revocations.fresh) return stored(sidHash);
    const near = believed.get(sidHash);
    if (near !== undefined) return near;
    const cached = await sessions.get(sidHash).catch(() => null);
    // A cache that took its time may have outlasted the feed.
    const found = cached === null || !revocations.fresh ? await stored(sidHash) : cached;
    if (cached === null) await keep(sidHash, found);
    // The feed may have heard of its end while others were asked.
    refuseEnded(sidHash);
    believed.set(sidHash, found);
    return found;
  }

  /** Lays a copy into the cache, and asks again now that it is there: an end before it had nothing to remove, and the copy would outlive it. */
  async function keep(sidHash: string, found: CachedSession): Promise<void> {
    const kept = await sessions.set(sidHash, found).then(
      () => true,
      () => false,
    );
    if (!kept) return;
    await stored(sidHash).catch((thrown: unknown) => {
      if (thrown instanceof AppError && thrown.code === 'UNAUTHENTICATED') revocations.note(sidHash);
      void sessions.remove(sidHash).catch(() => undefined);
      throw thrown;
    });
  }

  async function stored(sidHash: string): Promise<CachedSession> {
    const [row] = await lane.read({ userId: null, orgId: null }, sessionByHash, [Buffer.from(sidHash, 'hex')]);
    const live =
      row !== undefined &&
      row.revoked_at === null &&
      row.user_status === 'active' &&
      new Date(row.expires_at).getTime() > Date.now();
    if (!live) throw over();
    return { sessionId: row.session_id, userId: row.user_id };
  }

  return {
    async of(sid) {
      const sidHash = secretHash(sid).toString('hex');
      return { ...(await find(sidHash)), sidHash };
    },
    ended: (sidHash) => revocations.note(sidHash),
    start: () => revocations.start(),
    stop: () => revocations.stop(),
  };
}

function over(): AppError {
  return new AppError('UNAUTHENTICATED', { detail: 'the session is over' });
}
