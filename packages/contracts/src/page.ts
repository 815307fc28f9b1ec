/** Keyset pages: `{ limit, cursor }` in, `{ items, nextCursor }` out. */
import { z } from 'zod';

export const pageSizeDefault = 20;
export const pageSizeMax = 100;

/** The two fields every list takes. The cursor is opaque: pass back what `nextCursor` held. */
export const pageInput = {
  limit: z.int().min(1).max(pageSizeMax).default(pageSizeDefault),
  cursor: z.string().max(200).optional().describe('Optional: absent for the first page.'),
};

/** A page of `item`; `nextCursor` is null on the last one. */
export function pageOf<T extends z.ZodType>(
  item: T,
): z.ZodObject<{ items: z.ZodArray<T>; nextCursor: z.ZodNullable<z.ZodString> }> {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}
