/** How many vectors each organization has, as kept by trigger, against the vectors. */
import type { Projection, ProjectionParts } from './projection.ts';
import { asDiffering, type FoundRow, pagesOf } from './rows.ts';

async function* found({ client, organizationId }: ProjectionParts): AsyncGenerator<readonly FoundRow[]> {
  yield* pagesOf<FoundRow>(client, 'select kind, org_id, id from private.embedding_counts_difference($1) order by id', [
    organizationId,
  ]);
}

export const embeddingCounts: Projection = {
  name: 'embedding-counts',
  about: 'org_stats.embedding_count, of ai_embeddings',
  mends: 'at once',
  absent: () => null,
  async *differences(parts) {
    for await (const page of found(parts)) yield page.map(asDiffering);
  },
  async rebuild(parts) {
    for await (const page of found(parts))
      for (const { org_id: orgId } of page) {
        parts.signal.throwIfAborted();
        await parts.client.query('select private.recount_embeddings($1)', [orgId]);
      }
  },
};
