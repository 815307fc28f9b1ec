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
const organizationsAtOnce = 100;
/** Rows of one transaction: each takes its versions, vectors and remarks along. */
const batchRows = 100;
/** Batches of one organization, kind and run: what is left then is the next run's. */
const batchesMax = 100;

export interface PurgeParts {
  readonly db: Database;
  /** Hears of each batch. */
  readonly purged: (table: PurgedTable | 'organizations', rows: number) => void;
  /** Aborted: no further batch begins, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** Purges every organization in short transactions, each with its trail and events; may stop and be repeated anywhere, and two at once are harmless. Answers the rows named in the trail. */
export async function purgeDeleted(parts: PurgeParts): Promise<number> {
  let total = 0;
  let after = firstId;
  for (;;) {
    const page = await parts.db.inSystem(reason, (tx) =>
      tx.sql(organizationsWithDeleted, [after, organizationsAtOnce]),
    );
    for (const { org_id: orgId } of page) {
      total += await purgeOne(parts, orgId);
      after = orgId;
    }
    if (page.length < organizationsAtOnce) return total;
  }
}

async function purgeOne(parts: PurgeParts, orgId: string): Promise<number> {
  const context = { orgId, actor: { type: 'system', userId: null }, call: noCall } as const;
  let total = 0;
  for (const table of purgedTables) {
    for (let batch = 0; batch < batchesMax; batch += 1) {
      parts.signal?.throwIfAborted();
      const rows = await purgeBatch(parts.db, context, table);
      parts.purged(table, rows);
      total += rows;
      // Remarks go leaves first: fewer than a whole batch may still uncover more.
      if (rows === 0) break;
    }
  }
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
    for (const { id, project_id: projectId, version } of rows) {
      tx.audit({
        action: 'delete',
        entityType: table,
        entityId: id,
        before: { purged: true, projectId, version },
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

/** Removes from the store the files whose attachments are gone; answers how many. May stop and be repeated anywhere. */
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
    if (owed.length < batchRows) return removed;
  }
}
