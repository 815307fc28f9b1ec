/** Keeps the full-text engine's copy of a document equal to the table's. */
import { noCall } from '@novax/db/actor';
import { markIndexed, readEnrichable } from '@novax/db/queries/enrichment';
import { instant } from '@novax/db/queries/instant';
import { AppError } from '@novax/runtime/errors';
import type { SearchEngine } from '../ports.ts';
import type { EnrichJob, EnrichParts } from './enrich.ts';

/** Changes that may overtake one run before it leaves the rest to its next try. */
const overtakenMax = 5;

/**
 * Writes the document as it is now, or removes it when it is not to be found any more, and notes in its row the version that the engine
 * confirmed; doing it twice is harmless. Dying before the note leaves the debt. Throws what the engine throws, and DEPENDENCY_UNAVAILABLE for a
 * document that changes faster than it can be indexed.
 */
export async function indexDocument(
  parts: EnrichParts & { readonly searchEngine: SearchEngine },
  job: EnrichJob,
): Promise<'indexed' | 'removed'> {
  const { db, modelId, searchEngine } = parts;
  const context = { orgId: job.organizationId, actor: { type: 'system', userId: null }, call: noCall } as const;
  for (let turn = 0; turn < overtakenMax; turn += 1) {
    parts.signal?.throwIfAborted();
    const [row] = await db.tenant(context, (tx) => tx.sql(readEnrichable, [job.documentId, modelId]));
    const wanted = row !== undefined && row.status !== 'deleted' && row.status !== 'archived';
    if (wanted) {
      const { id, title, content, status } = row;
      const [organizationId, projectId, updatedAt] = [row.org_id, row.project_id, Date.parse(instant(row.updated_at))];
      await searchEngine.upsert([{ id, organizationId, projectId, title, content, status, updatedAt }]);
    } else await searchEngine.remove([job.documentId]);
    if (row === undefined) return 'removed';
    const noted = await db.tenant(context, (tx) => tx.sql(markIndexed, [row.id, row.version]));
    // None noted: the document changed meanwhile, and what was written may have buried what the change's own job wrote.
    if (noted.length > 0) return wanted ? 'indexed' : 'removed';
  }
  throw new AppError('DEPENDENCY_UNAVAILABLE', { detail: `document ${job.documentId} keeps changing` });
}
