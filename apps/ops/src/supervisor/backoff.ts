/** How long to wait before a process is started again, and when to give up. */

export interface RestartPolicy {
  firstDelayMs: number;
  maxDelayMs: number;
  /** A process that served this long has recovered: counting begins anew. */
  stableMs: number;
  /** So many starts in a row that never became ready end the whole run. */
  maxFailedStarts: number;
}

export const RESTART_POLICY: RestartPolicy = {
  firstDelayMs: 500,
  maxDelayMs: 30_000,
  stableMs: 30_000,
  maxFailedStarts: 5,
};

/** Delay before restart number `attempt` (from 1): doubles each time up to the maximum. */
export function restartDelay(policy: RestartPolicy, attempt: number): number {
  return Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
}
