/** The sealer's and the anchor's side of the audit trail; all of it by functions that no other role may call. */
import { statement } from '../statement.ts';

/** Settled rows of one chain, all of one range of transactions. */
export interface SettledRows {
  /** Null for the chain of rows without organization. */
  readonly org_id: string | null;
  readonly epoch: number;
  readonly from_xact: string;
  readonly to_xact: string;
  /** Ascending, separated by commas. */
  readonly ids: string;
  /** Hex, 32 bytes per row. */
  readonly hashes: string;
  readonly last_seal_no: string;
  /** Hex; zeros before the first seal. */
  readonly last_hash: string;
}

/** Values: rows about. Holds the sealers' lock until the transaction ends. */
export const settledRows = statement<SettledRows>(
  'audit_settled',
  `select org_id, epoch, from_xact, to_xact, array_to_string(ids, ',') as ids, encode(hashes, 'hex') as hashes,
          last_seal_no::text, encode(last_hash, 'hex') as last_hash
     from private.audit_settled($1::int)`,
);

/** Values: epoch, from, to, JSON array of the seals. */
export const storeSeals = statement<{ stored: number }>(
  'store_audit_seals',
  'select private.store_audit_seals($1::int, $2::xid8, $3::xid8, $4::jsonb) as stored',
);

/** How much waits to be sealed, and since when (seconds); when heads were last anchored. */
export const sealState = statement<{ pending: string; lag_seconds: number; anchor_age_seconds: number | null }>(
  'audit_state',
  `select pending::text, lag_seconds, extract(epoch from clock_timestamp() - anchored_at)::float8 as anchor_age_seconds
     from private.audit_state()`,
);

export interface ChainHead {
  readonly id: string;
  /** Organization id, or `system`. */
  readonly chain: string;
  readonly seal_no: string;
  readonly epoch: number;
  /** Hex, as the two below. */
  readonly hash: string;
  readonly signature: string;
  readonly key_id: string;
}

export const chainHeads = statement<ChainHead>(
  'audit_heads',
  `select id, chain, seal_no::text, epoch, encode(hash, 'hex') as hash, encode(signature, 'hex') as signature, key_id from private.audit_heads()`,
);

/** Values: ids of seals. */
export const markAnchored = statement<Record<string, never>>(
  'mark_audit_anchored',
  'select private.mark_audit_anchored($1::uuid[])',
);
