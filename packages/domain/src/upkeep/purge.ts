/** The purge: what was deleted longer ago than its organization keeps it goes for good, unless a legal hold covers it. */
import { noCall } from '@novax/db/actor';
import {
  markBlobRemoved,
  organizationsWithDeleted,
  owedBlobRemovals,
  purgedTables,
  type PurgedTable,
  purgeOrganization,
  purgeRows,
} from '@novax/db/queries/retention';
import type { Database, TenantContext } from '@novax/db/tx';
import { only } from '@novax/runtime/invariant';
import type { BlobStore } from '../ports.ts';

const reason = 'which organizations have something to purge, no organization says';
const firstId = '00000000-0000-0000-0000-000000000000';
/** Organizations of one run: each costs a look at every kind, also when nothing is due. */
const organizationsMax = 100;
/** Rows of one transaction: each takes its versions, vectors and remarks along. */
const batchRows = 100;
/** Batches of one run, seconds of work: other upkeep waits in the same queue. */
const runBatches = 20;

export interface PurgeParts {
  readonly db: Database;
  /** Hears of each batch. */
  readonly purged: (table: PurgedTable | 'organizations', rows: number) => void;
  /** Batches at most in place of the usual number. */
  readonly batchesMax?: number;
  /** Aborted: no further batch begins, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

export interface PurgeRun {
  /** Those named in the trail. */
  readonly rows: number;
  /** Where the next run goes on; null when every organization had its turn. */
  readonly next: string | null;
}

/** What is left to one run. */
interface Budget {
  batches: number;
}

/**
 * Purges organizations from `after` on in short transactions, each with its trail and events, until they are all done or the run has had its share.
 * May stop and be repeated anywhere, and two at once are harmless.
 */
export async function purgeDeleted(parts: PurgeParts, after = firstId): Promise<PurgeRun> {
  const page = await parts.db.inSystem(reason, (tx) => tx.sql(organizationsWithDeleted, [after, organizationsMax]));
  const left: Budget = { batches: parts.batchesMax ?? runBatches };
  let rows = 0;
  let done = after;
  for (const { org_id: orgId } of page) {
    rows += await purgeOne(parts, orgId, left);
    // The same organization again: the share ended in it.
    if (left.batches === 0) return { rows, next: done };
    done = orgId;
  }
  return { rows, next: page.length < organizationsMax ? null : done };
}

async function purgeOne(parts: PurgeParts, orgId: string, left: Budget): Promise<number> {
  const context = { orgId, actor: { type: 'system', userId: null }, call: noCall } as const;
  let total = 0;
  for (const table of purgedTables) {
    while (left.batches > 0) {
      parts.signal?.throwIfAborted();
      const rows = await purgeBatch(parts.db, context, table);
      parts.purged(table, rows);
      total += rows;
      // Remarks go leaves first: fewer than a whole batch may still uncover more.
      if (rows === 0) break;
      left.batches -= 1;
    }
  }
  if (left.batches === 0) return total;
  const gone = await parts.db.tenant(context, async (tx) => {
    const { purged } = only(await tx.sql(purgeOrganization, []), 'purge_organization');
    if (purged)
      tx.audit({
        action: 'delete',
        entityType: 'organizations',
        entityId: orgId,
        before: { status: 'deleted' },
        after: null,
      });
    return purged;
  });
  if (!gone) return total;
  parts.purged('organizations', 1);
  return total + 1;
}

function purgeBatch(db: Database, context: TenantContext, table: PurgedTable): Promise<number> {
  return db.tenant(context, async (tx) => {
    const rows = await tx.sql(purgeRows[table], [context.orgId, batchRows]);
    for (const { id, project_id: projectId, version, document_id: documentId } of rows) {
      tx.audit({
        action: 'delete',
        entityType: table,
        entityId: id,
        before: { purged: true, projectId, version, ...(documentId === undefined ? {} : { documentId }) },
        after: null,
      });
      if (table !== 'documents' || projectId === null || version === null) continue;
      // Above that of the deletion, so that whoever goes by versions hears of it.
      const last = version + 1;
      tx.emit('document.purged', { documentId: id, projectId, version: last }, { id, version: last });
    }
    return rows.length;
  });
}

/** Files of one run. */
export const filesMax = 500;

/** Removes from the store up to `filesMax` files whose attachments are gone; answers how many. May stop and be repeated anywhere. */
export async function removeOwedBlobs(
  parts: Pick<PurgeParts, 'db' | 'signal'> & { readonly blobs: BlobStore },
): Promise<number> {
  const { db, blobs } = parts;
  const why = 'the store holds files of every organization';
  let removed = 0;
  for (;;) {
    const owed = await db.inSystem(why, (tx) => tx.sql(owedBlobRemovals, [batchRows]));
    for (const { id, storage_key: key } of owed) {
      parts.signal?.throwIfAborted();
      await blobs.remove(key);
      // After the removal: asked for twice is harmless, never is not.
      await db.inSystem(why, (tx) => tx.sql(markBlobRemoved, [id]));
      removed += 1;
    }
    if (owed.length < batchRows || removed >= filesMax) return removed;
  }
}
