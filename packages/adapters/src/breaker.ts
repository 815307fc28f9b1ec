/** Leaves a server alone that was of no help, and asks it in the background until it is again, so that no caller pays for trying. */

export interface Breaker {
  /** True while the server is to be left alone. */
  readonly open: boolean;
  /** The server failed. */
  trip(): void;
  /** Asks no more. */
  stop(): void;
}

export interface BreakerOptions {
  /** Resolves when the server is well. One at a time. */
  readonly probe: () => Promise<void>;
  /** Milliseconds before the first probe; they double with each that fails, and with a server that fails again soon after one. */
  readonly baseMs: number;
  readonly capMs: number;
  /** Called when it begins, or ends, to leave the server alone. */
  readonly onChange: (open: boolean) => void;
}

/** Begins closed: the server counts as well until somebody says otherwise. */
export function createBreaker(options: BreakerOptions): Breaker {
  const { baseMs, capMs } = options;
  let open = false;
  let stopped = false;
  let waitMs = baseMs / 2;
  let closedAt = -Infinity;
  let timer: NodeJS.Timeout | undefined;

  function later(): void {
    waitMs = Math.min(waitMs * 2, capMs);
    if (!stopped) timer = setTimeout(ask, waitMs).unref();
  }

  function ask(): void {
    options.probe().then(() => {
      if (stopped) return;
      open = false;
      closedAt = performance.now();
      options.onChange(false);
    }, later);
  }

  return {
    get open() {
      return open;
    },
    trip() {
      if (open || stopped) return;
      open = true;
      if (performance.now() - closedAt > capMs) waitMs = baseMs / 2;
      options.onChange(true);
      later();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
