/** Keeps a repeating event from flooding the log. */

/** Calls `act` at most once in `everyMs`; calls in between are dropped. */
export function throttled<A extends readonly unknown[]>(
  everyMs: number,
  act: (...args: A) => void,
): (...args: A) => void {
  let last = -Infinity;
  return (...args) => {
    const now = performance.now();
    if (now - last < everyMs) return;
    last = now;
    act(...args);
  };
}
