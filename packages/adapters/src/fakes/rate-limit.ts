/** Exact sliding windows in memory. */
import type { RateLimiter, RateWindow } from '@novax/domain/rate-limiter';
import type { Clock } from '@novax/runtime/clock';
import { decide } from '../rate-decision.ts';

/** A rate limiter on `clock`. */
export function fakeRateLimiter(clock: Clock): RateLimiter {
  const counted = new Map<string, number[]>();
  return {
    async take(windows) {
      const now = clock.now().getTime();
      const looked = windows.map((window) => ({ window, calls: live(window, now) }));
      const admitted = looked.every(({ window, calls }) => calls.length < window.limit);
      if (admitted) for (const { calls } of looked) calls.push(now);
      return decide(
        windows,
        looked.map(({ window: { limit, windowMs }, calls }) => ({
          remaining: Math.max(limit - calls.length, 0),
          waitMs: admitted || calls.length < limit ? 0 : (calls[calls.length - limit] ?? now) + windowMs - now,
          oldestLeavesMs: (calls[0] ?? now) + windowMs - now,
        })),
      );
    },
  };

  function live({ key, windowMs }: RateWindow, now: number): number[] {
    const calls = (counted.get(key) ?? []).filter((at) => at > now - windowMs).map((at) => Math.min(at, now));
    counted.set(key, calls);
    return calls;
  }
}
