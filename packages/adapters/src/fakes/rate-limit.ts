/** Exact sliding windows in memory. */
import type { RateLimiter } from '@novax/domain/ports';
import type { Clock } from '@novax/runtime/clock';

/** A rate limiter on `clock`. */
export function fakeRateLimiter(clock: Clock): RateLimiter {
  const windows = new Map<string, number[]>();
  return {
    async take(key, limit, windowMs) {
      const now = clock.now().getTime();
      const calls = (windows.get(key) ?? []).filter((at) => at > now - windowMs);
      windows.set(key, calls);
      if (calls.length < limit) {
        calls.push(now);
        return { admitted: true, limit, remaining: limit - calls.length, retryAfterMs: 0 };
      }
      const blocking = calls[calls.length - limit] ?? now;
      return { admitted: false, limit, remaining: 0, retryAfterMs: blocking + windowMs - now };
    },
  };
}
