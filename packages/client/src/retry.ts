/** When a failed call is made again, and how long to wait first. */
import { TRPCClientError } from '@trpc/client';
import type { NovaxError } from './errors.ts';

/** Tries in all, the first included. */
export const attemptsMax = 4;
/** The longest wait a server may ask for before the call is given up instead; one window of the rate limiter. */
export const waitMaxMs = 60_000;
const backoffMs = 200;
const backoffMaxMs = 5_000;

/**
 * Milliseconds until the next try, or undefined when there is none. Queries are repeated for retryable codes; mutations only for RATE_LIMITED,
 * which says that nothing was done. Exponential with equal jitter; `Retry-After` wins, with jitter on top so that waiters do not return together.
 */
export function retryDelayMs(kind: 'query' | 'mutation', error: NovaxError, attempt: number): number | undefined {
  if (attempt >= attemptsMax) return undefined;
  if (kind === 'query' ? !error.retryable : error.code !== 'RATE_LIMITED') return undefined;
  // No answer within the caller's own time: it was long enough once.
  if (error.code === 'TIMEOUT' && error.requestId === '') return undefined;
  if (error.retryAfterMs !== undefined) {
    return error.retryAfterMs > waitMaxMs ? undefined : error.retryAfterMs + Math.random() * backoffMs;
  }
  const ceiling = Math.min(backoffMs * 2 ** (attempt - 1), backoffMaxMs);
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/** Waits; rejects at once when `signal` aborts. */
export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return untilAborted(elapsed, signal).finally(() => clearTimeout(timer));
}

/** `promise`, or a rejection as soon as `signal` aborts; what was under way is then ignored. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = (): void =>
      reject(TRPCClientError.from(signal.reason instanceof Error ? signal.reason : new Error('aborted')));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort);
  }
}
