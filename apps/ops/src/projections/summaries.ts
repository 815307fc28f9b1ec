/** The summaries of documents. */
import type { Projection, ProjectionParts } from './projection.ts';
import { queueQuietly } from './quiet-jobs.ts';
import { asDiffering, type FoundRow, inOrganization, pagesOf } from './rows.ts';

interface FoundText extends FoundRow {
  readonly fingerprint: string;
}

async function* found({ client, organizationId }: ProjectionParts): AsyncGenerator<readonly FoundText[]> {
  yield* pagesOf<FoundText>(
    client,
    'select kind, org_id, id, fingerprint from private.summaries_difference($1) order by org_id, id',
    [organizationId],
  );
}

export const summaries: Projection = {
  name: 'summaries',
  about: 'documents.ai_summary, of title and content',
  mends: 'by workers',
  absent: () => null,
  async *differences(parts) {
    for await (const page of found(parts)) yield page.map(asDiffering);
  },
  async rebuild(parts) {
    const { client } = parts;
    for await (const page of found(parts)) {
      parts.signal.throwIfAborted();
      for (const [orgId, rows] of Map.groupBy(page, (row) => row.org_id)) {
        // By this note the job knows what is done, also of a summary that has gone since.
        await inOrganization(client, orgId, () =>
          client.query(
            `update documents set ai_metadata = ai_metadata - 'summary_of'
              where org_id = $1 and id = any($2) and ai_summary is null and ai_metadata ? 'summary_of'`,
            [orgId, rows.map(({ id }) => id)],
          ),
        );
      }
      const owed = page.map((row) => ({
        organizationId: row.org_id,
        documentId: row.id,
        fingerprint: row.fingerprint,
      }));
      await queueQuietly(parts, 'summarize-document', owed);
    }
  },
};
