/** The half of the relay that claims pending events and sends them. */
import type { LockedConnection } from '@novax/db/locked-connection';
import { shardCount } from '@novax/db/outbox';
import { claimPending } from '@novax/db/queries/relay';
import { pause } from '@novax/runtime/clock';
import { crashAt } from '@novax/runtime/crash';
import type { Bell } from './bell.ts';
import type { Flight } from './relay-flight.ts';
import type { StreamWatch } from './stream-watch.ts';

export interface ClaimParts {
  readonly flight: Flight;
  readonly bell: Bell;
  readonly watch: StreamWatch;
  /** Events claimed at a time; three times as many may be on their way. */
  readonly batch: number;
  /** Whether somebody said that the outbox has something new; remembered until taken, or an event committed meanwhile would wait out the idle time. */
  readonly news: { waits(): boolean; take(): boolean };
}

/** First part of the advisory locks' keys; the second is the shard. */
const lockClass = 0x6e6f7661; // "nova"
/** How often the stream is looked at when nothing is published. */
const checkEveryMs = 2_000;
/** How often a relay that lacks some shards tries for them. */
const locksEveryMs = 200;
/** Bytes of claimed events at most, as the database stores them; one larger event still goes, alone. */
const bytesMax = 16 * 1024 * 1024;
/** Shortest time between two looks that find little: a look costs the same whatever it finds. */
const lookMinMs = 1;
/** The same with no news, after a look that found something. */
const lookAgainMs = 20;
/** The longest with no news. */
const idleMaxMs = 1_000;
/** How often a look begins at the oldest event. */
const wholeEveryMs = 500;
/** The others begin behind what was claimed this long ago, or up to twice as long. */
const lagMs = 50;

/** Claims and sends until told to stop, or until a statement or the stream fails. */
export async function claimUntil(stop: AbortSignal, connection: LockedConnection, parts: ClaimParts): Promise<void> {
  const { flight, bell, watch, batch, news } = parts;
  let shards: readonly number[] = [];
  let [locksAt, checkAt, lookAt, waitMs] = [0, 0, 0, lookAgainMs];
  /** Events of the last look. */
  let found = 0;
  /** So many that there will be more. */
  const more = (): boolean => found >= batch / 2;
  const start = startOfLooks();
  const room = (): boolean => flight.size() <= 2 * batch && flight.bytes() < bytesMax;
  const due = (): boolean => room() && (more() || news.waits() || Date.now() >= lookAt);

  while (!stop.aborted) {
    if (shards.length < shardCount && Date.now() >= locksAt) {
      locksAt = Date.now() + locksEveryMs;
      const held = shards.length;
      shards = await connection.hold(lockClass, shardCount);
      if (shards.length > held) start.reset();
    }
    // Also when there is nothing to publish: a stream that was lost must not wait for the next event.
    if (shards.length > 0 && Date.now() >= checkAt) {
      checkAt = Date.now() + checkEveryMs;
      await watch.check(connection, shards);
    }
    if (shards.length === 0) await bell.wait(locksEveryMs, () => stop.aborted);
    else if (due()) {
      const began = Date.now();
      news.take();
      // After a full batch there is so much that a walk over what has gone does not matter.
      found = await claim(stop, connection, { flight, watch, shards, batch, start, whole: found >= batch });
      waitMs = found > 0 ? lookAgainMs : Math.min(waitMs * 2, idleMaxMs);
      lookAt = began + waitMs;
      const restMs = began + lookMinMs - Date.now();
      if (!more() && restMs > 0) await pause(restMs, stop);
    } else {
      const untilMs = Math.min(lookAt, checkAt, shards.length < shardCount ? locksAt : Infinity) - Date.now();
      // With no room a look may be overdue; then an answer or a mark rings.
      await bell.wait(Math.max(untilMs, room() ? 0 : lookAgainMs), () => stop.aborted || due());
    }
  }
}

/** Sends the next events of the shards held; answers how many the outbox had. */
async function claim(
  stop: AbortSignal,
  connection: LockedConnection,
  next: {
    readonly flight: Flight;
    readonly watch: StreamWatch;
    readonly shards: readonly number[];
    readonly batch: number;
    readonly start: StartOfLooks;
    /** Begin at the oldest event. */
    readonly whole: boolean;
  },
): Promise<number> {
  const { flight, watch, shards, batch, start, whole } = next;
  const [rows] = await Promise.all([
    connection.sql(claimPending, [
      `{${shards.join(',')}}`,
      batch,
      bytesMax - flight.bytes(),
      `{${flight.startClaim().join(',')}}`,
      whole ? 0 : start.next(),
    ]),
    watch.check(connection, shards),
  ]);
  const last = rows.at(-1);
  // Told to stop meanwhile, nobody may be left to mark them: they stay pending.
  if (last === undefined || stop.aborted) return 0;
  start.claimed(Number(last.id));
  crashAt('relay.after_claim');
  flight.admit(rows);
  crashAt('relay.after_publish');
  return rows.length;
}

interface StartOfLooks {
  /** The id behind which the next look begins. */
  next(): number;
  claimed(id: number): void;
  /** The next look begins at the oldest event. */
  reset(): void;
}

/**
 * Where looks begin. The index keeps an entry for every event that has gone until the table is vacuumed, and a look that began at the first would walk over
 * all of them. So looks begin behind what was claimed a while ago, and one every half second begins at the oldest: that one finds what was committed long
 * after it took its id, put off, freed or filled in again. Until then the statement leaves the later events of such an aggregate alone.
 */
function startOfLooks(): StartOfLooks {
  let [wholeAt, moveAt] = [0, 0];
  let [floor, before, highest] = [0, 0, 0];
  return {
    next() {
      const now = Date.now();
      if (now >= moveAt) {
        moveAt = now + lagMs;
        [floor, before] = [before, highest];
      }
      if (now < wholeAt) return floor;
      wholeAt = now + wholeEveryMs;
      return 0;
    },
    claimed: (id) => void (highest = Math.max(highest, id)),
    reset: () => void ([wholeAt, floor, before, highest] = [0, 0, 0, 0]),
  };
}
