/** Trying again, with exponential backoff and full jitter. */
import { pause } from './clock.ts';

export interface RetryOptions {
  /** Tries in all, the first included. */
  readonly attempts: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** Only errors it answers true for are tried again. */
  readonly when?: (thrown: unknown) => boolean;
  readonly signal?: AbortSignal;
  readonly onRetry?: (thrown: unknown, attempt: number, waitMs: number) => void;
}

/** Milliseconds to wait before try number `attempt` + 1: uniform in 0…min(cap, base × 2^(attempt−1)) ("full jitter"). */
export function backoffMs(attempt: number, options: { baseMs: number; capMs: number }): number {
  return Math.random() * Math.min(options.capMs, options.baseMs * 2 ** (attempt - 1));
}

/** Runs `work` until it succeeds, the attempts are used up, or the signal aborts; throws the last error. */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (thrown) {
      const worthIt = options.when?.(thrown) ?? true;
      if (!worthIt || attempt >= options.attempts || options.signal?.aborted) throw thrown;
      const waitMs = backoffMs(attempt, options);
      options.onRetry?.(thrown, attempt, waitMs);
      await pause(waitMs, options.signal);
    }
  }
}
