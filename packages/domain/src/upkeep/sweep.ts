/** Sweeping what expired: sessions, tokens, answers kept for retries, invitations nobody took. */
import { sweepRows, sweptTables, type SweptTable } from '@novax/db/queries/retention';
import type { Database } from '@novax/db/tx';
import { only } from '@novax/runtime/invariant';

const batchRows = 500;
/** Batches of one table and run: what is left then is the next run's. */
const batchesMax = 200;

/**
 * Sweeps every table in short transactions; may stop and be repeated anywhere, and several at once share the work. `swept` hears of each batch.
 * Throws the first table's failure after the others had their turn.
 */
export async function sweepExpired(parts: {
  readonly db: Database;
  readonly swept: (table: SweptTable, rows: number) => void;
  /** Aborted: no further batch begins, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}): Promise<number> {
  const failures: unknown[] = [];
  let total = 0;
  for (const table of sweptTables) {
    try {
      for (let batch = 0; batch < batchesMax; batch += 1) {
        parts.signal?.throwIfAborted();
        const rows = await sweepOnce(parts.db, table);
        parts.swept(table, rows);
        total += rows;
        if (rows < batchRows) break;
      }
    } catch (thrown) {
      failures.push(thrown);
    }
  }
  if (failures.length > 0) throw failures[0];
  return total;
}

async function sweepOnce(db: Database, table: SweptTable): Promise<number> {
  const rows = await db.inSystem('what expired belongs to anybody', (tx) => tx.sql(sweepRows, [table, batchRows]));
  return only(rows, 'sweep').rows;
}
