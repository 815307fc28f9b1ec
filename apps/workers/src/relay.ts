/**
 * The outbox relay: publishes pending events and moves them on.
 * One session-level advisory lock per shard makes this process the shard's only relay; claims run on the very connection that
 * holds the locks, so a relay that lost them cannot go on. An aggregate lives in one shard, and its events go out one after another.
 */
import { wakeSubject } from '@novax/contracts/events/envelope';
import type { KeptBus } from '@novax/adapters/bus';
import { shardCount, toEnvelope, type OutboxRow } from '@novax/db/outbox';
import { claimPending, pendingState, putOff } from '@novax/db/queries/relay';
import { pause } from '@novax/runtime/clock';
import { crashAt } from '@novax/runtime/crash';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { type StreamWatch, watchStream } from './stream-watch.ts';
import { openLockedConnection, type LockedConnection } from '@novax/db/locked-connection';

export interface RelayOptions {
  /** Direct connection as novax_worker: session locks do not survive a transaction pooler. */
  readonly url: string;
  readonly bus: KeptBus;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly batchSize?: number;
  /** Longest wait between two looks at an idle outbox, milliseconds. */
  readonly idleMaxMs?: number;
}

/** First part of the advisory locks' keys; the second is the shard. */
const lockClass = 0x6e6f7661; // "nova"
const attemptsMax = 10;
const stateEveryMs = 2_000;

/** Runs until stopped; a lost connection or server costs time, never an event. The answer stops it after the batch in hand. */
export function startRelay(options: RelayOptions): () => Promise<void> {
  const { bus, log } = options;
  const stopping = new AbortController();
  let wake: () => void = () => undefined;
  /** A hint that came while a batch was under way; without it that event would wait out the idle time. */
  let hinted = false;
  const unsubscribe = bus.onHint(wakeSubject, () => {
    hinted = true;
    wake();
  });
  const idleMaxMs = options.idleMaxMs ?? 1_000;

  /** Waits for a hint, the time, or the end. */
  async function idle(ms: number): Promise<void> {
    const woken = new AbortController();
    wake = () => woken.abort();
    if (!hinted) await pause(ms, AbortSignal.any([woken.signal, stopping.signal]));
    hinted = false;
  }

  async function relayOn(connection: LockedConnection): Promise<void> {
    let waitMs = 20;
    let stateAt = 0;
    const watch = watchStream(bus, log);
    while (!stopping.signal.aborted) {
      const shards = await connection.hold(lockClass, shardCount);
      const moved = shards.length === 0 ? 0 : await relayBatch(connection, { shards, watch }, options);
      if (Date.now() >= stateAt) {
        stateAt = Date.now() + stateEveryMs;
        await reportState(connection, options.metrics);
        // Also when there is nothing to publish: a stream that was lost must not wait for the next event.
        if (shards.length > 0) await watch.check(connection, shards);
        await watch.note(connection);
      }
      waitMs = moved > 0 ? 20 : Math.min(waitMs * 2, idleMaxMs);
      if (moved === 0) await idle(waitMs);
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await using connection = await openLockedConnection(options.url);
        await relayOn(connection);
      } catch (err) {
        if (stopping.signal.aborted) return;
        log.warn({ err }, 'relay interrupted; starting again');
        await pause(500, stopping.signal);
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

/** Publishes one batch of the shards held; answers how many events moved. */
async function relayBatch(
  connection: LockedConnection,
  { shards, watch }: { readonly shards: readonly number[]; readonly watch: StreamWatch },
  options: RelayOptions,
): Promise<number> {
  const { bus, log, metrics } = options;
  const claim = () => connection.sql(claimPending, [`{${shards.join(',')}}`, options.batchSize ?? 500]);
  let rows = await claim();
  if (rows.length === 0) return 0;
  // What the check makes pending is older than what was claimed and must go first.
  if (await watch.check(connection, shards)) rows = await claim();
  crashAt('relay.after_claim');
  const held = new Set<string>();
  let moved = 0;
  for (const wave of waves(rows)) {
    const sendable = wave.filter((row) => !held.has(row.aggregate_id));
    const publishing = bus.publish(sendable.map(toEnvelope));
    crashAt('relay.after_publish');
    const results = await publishing;
    crashAt('relay.after_ack');
    const stored: { id: string; seq: number }[] = [];
    const refused: { id: string; error: string }[] = [];
    for (const [index, result] of results.entries()) {
      const row = sendable[index];
      if (row === undefined) continue;
      if (result.ok) stored.push({ id: row.id, seq: result.streamSeq });
      else {
        held.add(row.aggregate_id);
        refused.push({ id: row.id, error: result.error });
      }
    }
    if (stored.length > 0) {
      const marked = await watch.mark(connection, stored);
      crashAt('relay.after_mark');
      metrics.eventsPublished.inc(marked);
      moved += marked;
      // The stream is another one by now: the rest is claimed anew, behind what that one lacks.
      if (marked < stored.length) return moved;
    }
    if (refused.length > 0) {
      // A stream that is away refuses everything; that is nobody's fault and must use up no event's attempts.
      await bus.ping();
      const put = await connection.sql(putOff, [JSON.stringify(refused), attemptsMax]);
      log.warn(
        { refused, failed: put.filter((row) => row.status === 'failed').length },
        'events refused by the stream',
      );
    }
  }
  return moved;
}

/** The rows in waves of at most one event per aggregate, so that a refused event holds back only what follows it. */
export function waves(rows: readonly OutboxRow[]): OutboxRow[][] {
  const depth = new Map<string, number>();
  const out: OutboxRow[][] = [];
  for (const row of rows) {
    const wave = depth.get(row.aggregate_id) ?? 0;
    depth.set(row.aggregate_id, wave + 1);
    (out[wave] ??= []).push(row);
  }
  return out;
}

async function reportState(connection: LockedConnection, metrics: Metrics): Promise<void> {
  const [state] = await connection.sql(pendingState, []);
  if (state === undefined) return;
  metrics.outboxPending.set(Number(state.pending));
  metrics.outboxLag.set(state.lag_seconds);
  metrics.dlqMessages.set(Number(state.dead));
}
