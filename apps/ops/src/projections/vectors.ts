/** The vectors of documents, of the model that workers embed with. */
import type { Projection, ProjectionParts } from './projection.ts';
import { queueQuietly } from './quiet-jobs.ts';
import { asDiffering, type FoundRow, inOrganization, pagesOf } from './rows.ts';

interface FoundText extends FoundRow {
  readonly fingerprint: string;
}

async function* found({ client, organizationId, model }: ProjectionParts): AsyncGenerator<readonly FoundText[]> {
  yield* pagesOf<FoundText>(
    client,
    'select kind, org_id, id, fingerprint from private.embeddings_difference($1, $2) order by org_id, id',
    [model.id, organizationId],
  );
}

export const vectors: Projection = {
  name: 'vectors',
  about: 'ai_embeddings of the present model, of documents',
  mends: 'by workers',
  absent: ({ model }) => (model.id === null ? `no worker has embedded with ${model.name} yet` : null),
  async *differences(parts) {
    for await (const page of found(parts)) yield page.map(asDiffering);
  },
  async rebuild(parts) {
    for await (const page of found(parts)) {
      parts.signal.throwIfAborted();
      for (const [orgId, rows] of Map.groupBy(page, (row) => row.org_id)) await unfinish(parts, orgId, rows);
      const owed = page.map((row) => ({
        organizationId: row.org_id,
        documentId: row.id,
        fingerprint: row.fingerprint,
      }));
      await queueQuietly(parts, 'embed-document', owed);
    }
  },
};

/** Takes the mean away where it is of the present text and the rest is not whole: by the mean the job knows what is done. */
async function unfinish({ client, model }: ProjectionParts, orgId: string, rows: readonly FoundText[]): Promise<void> {
  const stale = rows.filter(({ kind }) => kind === 'stale').map(({ id }) => id);
  if (stale.length === 0) return;
  await inOrganization(client, orgId, () =>
    client.query(
      `delete from ai_embeddings e using documents d
        where d.org_id = $1 and d.id = any($2) and e.org_id = d.org_id and e.document_id = d.id and e.model_id = $3
          and e.chunk_no = 0 and e.content_hash = d.content_hash`,
      [orgId, stale, model.id],
    ),
  );
}
