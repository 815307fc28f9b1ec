/** What a seal commits to, as bytes: the same for whoever seals and whoever checks. */
import { createHash } from 'node:crypto';

export const hashBytes = 32;

export interface SealContent {
  readonly id: string;
  /** Organization id, or `system`. */
  readonly chain: string;
  readonly sealNo: string;
  readonly epoch: number;
  readonly fromXact: string;
  readonly toXact: string;
  /** Microseconds since 1970. */
  readonly createdAt: string;
  /** Ascending. */
  readonly rowIds: readonly string[];
  /** 32 bytes per row, in the same order. */
  readonly rowHashes: Buffer;
  readonly previousHash: Buffer;
}

/** SHA-256 over the hash before, every field, and id and hash of every row. */
export function sealHash(seal: SealContent): Buffer {
  const { id, chain, sealNo, epoch, fromXact, toXact, createdAt, rowIds, rowHashes, previousHash } = seal;
  const fields = ['novax-audit-seal-1', id, chain, sealNo, epoch, fromXact, toXact, createdAt, rowIds.length];
  const ids = Buffer.alloc(rowIds.length * 8);
  for (const [at, rowId] of rowIds.entries()) ids.writeBigInt64BE(BigInt(rowId), at * 8);
  return createHash('sha256')
    .update(previousHash)
    .update(`${fields.join('\n')}\n`)
    .update(ids)
    .update(rowHashes)
    .digest();
}

/** What the signature of a head is over. */
export function signedText(hash: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('novax audit seal\n'), hash]);
}
