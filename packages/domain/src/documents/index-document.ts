/** Keeps the full-text engine's copy of a document equal to the table's. */
import { noCall } from '@novax/db/actor';
import { readEnrichable } from '@novax/db/queries/enrichment';
import { instant } from '@novax/db/queries/instant';
import type { SearchEngine } from '../ports.ts';
import type { EnrichJob, EnrichParts } from './enrich.ts';

/** Writes the document as it is now, or removes it when it is not to be found any more; doing it twice is harmless. */
export async function indexDocument(
  parts: EnrichParts & { readonly searchEngine: SearchEngine },
  job: EnrichJob,
): Promise<'indexed' | 'removed'> {
  const { db, modelId, searchEngine } = parts;
  const context = { orgId: job.organizationId, actor: { type: 'system', userId: null }, call: noCall } as const;
  const [row] = await db.tenant(context, (tx) => tx.sql(readEnrichable, [job.documentId, modelId]));
  if (row === undefined || row.status === 'deleted' || row.status === 'archived') {
    await searchEngine.remove([job.documentId]);
    return 'removed';
  }
  const { id, title, content, status } = row;
  await searchEngine.upsert([
    {
      id,
      organizationId: row.org_id,
      projectId: row.project_id,
      title,
      content,
      status,
      updatedAt: Date.parse(instant(row.updated_at)),
    },
  ]);
  return 'indexed';
}
