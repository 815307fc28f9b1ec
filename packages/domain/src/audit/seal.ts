/** Seals what the trail has settled: per organization one more link of its chain of hashes, signed. */
import { settledRows, storeSeals, type SettledRows } from '@novax/db/queries/audit-seals';
import type { Database } from '@novax/db/tx';
import { newId } from '@novax/runtime/ids';
import type { Signer } from '@novax/runtime/signing';
import { sealHash, signedText } from './seal-hash.ts';

/** Rows of one run, about: a transaction's rows are never split. */
const rowsPerRun = 5_000;

export interface SealRun {
  readonly seals: number;
  readonly rows: number;
  /** True when there may be more at once. */
  readonly more: boolean;
}

/**
 * Seals rows that no open transaction can add to, in one transaction; with nothing to seal it writes nothing. Only one process seals at a time,
 * the others find nothing. A process that dies in between leaves the rows to the next run.
 */
export function sealSettled(
  db: Database,
  signer: Signer,
  options: { readonly rowsPerRun?: number } = {},
): Promise<SealRun> {
  return db.inSystem('the chains of every organization are sealed together', async (tx) => {
    const limit = options.rowsPerRun ?? rowsPerRun;
    const settled = await tx.sql(settledRows, [limit]);
    const [first] = settled;
    if (first === undefined) return { seals: 0, rows: 0, more: false };
    const seals = settled.map((chain) => sealOf(chain, tx.now, signer));
    await tx.sql(storeSeals, [first.epoch, first.from_xact, first.to_xact, JSON.stringify(seals)]);
    const rows = settled.reduce((sum, { hashes }) => sum + hashes.length / 64, 0);
    return { seals: seals.length, rows, more: rows >= limit / 2 };
  });
}

function sealOf(rows: SettledRows, now: Date, signer: Signer) {
  const id = newId();
  const sealNo = String(BigInt(rows.last_seal_no) + 1n);
  const hash = sealHash({
    id,
    chain: rows.org_id ?? 'system',
    sealNo,
    epoch: rows.epoch,
    fromXact: rows.from_xact,
    toXact: rows.to_xact,
    createdAt: `${now.getTime()}000`,
    rowIds: rows.ids.split(','),
    rowHashes: Buffer.from(rows.hashes, 'hex'),
    previousHash: Buffer.from(rows.last_hash, 'hex'),
  });
  return {
    id,
    org_id: rows.org_id,
    seal_no: sealNo,
    row_ids: `{${rows.ids}}`,
    row_hashes: rows.hashes,
    previous_hash: rows.last_hash,
    hash: hash.toString('hex'),
    signature: signer.sign(signedText(hash)).toString('hex'),
    key_id: signer.keyId,
    created_at: now.toISOString(),
  };
}
