/** Wakes loops of one process when something changed. */

export interface Bell {
  /** Something changed: everyone who waits looks again. */
  ring(): void;
  /** Resolves when `due` holds, looked at now and at each ring, or after `ms`. */
  wait(ms: number, due: () => boolean): Promise<void>;
}

/** A bell nobody waits at. */
export function createBell(): Bell {
  const listeners = new Set<() => void>();
  return {
    ring: () => listeners.forEach((listener) => listener()),
    wait: (ms, due) =>
      new Promise((resolve) => {
        if (due()) return resolve();
        const done = (): void => {
          clearTimeout(timer);
          listeners.delete(look);
          resolve();
        };
        const look = (): void => void (due() && done());
        const timer = setTimeout(done, ms);
        listeners.add(look);
      }),
  };
}
