/**
 * The outbox relay: publishes pending events and moves them on.
 * One session-level advisory lock per shard makes this process the shard's only relay; claims and marks run on the very connection that
 * holds the locks, so a relay that lost them cannot go on. An aggregate lives in one shard, and its events go out one after another (`relay-flight.ts`).
 * The next events are claimed and the last ones marked while others are on their way: neither the stream nor the database waits for the other.
 */
import { wakeSubject } from '@novax/contracts/events/envelope';
import type { KeptBus } from '@novax/adapters/bus';
import { isTransient } from '@novax/db/errors';
import { openLockedConnection, type LockedConnection } from '@novax/db/locked-connection';
import { shardCount } from '@novax/db/outbox';
import { claimPending, pendingState, putOff } from '@novax/db/queries/relay';
import { pause } from '@novax/runtime/clock';
import { crashAt } from '@novax/runtime/crash';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { retry } from '@novax/runtime/retry';
import { createFlight, type Flight, type Settled } from './relay-flight.ts';
import { watchStream, type StreamWatch } from './stream-watch.ts';

export interface RelayOptions {
  /** Direct connection as novax_worker: session locks do not survive a transaction pooler. */
  readonly url: string;
  readonly bus: KeptBus;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Events claimed at a time; twice as many may be on their way. */
  readonly batchSize?: number;
  /** Longest wait between two looks at an idle outbox, milliseconds. */
  readonly idleMaxMs?: number;
}

/** First part of the advisory locks' keys; the second is the shard. */
const lockClass = 0x6e6f7661; // "nova"
const attemptsMax = 10;
const stateEveryMs = 2_000;
/** How often a relay that lacks some shards tries for them. */
const locksEveryMs = 200;
/** Bytes of claimed events at most, as the database stores them; one larger event still goes, alone. */
const bytesMax = 16 * 1024 * 1024;
/** Shortest wait between two looks while events are on their way. */
const lookMinMs = 20;
/** Answers wait this long for company before they are marked; a mark is a round trip whatever it marks. */
const gatherMs = 20;

/** Runs until stopped; a lost connection or server costs time, never an event. The answer stops it after the events on their way. */
export function startRelay(options: RelayOptions): () => Promise<void> {
  const { bus, log } = options;
  const stopping = new AbortController();
  const bell = createBell();
  const unsubscribe = bus.onHint(wakeSubject, () => bell.hint());
  stopping.signal.addEventListener('abort', () => bell.ring());

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const flight = createFlight(bus, () => bell.ring());
      try {
        await using connection = await openLockedConnection(options.url);
        const watch = watchStream(bus, log);
        await relayOn(connection, { flight, bell, watch, options, stop: stopping.signal });
      } catch (err) {
        if (stopping.signal.aborted) return;
        log.warn({ err }, 'relay interrupted; starting again');
        // A stream that was deleted comes back here; with the server away this fails as well, and the next round tries again.
        await bus.ensureStreams().catch(() => undefined);
        await pause(200, stopping.signal);
      } finally {
        flight.abandon();
      }
    }
  }

  const running = run();
  return async () => {
    stopping.abort();
    unsubscribe();
    await running;
  };
}

interface RelayParts {
  readonly flight: Flight;
  readonly bell: Bell;
  readonly watch: StreamWatch;
  readonly options: RelayOptions;
  readonly stop: AbortSignal;
}

/** Claims, and marks what is answered, on one connection until told to stop; then marks the rest. */
async function relayOn(connection: LockedConnection, parts: RelayParts): Promise<void> {
  const { flight, bell, watch, options, stop } = parts;
  const batch = options.batchSize ?? 500;
  const idleMaxMs = options.idleMaxMs ?? 1_000;
  let shards: readonly number[] = [];
  let [locksAt, stateAt, lookAt, waitMs] = [0, 0, 0, 20];
  /** The outbox may hold something that is not on its way. */
  let more = true;
  while (!stop.aborted || flight.unanswered() + flight.answered() > 0) {
    // News goes first: a consumer waits for it, and for a mark nobody does.
    if (flight.answered() >= batch / 2 || (flight.answered() > 0 && !bell.hinted())) await land(connection, parts);
    if (!stop.aborted) {
      if (shards.length < shardCount && Date.now() >= locksAt) {
        locksAt = Date.now() + locksEveryMs;
        shards = await connection.hold(lockClass, shardCount);
      }
      if (Date.now() >= stateAt) {
        stateAt = Date.now() + stateEveryMs;
        await reportState(connection, options.metrics);
        // Also when there is nothing to publish: a stream that was lost must not wait for the next event.
        if (shards.length > 0) await watch.check(connection, shards);
        await watch.note(connection);
      }
      more = bell.takeHint() || more || Date.now() >= lookAt;
      if (shards.length === 0) {
        more = false;
        lookAt = locksAt;
      } else if (more && flight.size() <= batch && flight.bytes() < bytesMax) {
        const claimed = await claim(connection, { flight, watch, shards, batch });
        more = claimed >= batch / 2;
        waitMs = claimed > 0 ? 20 : Math.min(waitMs * 2, idleMaxMs);
        lookAt = Date.now() + waitMs;
        if (claimed > 0 && flight.unanswered() < batch) continue;
      }
    }
    await nextStep(parts, { batch, lookAt });
  }
}

/** Sends the next events of the shards held; answers how many the outbox had. */
async function claim(
  connection: LockedConnection,
  next: {
    readonly flight: Flight;
    readonly watch: StreamWatch;
    readonly shards: readonly number[];
    readonly batch: number;
  },
): Promise<number> {
  const { flight, watch, shards, batch } = next;
  const look = () =>
    connection.sql(claimPending, [
      `{${shards.join(',')}}`,
      batch,
      bytesMax - flight.bytes(),
      `{${flight.ids().join(',')}}`,
    ]);
  let rows = await look();
  if (rows.length === 0) return 0;
  // What the check makes pending is older than what was claimed and must go first.
  if (await watch.check(connection, shards)) rows = await look();
  crashAt('relay.after_claim');
  flight.admit(rows);
  crashAt('relay.after_publish');
  return rows.length;
}

/** Writes down what the stream answered. */
async function land(connection: LockedConnection, { flight, watch, options }: RelayParts): Promise<void> {
  const { bus, log, metrics } = options;
  crashAt('relay.after_ack');
  const settled: Settled = flight.take();
  const { stored, refused } = settled;
  if (stored.length > 0) {
    const marked = await persist(() => watch.mark(connection, stored));
    crashAt('relay.after_mark');
    metrics.eventsPublished.inc(marked);
    // The stream is another one by now: everything on its way is let go and claimed anew, behind what that one lacks.
    if (marked < stored.length) throw new Error('the stream that acknowledged events is no more');
  }
  if (refused.length > 0) {
    // A stream that is away refuses everything; that is nobody's fault and must use up no event's attempts.
    await bus.ping();
    const put = await persist(() => connection.sql(putOff, [JSON.stringify(refused), attemptsMax]));
    metrics.eventsRefused.inc(refused.length);
    log.warn(
      {
        refused: refused.slice(0, 10),
        count: refused.length,
        failed: put.filter((row) => row.status === 'failed').length,
      },
      'events refused by the stream',
    );
  }
  flight.landed(settled);
}

/** A move between partitions may meet another session's and fail with 40001: the same statement is then simply right the next time. */
function persist<T>(move: () => Promise<T>): Promise<T> {
  return retry(move, { attempts: 5, baseMs: 5, capMs: 100, when: isTransient });
}

/** Waits until there is something to do: enough answers, the last answer, a hint, the time of the next look, or the end. */
async function nextStep(
  { flight, bell, stop }: RelayParts,
  { batch, lookAt }: { readonly batch: number; readonly lookAt: number },
): Promise<void> {
  const due = (): boolean =>
    bell.hinted() ||
    flight.answered() >= batch / 2 ||
    (flight.unanswered() === 0 && (flight.answered() > 0 || stop.aborted));
  let gathering = false;
  while (!due()) {
    const answers = flight.answered() > 0;
    if (answers && gathering) return;
    gathering = answers;
    const untilLook = lookAt - Date.now();
    if (!answers && untilLook <= 0 && flight.unanswered() === 0) return;
    // With events on their way a look may be due and have no room; then their answers are what is waited for.
    const waitMs = answers ? gatherMs : Math.max(untilLook, flight.unanswered() > 0 ? lookMinMs : 0);
    await bell.wait(waitMs, () => due() || (flight.answered() > 0 && !answers));
    if (!answers && flight.answered() === 0) return;
  }
}

interface Bell {
  /** Something changed here. */
  ring(): void;
  /** The outbox has something new; remembered until taken, or an event committed meanwhile would wait out the idle time. */
  hint(): void;
  hinted(): boolean;
  takeHint(): boolean;
  /** Resolves at a ring at which `when` holds, or after `ms`. */
  wait(ms: number, when: () => boolean): Promise<void>;
}

function createBell(): Bell {
  let hinted = false;
  let listener: (() => void) | undefined;
  const ring = (): void => listener?.();
  return {
    ring,
    hint() {
      hinted = true;
      ring();
    },
    hinted: () => hinted,
    takeHint() {
      const was = hinted;
      hinted = false;
      return was;
    },
    wait: (ms, when) =>
      new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          listener = undefined;
          resolve();
        };
        const timer = setTimeout(done, ms);
        listener = () => {
          if (when()) done();
        };
      }),
  };
}

async function reportState(connection: LockedConnection, metrics: Metrics): Promise<void> {
  const [state] = await connection.sql(pendingState, []);
  if (state === undefined) return;
  metrics.outboxPending.set(Number(state.pending));
  metrics.outboxRefused.set(Number(state.refused));
  metrics.outboxFailed.set(Number(state.failed));
  metrics.outboxLag.set(state.lag_seconds);
  metrics.dlqMessages.set(Number(state.dead));
}
