/** Opaque keyset cursors: where a page ended, as `created_at` and id. */
import { AppError } from '@novax/runtime/errors';

export interface Keyset {
  /** `created_at` in PostgreSQL's own text form, so that no microsecond is lost. */
  readonly at: string;
  readonly id: string;
}

/** Sorts after every real row, for the first page of a descending list. */
const start: Keyset = { at: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' };

const shape = /^(\d{4}-\d\d-\d\d [\d:.]+(?:[+-]\d\d(?::\d\d)?)?)\|([0-9a-f-]{36})$/;

/** Reads a cursor; absent means the first page. Throws VALIDATION_FAILED for one we did not make. */
export function readCursor(cursor: string | undefined): Keyset {
  if (cursor === undefined) return start;
  const found = shape.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  const [, at, id] = found ?? [];
  if (at === undefined || id === undefined) {
    throw new AppError('VALIDATION_FAILED', {
      issues: [{ path: 'cursor', message: 'Pass back what nextCursor held.' }],
    });
  }
  return { at, id };
}

/** A page from one row more than it holds: the extra row says that there is a next page. */
export function toPage<R extends { readonly id: string; readonly cursor_at: string }, V>(
  rows: readonly R[],
  limit: number,
  view: (row: R) => V,
): { items: V[]; nextCursor: string | null } {
  const kept = rows.slice(0, limit);
  const last = kept.at(-1);
  const more = rows.length > limit && last !== undefined;
  return {
    items: kept.map(view),
    nextCursor: more ? Buffer.from(`${last.cursor_at}|${last.id}`).toString('base64url') : null,
  };
}
