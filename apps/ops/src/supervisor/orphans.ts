/** Processes that outlived their supervisor: found by what it wrote down, ended in good order. */
import { stopProcess } from './child.ts';
import { isAlive } from './pids.ts';
import type { StackState } from './state.ts';

const ORPHAN_TIMEOUT_MS = 15_000;

/**
 * Ends every process that the state names and that still is that very process, applications before servers.
 * Call it only while holding the supervisor's lock. Answers the names of those it ended.
 */
export async function endOrphans(state: StackState | undefined): Promise<string[]> {
  const ended: string[] = [];
  for (const { name, identity, wrapper, stopSignal } of state?.processes.toReversed() ?? []) {
    let found = false;
    for (const orphan of [identity, wrapper]) {
      if (!orphan || !isAlive(orphan)) continue;
      found = true;
      await stopProcess(orphan, { signal: stopSignal, timeoutMs: ORPHAN_TIMEOUT_MS });
    }
    if (found) ended.push(name);
  }
  return ended;
}
