/** The port of exact rate limits; like those of ports.ts, an adapter and a fake pass one suite. */

/** One window to count a call in. */
export interface RateWindow {
  readonly key: string;
  readonly limit: number;
  readonly windowMs: number;
}

/** What became of a call, told of the tightest of its windows: the least left of those that admitted it, the longest to wait of those that did not. */
export interface RateDecision {
  readonly admitted: boolean;
  /** Which of the windows asked for is the tightest, by index. */
  readonly tightest: number;
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until the tightest window has room for one call more; for a refused call, until it would be admitted. */
  readonly resetMs: number;
}

/** Exact sliding windows. */
export interface RateLimiter {
  /**
   * Counts one call in every window, or in none: a call that one window refuses leaves no trace in the others and extends no wait. Keys differ.
   * Throws DEPENDENCY_UNAVAILABLE when the server is down; the caller decides whether that fails open.
   */
  take(windows: readonly RateWindow[]): Promise<RateDecision>;
}
