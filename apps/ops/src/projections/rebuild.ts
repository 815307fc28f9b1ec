/** Rebuilds what differs, notes in the trail that an operator asked for it, and says what is left. */
import { newId } from '@novax/runtime/ids';
import { pause } from '@novax/runtime/clock';
import type { Progress } from '../cli/progress.ts';
import { differing, failedTo, measure, type Measured } from './measure.ts';
import type { Projection, ProjectionParts } from './projection.ts';

/** Rebuilds one projection that differs, and compares again. A failure is part of the answer; throws only when the signal aborts. */
export async function rebuild(projection: Projection, found: Measured, parts: ProjectionParts): Promise<Measured> {
  if (found.state !== 'differs') return found;
  try {
    await note(found, parts);
    await projection.rebuild(parts);
  } catch (thrown) {
    parts.signal.throwIfAborted();
    return failedTo(projection, thrown);
  }
  return measure(projection, parts);
}

/** The act itself is the operator's one trace in the trail; it stands before anything is touched, so that nothing is touched without it. */
async function note({ name, missing, stale, extra }: Measured, parts: ProjectionParts): Promise<void> {
  const { client, organizationId } = parts;
  const what = { rebuilt: name, organizationId, missing, stale, extra };
  await client.query(`select private.audit_system('system', null, 'update', 'projections', $1, null, $2)`, [
    newId(),
    JSON.stringify(what),
  ]);
}

const lookEveryMs = 1_000;

/**
 * Follows projections until none differs, and rebuilds again what differs once more for what the others have written, as views do. Stops as well
 * when nothing has become less for `stallMs`. Answers what is left.
 */
export async function follow(
  chosen: readonly Projection[],
  parts: ProjectionParts,
  options: { readonly progress: Progress; readonly stallMs: number },
): Promise<Measured[]> {
  const { progress, stallMs } = options;
  let most = 0;
  let least = Infinity;
  let since = performance.now();
  for (;;) {
    parts.signal.throwIfAborted();
    const left: Measured[] = [];
    for (const projection of chosen) {
      const found = await measure(projection, parts);
      if (found.state === 'differs' && projection.mends === 'at once') await projection.rebuild(parts);
      left.push(found);
    }
    const count = left.reduce((sum, one) => sum + differing(one), 0);
    most = Math.max(most, count);
    if (count < least) [least, since] = [count, performance.now()];
    if (count === 0 || left.some(({ state }) => state === 'failed') || performance.now() - since > stallMs) return left;
    progress.update(`${count} left`, 1 - count / most);
    await pause(lookEveryMs, parts.signal);
  }
}
