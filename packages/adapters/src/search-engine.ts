/** Full-text search by Meilisearch. Its index is disposable; callers re-check every hit in the database. */
import type { SearchDocument, SearchEngine } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { Meilisearch, MeilisearchApiError, type Settings } from 'meilisearch';

export interface MeiliOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly log: Logger;
  /** Other than `documents` in tests that share a server. */
  readonly indexName?: string;
  /** Milliseconds for one request. */
  readonly timeoutMs?: number;
}

/** What the index is; `ensureIndex` brings the server to it. */
const settings: Settings = {
  searchableAttributes: ['title', 'content'],
  filterableAttributes: ['organizationId', 'projectId', 'status'],
  // Everything, for whoever compares the index with the tables; a search asks for the id alone.
  displayedAttributes: ['id', 'organizationId', 'projectId', 'title', 'content', 'status', 'updatedAt'],
  // Words near each other within a field are enough; exact distances are what makes indexing slow.
  proximityPrecision: 'byAttribute',
};
const snippetWords = 30;

interface StoredDocument extends Record<string, unknown> {
  readonly id: string;
  readonly content: string;
}

/**
 * An engine on one index. Writes resolve once the server has them in its durable queue, not when they can be found.
 * Every method throws DEPENDENCY_UNAVAILABLE when the server is away or refuses.
 */
export function meiliSearchEngine(options: MeiliOptions): SearchEngine {
  const client = new Meilisearch({ host: options.url, apiKey: options.apiKey, timeout: options.timeoutMs ?? 5000 });
  const name = options.indexName ?? 'documents';
  const index = client.index<StoredDocument>(name);

  return {
    name: 'meilisearch',
    async ensureIndex() {
      await reached(async () => {
        // Making an index that exists is a failed task, not a refused request; neither matters.
        await client.createIndex(name, { primaryKey: 'id' }).waitTask();
        const task = await index.updateSettings(settings).waitTask();
        if (task.status !== 'succeeded')
          throw new Error(`settings of index ${name}: ${task.error?.message ?? task.status}`);
      });
    },
    async upsert(documents) {
      if (documents.length === 0) return;
      await reached(() => index.addDocuments(documents.map(stored), { primaryKey: 'id' }));
    },
    async remove(ids) {
      if (ids.length === 0) return;
      await reached(() => index.deleteDocuments([...ids]));
    },
    async query({ organizationId, q, projectId, limit }) {
      const filter = [
        equals('organizationId', organizationId),
        ...(projectId === null ? [] : [equals('projectId', projectId)]),
      ];
      const { hits } = await reached(() =>
        index.search(q, {
          filter,
          limit,
          attributesToRetrieve: ['id'],
          attributesToCrop: ['content'],
          cropLength: snippetWords,
          showRankingScore: true,
        }),
      );
      return hits.map((hit) => ({ id: hit.id, score: hit._rankingScore ?? 0, snippet: hit._formatted?.content ?? '' }));
    },
    async ping() {
      await reached(() => client.health());
    },
  };
}

function stored(document: SearchDocument): StoredDocument {
  return { ...document };
}

/** A filter that holds for one value; quoted, so that a value can never add a condition. */
export function equals(field: string, value: string): string {
  return `${field} = "${value.replace(/[\\"]/g, String.raw`\$&`)}"`;
}

/** Runs a call; its failure becomes DEPENDENCY_UNAVAILABLE that says why. */
export async function reached<T>(work: () => PromiseLike<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const why =
      cause instanceof MeilisearchApiError
        ? `${cause.cause?.code ?? cause.response.status}: ${cause.message}`
        : String(cause);
    throw new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail: `search engine: ${why}` });
  }
}
