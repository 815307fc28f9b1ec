/** The half of the relay that writes down what the stream answered, and how far the outbox and its readers are. */
import type { KeptBus } from '@novax/adapters/bus';
import { isTransient } from '@novax/db/errors';
import type { LockedConnection } from '@novax/db/locked-connection';
import { pendingState, putOff } from '@novax/db/queries/relay';
import { crashAt } from '@novax/runtime/crash';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { retry } from '@novax/runtime/retry';
import type { Bell } from './bell.ts';
import type { Flight } from './relay-flight.ts';
import type { StreamWatch } from './stream-watch.ts';

export interface MarkParts {
  readonly flight: Flight;
  readonly bell: Bell;
  readonly watch: StreamWatch;
  readonly bus: Pick<KeptBus, 'ping'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly batch: number;
  /** The other half failed: nothing more needs to be waited for. */
  readonly failing: AbortSignal;
}

const attemptsMax = 10;
/** Answers wait this long for company: a mark is a round trip whatever it marks, and nobody waits for it. */
const gatherMs = 20;
const stateEveryMs = 2_000;

/** Marks until told to stop and everything on its way is answered and marked, or until something fails. */
export async function markUntil(stop: AbortSignal, connection: LockedConnection, parts: MarkParts): Promise<void> {
  const { flight, bell, watch, metrics, batch, failing } = parts;
  const enough = (): boolean => flight.answered() >= batch / 2 || failing.aborted;
  const complete = (): boolean => stop.aborted && flight.unanswered() === 0;
  let stateAt = 0;
  while (!failing.aborted && !(complete() && flight.answered() === 0)) {
    if (Date.now() >= stateAt) {
      stateAt = Date.now() + stateEveryMs;
      await reportState(connection, metrics);
      await watch.note(connection);
    }
    await bell.wait(Math.max(stateAt - Date.now(), 0), () => flight.answered() > 0 || complete() || failing.aborted);
    if (flight.answered() === 0) continue;
    await bell.wait(gatherMs, () => enough() || complete());
    await land(connection, parts);
    // There may be room for a claim again.
    bell.ring();
  }
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

async function land(connection: LockedConnection, { flight, watch, bus, log, metrics }: MarkParts): Promise<void> {
  crashAt('relay.after_ack');
  const settled = flight.take();
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
