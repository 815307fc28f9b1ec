/** What is derived from a document's title and content within its row: the words that full-text search reads, and the hash by which vectors and summary know their text. */
import type { Projection, ProjectionParts } from './projection.ts';
import { asDiffering, type FoundRow, pagesOf } from './rows.ts';

async function* found({ client, organizationId }: ProjectionParts): AsyncGenerator<readonly FoundRow[]> {
  yield* pagesOf<FoundRow>(
    client,
    'select kind, org_id, id from private.document_texts_difference($1) order by org_id, id',
    [organizationId],
  );
}

export const documentTexts: Projection = {
  name: 'document-texts',
  about: 'search_vector and content_hash, of title and content',
  mends: 'at once',
  absent: () => null,
  async *differences(parts) {
    for await (const page of found(parts)) yield page.map(asDiffering);
  },
  async rebuild(parts) {
    for await (const page of found(parts)) {
      parts.signal.throwIfAborted();
      await parts.client.query('select private.mend_document_texts($1)', [page.map(({ id }) => id)]);
    }
  },
};
