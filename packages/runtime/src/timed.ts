/** Work and time: how long it took, and how long it may take. */
import { AppError } from './errors.ts';

/** Runs `work` and tells `observe` the seconds it took, also when it throws. */
export async function timed<T>(observe: (seconds: number) => void, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  try {
    return await work();
  } finally {
    observe((performance.now() - started) / 1000);
  }
}

/**
 * What `work` answers, unless `stop` is aborted before, by somebody else or by this function after `ms` milliseconds (TIMEOUT). Then it rejects at
 * once with the signal's reason; the work, which is handed the signal, may go on unheard.
 */
export async function untilStopped<T>(
  stop: AbortController,
  ms: number | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal } = stop;
  const stopped = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  const late = (): void => stop.abort(new AppError('TIMEOUT', { detail: `not done within ${ms} ms` }));
  const timer = ms === undefined ? undefined : setTimeout(late, ms);
  const running = work(signal);
  try {
    return await Promise.race([running, stopped]);
  } finally {
    clearTimeout(timer);
    // A failure that comes too late has nobody to tell.
    running.catch(() => undefined);
  }
}

/** What `work` answers, if it does within `ms` milliseconds. Throws TIMEOUT; the work itself goes on unheard. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new AppError('TIMEOUT', { detail: `no answer within ${ms} ms` })), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // A failure that comes too late has nobody to tell.
    work.catch(() => undefined);
  }
}
