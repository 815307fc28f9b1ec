/** Work that goes round by itself: soon after a hint, else after a while, and at once while there is more. */
import type { EventBus } from '@novax/domain/ports';
import { pause } from '@novax/runtime/clock';
import type { Logger } from '@novax/runtime/log';

export interface RoundsOptions {
  readonly bus: Pick<EventBus, 'onHint'>;
  /** Hints that shorten the wait. */
  readonly subject: string;
  /** Shortest wait after a round that found nothing more, milliseconds: every write hints. */
  readonly gapMs: number;
  /** Longest wait after that, without a hint, milliseconds. */
  readonly idleMs: number;
  readonly log: Logger;
  /** For the log. */
  readonly what: string;
  /** One round; true when there is more to do. One that throws is repeated after a wait. */
  readonly round: () => Promise<boolean>;
}

/** Runs until stopped. The answer stops it after the round in hand, or leaves that to itself after `patienceMs`. */
export function startRounds(options: RoundsOptions): (patienceMs?: number) => Promise<void> {
  const { bus, subject, gapMs, idleMs, log, what, round } = options;
  const stopping = new AbortController();
  let wake: () => void = () => undefined;
  /** A hint that came while a round was under way. */
  let hinted = false;
  const unsubscribe = bus.onHint(subject, () => {
    hinted = true;
    wake();
  });

  async function idle(): Promise<void> {
    await pause(gapMs, stopping.signal);
    const woken = new AbortController();
    wake = () => woken.abort();
    if (!hinted) await pause(idleMs, AbortSignal.any([woken.signal, stopping.signal]));
    hinted = false;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        if (!(await round())) await idle();
      } catch (err) {
        // What was taken away from a round that is left to itself is no failure of it.
        if (stopping.signal.aborted) return;
        log.warn({ err }, `${what} interrupted; going on`);
        await pause(500, stopping.signal);
      }
    }
  }

  const running = run();
  return async (patienceMs) => {
    stopping.abort();
    unsubscribe();
    if (patienceMs === undefined) return running;
    const done = new AbortController();
    return Promise.race([running.finally(() => done.abort()), pause(patienceMs, done.signal)]);
  };
}
