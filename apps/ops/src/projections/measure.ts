/** How much a projection differs: counted, with a few examples. */
import { reasonOf } from '../database/connect.ts';
import type { DifferingRow, Projection, ProjectionParts } from './projection.ts';

/** Ids shown of one projection. */
const examplesMax = 10;

export interface Measured {
  readonly name: string;
  readonly about: string;
  readonly missing: number;
  readonly stale: number;
  readonly extra: number;
  readonly examples: readonly DifferingRow[];
  /** `absent` and `failed`: nothing was compared, `reason` says why. */
  readonly state: 'equal' | 'differs' | 'absent' | 'failed';
  readonly reason: string | null;
}

/** Compares the projection with its tables. A server that does not answer is an answer too; throws only when the signal aborts. */
export async function measure(projection: Projection, parts: ProjectionParts): Promise<Measured> {
  const { name, about } = projection;
  const counts = { missing: 0, stale: 0, extra: 0 };
  const examples: DifferingRow[] = [];
  const nothing = { name, about, ...counts, examples };
  const absent = projection.absent(parts);
  if (absent !== null) return { ...nothing, state: 'absent', reason: absent };
  try {
    for await (const page of projection.differences(parts)) {
      parts.signal.throwIfAborted();
      for (const { kind, organizationId, id } of page) {
        counts[kind] += 1;
        if (examples.length < examplesMax) examples.push({ kind, organizationId, id });
      }
    }
  } catch (thrown) {
    parts.signal.throwIfAborted();
    return failedTo(projection, thrown);
  }
  const state = differing(counts) === 0 ? 'equal' : 'differs';
  return { name, about, ...counts, examples, state, reason: null };
}

/** What is known of a projection of which something failed. */
export function failedTo({ name, about }: Projection, thrown: unknown): Measured {
  // An AppError's own words are for the public.
  const detail = thrown instanceof Error && 'detail' in thrown ? thrown.detail : undefined;
  const reason = typeof detail === 'string' ? detail : reasonOf(thrown);
  return { name, about, missing: 0, stale: 0, extra: 0, examples: [], state: 'failed', reason };
}

/** Rows that differ, in whichever way. */
export function differing({ missing, stale, extra }: Pick<Measured, 'missing' | 'stale' | 'extra'>): number {
  return missing + stale + extra;
}
