/** Makes one decision out of what several windows say. */
import type { RateDecision, RateWindow } from '@novax/domain/rate-limiter';
import { invariant } from '@novax/runtime/invariant';

/** A window after the call was counted, or refused. */
export interface WindowState {
  readonly remaining: number;
  /** Milliseconds until a call would be admitted; 0 when this one was. */
  readonly waitMs: number;
  /** Milliseconds until the oldest counted call leaves. */
  readonly oldestLeavesMs: number;
}

/** The decision of the tightest window. Throws INTERNAL for no window at all. */
export function decide(windows: readonly RateWindow[], states: readonly WindowState[]): RateDecision {
  const admitted = states.every(({ waitMs }) => waitMs === 0);
  const ranked = states
    .map((state, index) => ({ ...state, index }))
    .toSorted((a, b) =>
      admitted ? a.remaining - b.remaining || b.oldestLeavesMs - a.oldestLeavesMs : b.waitMs - a.waitMs,
    );
  const [first] = ranked;
  const limit = windows[first?.index ?? 0]?.limit;
  invariant(first !== undefined && limit !== undefined, 'a call is counted in at least one window');
  const resetMs = Math.ceil(admitted ? first.oldestLeavesMs : first.waitMs);
  return { admitted, tightest: first.index, limit, remaining: first.remaining, resetMs };
}
