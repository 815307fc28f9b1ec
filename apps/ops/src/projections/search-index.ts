/** The full-text engine's copies of documents. */
import { meiliSearchEngine } from '@novax/adapters/search-engine';
import { searchInventory } from '@novax/adapters/search-inventory';
import { contentHash } from '@novax/domain/content-hash';
import { createLogger } from '@novax/runtime/log';
import type { DifferingRow, Projection, ProjectionParts } from './projection.ts';
import { queueQuietly } from './quiet-jobs.ts';
import { inOrganization, pagesOf } from './rows.ts';

interface Indexable {
  readonly org_id: string;
  readonly id: string;
  readonly project_id: string;
  readonly status: string;
  readonly version: number;
  readonly updated_ms: string;
  readonly text_hash: string;
  readonly settled: boolean;
}

interface Found extends DifferingRow {
  /** The document's version; null for a copy of a document that is no more. */
  readonly version: number | null;
}

/** The engine first: what is written between the two looks is young in the tables, and left alone. */
async function* found(parts: ProjectionParts): AsyncGenerator<readonly Found[]> {
  const { client, organizationId, searchEngine } = parts;
  if (searchEngine === null) return;
  const copies = new Map<string, { organizationId: string; state: string }>();
  for await (const page of searchInventory(searchEngine, organizationId)) {
    parts.signal.throwIfAborted();
    for (const copy of page) {
      const hash = contentHash(copy.title, copy.content).toString('hex');
      const state = `${copy.organizationId} ${copy.projectId} ${copy.status} ${copy.updatedAt} ${hash}`;
      copies.set(copy.id, { organizationId: copy.organizationId, state });
    }
  }
  const sql = 'select * from private.indexable_documents($1) order by org_id, id';
  for await (const page of pagesOf<Indexable>(client, sql, [organizationId])) {
    const differing = page.flatMap((row): Found[] => {
      const copy = copies.get(row.id);
      copies.delete(row.id);
      const kind = kindOf(row, copy?.state);
      return kind === null ? [] : [{ kind, organizationId: row.org_id, id: row.id, version: row.version }];
    });
    if (differing.length > 0) yield differing;
  }
  if (copies.size === 0) return;
  yield [...copies].map(([id, copy]) => ({
    kind: 'extra' as const,
    organizationId: copy.organizationId === '' ? null : copy.organizationId,
    id,
    version: null,
  }));
}

function kindOf(row: Indexable, state: string | undefined): DifferingRow['kind'] | null {
  if (!row.settled) return null;
  const wanted = row.status !== 'deleted' && row.status !== 'archived';
  if (!wanted) return state === undefined ? null : 'extra';
  if (state === undefined) return 'missing';
  const { org_id: orgId, project_id: projectId, status, updated_ms: updatedMs, text_hash: hash } = row;
  return state === `${orgId} ${projectId} ${status} ${updatedMs} ${hash}` ? null : 'stale';
}

export const searchIndex: Projection = {
  name: 'search-index',
  about: 'documents in the search engine, of documents',
  mends: 'by workers',
  absent: ({ searchEngine }) => (searchEngine === null ? 'no search engine is configured' : null),
  async *differences(parts) {
    for await (const page of found(parts)) yield page;
  },
  async rebuild(parts) {
    const { client, searchEngine, signal } = parts;
    for await (const page of found(parts)) {
      signal.throwIfAborted();
      const known = page.flatMap(({ organizationId, id, version }) =>
        version === null || organizationId === null ? [] : [{ organizationId, id, version }],
      );
      for (const [orgId, rows] of Map.groupBy(known, (row) => row.organizationId)) {
        // The debt as the reconciler knows it: it outlives the queue.
        await inOrganization(client, orgId, () =>
          client.query('update documents set indexed_version = null where org_id = $1 and id = any($2)', [
            orgId,
            rows.map(({ id }) => id),
          ]),
        );
      }
      const owed = known.map(({ organizationId, id, version }) => ({
        organizationId,
        documentId: id,
        fingerprint: String(version),
      }));
      await queueQuietly(parts, 'index-document', owed);
      const orphans = page.flatMap(({ id, version }) => (version === null ? [id] : []));
      if (searchEngine === null || orphans.length === 0) continue;
      const log = createLogger({ name: 'novax-projections', level: 'silent' });
      await meiliSearchEngine({ ...searchEngine, log }).remove(orphans);
    }
  },
};
