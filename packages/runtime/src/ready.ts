/** What `/readyz` says of each dependency. */
import { toAppError } from './errors.ts';

/** One dependency's state. */
export interface ReadyLine {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Asks a dependency. Anybody may read the answer: the reason names hosts and ports, and stays in the log of the calls that fail. */
export async function readyLine(name: string, check: () => Promise<unknown>): Promise<ReadyLine> {
  try {
    await check();
    return { name, ok: true, detail: 'answers' };
  } catch (thrown) {
    return { name, ok: false, detail: toAppError(thrown).text };
  }
}
