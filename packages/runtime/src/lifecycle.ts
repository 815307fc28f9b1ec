/** The life of a process: closers run in reverse order, within a deadline, once. */
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

  /** Closes everything once; true when all of it ended within the deadline. */
  close(): Promise<boolean> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<boolean> {
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

/** Runs a process: starts it, closes it on SIGTERM or SIGINT, and exits 0 when that was clean; a second signal exits at once. */
export async function runProcess(options: {
  readonly log: Logger;
  readonly deadlineMs: number;
  readonly start: (lifecycle: Lifecycle) => Promise<void>;
}): Promise<void> {
  const lifecycle = new Lifecycle(options);
  const stop = (signal: string, code: number): void => {
    if (lifecycle.closing) {
      options.log.warn({ signal }, 'second signal: leaving at once');
      process.exit(1);
    }
    options.log.info({ signal }, 'stopping');
    void lifecycle.close().then((clean) => process.exit(clean ? code : 1));
  };
  process.on('SIGTERM', () => stop('SIGTERM', 0));
  process.on('SIGINT', () => stop('SIGINT', 0));
  process.on('unhandledRejection', (thrown) => {
    options.log.fatal({ err: thrown }, 'unhandled rejection');
    // While closing, a late failure must not cut short what is still being finished.
    if (!lifecycle.closing) stop('unhandledRejection', 1);
  });
  process.on('uncaughtException', (thrown) => {
    options.log.fatal({ err: thrown }, 'uncaught exception');
    if (!lifecycle.closing) stop('uncaughtException', 1);
  });
  try {
    await options.start(lifecycle);
  } catch (thrown) {
    options.log.fatal({ err: thrown }, 'could not start');
    await lifecycle.close();
    process.exit(1);
  }
}
