/** One check of the doctor, and how many of them run together without one holding up the rest. */
import { reasonOf } from '../database/connect.ts';

export interface Finding {
  status: 'ok' | 'warn' | 'fail';
  name: string;
  found: string;
  /** What to do about it; only with `warn` and `fail`. */
  mend?: string;
}

export interface Check {
  name: string;
  /** What to do when the check itself cannot be made. */
  mend: string;
  run: () => Promise<Finding[]>;
}

export const ok = (name: string, found: string): Finding => ({ status: 'ok', name, found });
export const warn = (name: string, found: string, mend: string): Finding => ({ status: 'warn', name, found, mend });
export const fail = (name: string, found: string, mend: string): Finding => ({ status: 'fail', name, found, mend });

const AT_ONCE = 3;

/**
 * Runs every check, three at a time, each within `timeoutMs`, and answers their findings in the order of the checks. Never rejects: a check
 * that throws or does not end in time is a finding that says so.
 */
export async function runChecks(
  checks: readonly Check[],
  options: { timeoutMs?: number; onDone?: (name: string) => void } = {},
): Promise<Finding[]> {
  const results: Finding[][] = checks.map(() => []);
  const waiting = [...checks.entries()];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, check] = next;
      results[index] = await bounded(check, options.timeoutMs ?? 5000);
      options.onDone?.(check.name);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return results.flat();
}

async function bounded(check: Check, timeoutMs: number): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding[]>((resolve) => {
    timer = setTimeout(
      () => resolve([fail(check.name, `no answer within ${timeoutMs / 1000} s`, check.mend)]),
      timeoutMs,
    );
  });
  // Called inside a function of its own, so that a check that throws before its first await is caught too.
  const made = (async () => check.run())().catch((error: unknown) => [fail(check.name, reasonOf(error), check.mend)]);
  try {
    return await Promise.race([made, late]);
  } finally {
    clearTimeout(timer);
  }
}
