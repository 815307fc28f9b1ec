/** Time as a dependency, so that tests can hold it still. */

export interface Clock {
  /** The wall clock. */
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

/** Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
