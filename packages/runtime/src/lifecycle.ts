/** The life of a process: closers run in reverse order, within a deadline, once. */
import { pause } from './clock.ts';
import type { Logger } from './log.ts';

export interface Closer {
  readonly name: string;
  close(): Promise<void> | void;
}

/** Collects closers while a process is built; `close` runs them last-in first-out and never throws. */
export class Lifecycle {
  #closers: Closer[] = [];
  #closing: Promise<boolean> | undefined;
  readonly #log: Logger;
  readonly #deadlineMs: number;

  constructor(options: { readonly log: Logger; readonly deadlineMs: number }) {
    this.#log = options.log;
    this.#deadlineMs = options.deadlineMs;
  }

  /** Registers how to end what was just started; answers the started thing for chaining. */
  add<T>(name: string, thing: T, close: (thing: T) => Promise<void> | void): T {
    this.#closers.push({ name, close: () => close(thing) });
    return thing;
  }

  /** True once closing began. */
  get closing(): boolean {
    return this.#closing !== undefined;
  }

  /** Closes everything once, `delayMs` after it said that it is closing; true when all of it then ended within the deadline. */
  close(delayMs = 0): Promise<boolean> {
    this.#closing ??= this.#closeAll(delayMs);
    return this.#closing;
  }

  async #closeAll(delayMs: number): Promise<boolean> {
    if (delayMs > 0) await pause(delayMs);
    const deadline = Date.now() + this.#deadlineMs;
    let clean = true;
    for (const closer of this.#closers.toReversed()) {
      const left = Math.max(deadline - Date.now(), 50);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), left)));
      try {
        const outcome = await Promise.race([Promise.resolve(closer.close()).then(() => 'closed' as const), late]);
        if (outcome === 'late') {
          clean = false;
          this.#log.error({ closer: closer.name }, 'did not close in time');
        }
      } catch (thrown) {
        clean = false;
        this.#log.error({ closer: closer.name, err: thrown }, 'failed to close');
      } finally {
        clearTimeout(timer);
      }
    }
    return clean;
  }
}

/**
 * For the first line of a `main`: until `runProcess` takes over, a stop signal ends the process at once with 0, as nothing has begun. Without a
 * handler it would be read as a failure, and PID 1 of a container would not even get it.
 */
export function leaveOnSignal(): void {
  for (const signal of stopSignals) process.on(signal, leaveAtOnce);
}

const stopSignals = ['SIGTERM', 'SIGINT'] as const;

function leaveAtOnce(): void {
  process.exit(0);
}

/**
 * Runs a process: starts it, closes it on SIGTERM or SIGINT, and exits 0 when that was clean; a second signal exits at once.
 * A process that has started goes on serving for `delayMs` after the signal, while whoever sends it work learns that it is leaving.
 */
export async function runProcess(options: {
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly delayMs?: number;
  readonly start: (lifecycle: Lifecycle) => Promise<void>;
}): Promise<void> {
  const { log, delayMs = 0 } = options;
  const lifecycle = new Lifecycle(options);
  let started = false;
  const stop = (reason: string, end: { readonly code: number; readonly delayMs: number }): void => {
    log.info({ signal: reason }, 'stopping');
    void lifecycle.close(end.delayMs).then((clean) => process.exit(clean ? end.code : 1));
  };
  const onSignal = (signal: string): void => {
    if (lifecycle.closing) {
      log.warn({ signal }, 'second signal: leaving at once');
      process.exit(1);
    }
    // Nobody sends work to what has not started.
    stop(signal, { code: 0, delayMs: started ? delayMs : 0 });
  };
  for (const signal of stopSignals) {
    process.on(signal, onSignal);
    process.off(signal, leaveAtOnce);
  }
  process.on('unhandledRejection', (thrown) => {
    log.fatal({ err: thrown }, 'unhandled rejection');
    // While closing, a late failure must not cut short what is still being finished.
    if (!lifecycle.closing) stop('unhandledRejection', { code: 1, delayMs: 0 });
  });
  process.on('uncaughtException', (thrown) => {
    log.fatal({ err: thrown }, 'uncaught exception');
    if (!lifecycle.closing) stop('uncaughtException', { code: 1, delayMs: 0 });
  });
  log.info('starting');
  try {
    await options.start(lifecycle);
    started = true;
  } catch (thrown) {
    // What was taken away under a start that a signal ended is no failure of it.
    if (lifecycle.closing) return;
    log.fatal({ err: thrown }, 'could not start');
    await lifecycle.close();
    process.exit(1);
  }
}
