/** Anchors: the signed heads of all chains, written where the database cannot reach. */
import { text } from 'node:stream/consumers';
import { parseAnchor, type AnchorBody } from '@novax/contracts/audit-anchor';
import { chainHeads, markAnchored } from '@novax/db/queries/audit-seals';
import { auditHorizon } from '@novax/db/queries/audit-verify';
import type { Database } from '@novax/db/tx';
import { newId } from '@novax/runtime/ids';
import { only } from '@novax/runtime/invariant';
import type { Signer } from '@novax/runtime/signing';
import type { BlobStore } from '../ports.ts';

const prefix = 'audit-anchors/';
/** How long an anchor cannot be removed where the store can hold it, days. */
const retainDays = 365;
const dayMs = 24 * 60 * 60 * 1000;

/** A chain's heads as they were anchored, by seal number: the hash, and the cluster (epoch) they were anchored in. */
export type AnchoredHeads = ReadonlyMap<string, { readonly hash: string; readonly epoch: number }>;

/**
 * Writes the heads of all chains as one object and marks them. Answers how many, and whether the store promised to hold the object.
 * Throws what the store throws; a process that dies in between has written an anchor that nobody counts, which is harmless.
 */
export async function anchorHeads(parts: {
  readonly db: Database;
  readonly store: BlobStore;
  readonly signer: Signer;
}): Promise<{ heads: number; held: boolean }> {
  const { db, store, signer } = parts;
  const { heads, epoch, now } = await db.inSystem('anchors hold the heads of every organization', async (tx) => ({
    heads: await tx.sql(chainHeads, []),
    epoch: only(await tx.sql(auditHorizon, []), 'audit_horizon_now').epoch,
    now: tx.now,
  }));
  const body: AnchorBody = {
    version: 1,
    createdAt: now.toISOString(),
    epoch,
    heads: heads.map(({ chain, seal_no, hash, key_id, signature }) => ({
      chain,
      sealNo: seal_no,
      hash,
      keyId: key_id,
      signature,
    })),
  };
  const signature = signer.sign(bodyText(body)).toString('hex');
  const held = await store.putHeld(
    anchorKey(now),
    Buffer.from(JSON.stringify({ body, keyId: signer.keyId, signature })),
    {
      contentType: 'application/json',
      until: new Date(now.getTime() + retainDays * dayMs),
    },
  );
  await db.inSystem('heads of every organization are marked as anchored', (tx) =>
    tx.sql(markAnchored, [`{${heads.map(({ id }) => id).join(',')}}`]),
  );
  return { heads: heads.length, held };
}

const bodyText = (body: AnchorBody): Buffer => Buffer.from(JSON.stringify(body));

function anchorKey(now: Date): string {
  const [date = '', time = ''] = now.toISOString().split('T');
  return `${prefix}${date.replaceAll('-', '/')}/${time.slice(0, 8).replaceAll(':', '')}-${newId()}.json`;
}

/**
 * Anchored heads by chain, of the newest `limit` anchors (all when null) and only those whose signature holds: whoever can write to the store
 * must not be able to raise a false alarm. Throws what the store throws.
 */
export async function readAnchors(
  store: BlobStore,
  signer: Signer,
  limit: number | null,
): Promise<ReadonlyMap<string, AnchoredHeads>> {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  const chains = new Map<string, Map<string, { hash: string; epoch: number }>>();
  for (const key of keys.toSorted().slice(limit === null ? 0 : -limit)) {
    const file = parseAnchor(await text(await store.get(key)));
    if (file === null || !signer.verify(bodyText(file.body), Buffer.from(file.signature, 'hex'), file.keyId)) continue;
    for (const { chain, sealNo, hash } of file.body.heads) {
      const heads = chains.get(chain) ?? new Map<string, { hash: string; epoch: number }>();
      heads.set(sealNo, { hash, epoch: file.body.epoch });
      chains.set(chain, heads);
    }
  }
  return chains;
}
