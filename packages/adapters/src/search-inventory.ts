/** What Meilisearch holds, read whole, so that it can be compared with the tables. */
import type { SearchDocument } from '@novax/domain/ports';
import { Meilisearch, MeilisearchApiError } from 'meilisearch';
import { z } from 'zod';
import { equals, type MeiliOptions, reached } from './search-engine.ts';

/** Documents of one request: each comes with its text. */
const pageSize = 200;

/** Whatever else has happened to a copy, it has an id; a field that is missing or of another kind equals nothing. */
const copySchema = z.object({
  id: z.union([z.string(), z.number().transform(String)]),
  organizationId: z.string().catch(''),
  projectId: z.string().catch(''),
  title: z.string().catch(''),
  content: z.string().catch(''),
  status: z.string().catch(''),
  updatedAt: z.number().catch(-1),
});

/**
 * Every document of the index, or those of one organization, page by page; none when there is no index yet. What is written meanwhile may be
 * missed. Throws DEPENDENCY_UNAVAILABLE when the server is away or refuses.
 */
export async function* searchInventory(
  options: Omit<MeiliOptions, 'log'>,
  organizationId: string | null,
): AsyncGenerator<readonly SearchDocument[]> {
  const client = new Meilisearch({ host: options.url, apiKey: options.apiKey, timeout: options.timeoutMs ?? 30_000 });
  const index = client.index(options.indexName ?? 'documents');
  const filter = organizationId === null ? {} : { filter: equals('organizationId', organizationId) };
  for (let offset = 0; ; offset += pageSize) {
    const page = await reached(() => index.getDocuments({ ...filter, limit: pageSize, offset }).catch(noIndex));
    if (page.results.length > 0) yield page.results.map((copy) => copySchema.parse(copy));
    if (page.results.length < pageSize) return;
  }
}

function noIndex(thrown: unknown): { readonly results: readonly unknown[] } {
  if (thrown instanceof MeilisearchApiError && thrown.cause?.code === 'index_not_found') return { results: [] };
  throw thrown;
}
