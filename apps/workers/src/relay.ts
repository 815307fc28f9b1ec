/**
 * The outbox relay: publishes pending events and moves them on.
 * Two loops share one flight of events (`relay-flight.ts`): one claims and sends (`relay-claims.ts`), the other writes down what the stream answered
 * (`relay-marks.ts`), each on a connection of its own, so that neither the stream nor a consumer waits for the moving of rows.
 * One session-level advisory lock per shard makes a process the shard's only relay; claims run on the very connection that holds the locks, so a relay
 * that lost them cannot send more. Marks need no lock: they say what a stream has stored, which is true whoever says it.
 */
import { wakeSubject } from '@novax/contracts/events/envelope';
import type { KeptBus } from '@novax/adapters/bus';
import { openLockedConnection } from '@novax/db/locked-connection';
import { pause } from '@novax/runtime/clock';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { createBell } from './bell.ts';
import { claimUntil } from './relay-claims.ts';
import { createFlight } from './relay-flight.ts';
import { markUntil } from './relay-marks.ts';
import { watchStream } from './stream-watch.ts';

export interface RelayOptions {
  /** Direct connection as novax_worker: session locks do not survive a transaction pooler. */
  readonly url: string;
  readonly bus: KeptBus;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Events claimed at a time; three times as many may be on their way. */
const batch = 1_000;

/** Runs until stopped; a lost connection or server costs time, never an event. The answer stops it after the events on their way. */
export function startRelay(options: RelayOptions): () => Promise<void> {
  const { url, bus, log, metrics } = options;
  const stopping = new AbortController();
  const bell = createBell();
  let hinted = false;
  const news = {
    waits: (): boolean => hinted,
    take: (): boolean => {
      const was = hinted;
      hinted = false;
      return was;
    },
  };
  const unsubscribe = bus.onHint(wakeSubject, () => {
    hinted = true;
    bell.ring();
  });

  /** Both loops until one fails or everything on its way is marked after a stop. */
  async function runOnce(): Promise<void> {
    const flight = createFlight(bus, () => bell.ring());
    const failing = new AbortController();
    try {
      // A claim has one good plan, and planning costs more than most claims. A mark joins two lists, and what suits an empty outbox is slow in a full one.
      await using claims = await openLockedConnection(url, { plan: 'once' });
      await using marks = await openLockedConnection(url, { plan: 'each' });
      const shared = { flight, bell, watch: watchStream(bus, log), batch };
      const stop = AbortSignal.any([stopping.signal, failing.signal]);
      const fail = (reason: unknown): void => {
        // At once: the shards may be another's already, who sends what waits here.
        flight.abandon();
        failing.abort(reason);
        bell.ring();
      };
      await Promise.all([
        claimUntil(stop, claims, { ...shared, news }).catch(fail),
        markUntil(stopping.signal, marks, { ...shared, bus, log, metrics, failing: failing.signal }).catch(fail),
      ]);
      failing.signal.throwIfAborted();
    } finally {
      flight.abandon();
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await runOnce();
      } catch (err) {
        if (stopping.signal.aborted) return;
        log.warn({ err }, 'relay interrupted; starting again');
        // A stream that was deleted comes back here; with the server away this fails as well, and the next round tries again.
        await bus.ensureStreams().catch(() => undefined);
        await pause(200, stopping.signal);
      }
    }
  }

  const running = run();
  return async () => {
    stopping.abort();
    bell.ring();
    unsubscribe();
    await running;
  };
}
