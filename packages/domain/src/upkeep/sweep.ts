/** Sweeping what expired: sessions, tokens, answers kept for retries, invitations nobody took, failures that were dealt with. */
import { sweepRows, sweptTables, type SweptTable } from '@novax/db/queries/retention';
import type { Database } from '@novax/db/tx';
import { only } from '@novax/runtime/invariant';

const batchRows = 500;
/** Batches of one table and run, so that a run takes seconds: other upkeep waits in the same queue. */
const batchesMax = 20;

/**
 * Sweeps every table in short transactions, up to its share of a run; may stop and be repeated anywhere, and several at once share the work. `swept`
 * hears of each batch. Answers the rows, and whether there may be more. Throws the first table's failure after the others had their turn.
 */
export async function sweepExpired(parts: {
  readonly db: Database;
  readonly swept: (table: SweptTable, rows: number) => void;
  /** Aborted: no further batch begins, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}): Promise<{ readonly rows: number; readonly more: boolean }> {
  const failures: unknown[] = [];
  let total = 0;
  let more = false;
  for (const table of sweptTables) {
    try {
      for (let batch = 1; ; batch += 1) {
        parts.signal?.throwIfAborted();
        const rows = await sweepOnce(parts.db, table);
        parts.swept(table, rows);
        total += rows;
        if (rows < batchRows) break;
        if (batch < batchesMax) continue;
        more = true;
        break;
      }
    } catch (thrown) {
      failures.push(thrown);
    }
  }
  if (failures.length > 0) throw failures[0];
  return { rows: total, more };
}

async function sweepOnce(db: Database, table: SweptTable): Promise<number> {
  const rows = await db.inSystem('what expired belongs to anybody', (tx) => tx.sql(sweepRows[table], [batchRows]));
  return only(rows, 'sweep').rows;
}
