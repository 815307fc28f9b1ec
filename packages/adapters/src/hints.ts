/** Best-effort wake-up calls, many within one moment sent as one. */

/** Milliseconds in which hints on one subject become one message. */
export const hintWindowMs = 2;

export interface Hints {
  hint(subject: string): void;
  /** Drops what has not been sent. */
  close(): void;
}

/** Calls `send` once per subject for all hints of a moment. */
export function coalescedHints(send: (subject: string) => void): Hints {
  const timers = new Map<string, NodeJS.Timeout>();
  return {
    hint(subject) {
      if (timers.has(subject)) return;
      const timer = setTimeout(() => {
        timers.delete(subject);
        send(subject);
      }, hintWindowMs);
      timers.set(subject, timer);
    },
    close() {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}
