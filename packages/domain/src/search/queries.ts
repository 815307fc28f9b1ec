/** Search by words, by meaning, or both; says so when a lesser engine had to answer. */
import { createHash } from 'node:crypto';
import { searchAnswer, type SearchAnswer, type SearchHit, type SearchMode } from '@novax/contracts/api/search';
import { cacheKeys } from '@novax/contracts/cache-keys';
import type { Role } from '@novax/contracts/permissions';
import {
  countEmbeddings,
  embeddingModelByName,
  exactSearchMax,
  hydrateHits,
  searchFullText,
  searchNearest,
} from '@novax/db/queries/search';
import { AppError } from '@novax/runtime/errors';
import { timed, within } from '@novax/runtime/timed';
import type { AnswerEntry, Answers } from '../answers.ts';
import { proseOf } from '../prose.ts';
import { requireMembership } from '../organizations/queries.ts';
import type { Embedder, SearchEngine } from '../ports.ts';
import type { Reader } from '../reader.ts';
import { fuse } from './fuse.ts';
import { vectorText } from '@novax/db/vector-text';

export interface SearchRequest {
  readonly organizationId: string;
  readonly q: string;
  readonly mode: SearchMode;
  readonly projectId?: string | undefined;
  readonly limit: number;
}

export interface SearchParts {
  /** For the membership, which is asked for at every search, also at one that is answered from the cache. */
  readonly reader: Reader;
  /** For the searches themselves, which may take long. Of the same caller. */
  readonly searcher: Reader;
  readonly embedder: Embedder;
  readonly engine: SearchEngine | null;
  /** Where answers are kept; null keeps none. */
  readonly answers: Answers | null;
  /** Longest an answer is kept, milliseconds. */
  readonly keepMs: number;
  /** Told how long the nearest-neighbour statement took, and by which path. */
  readonly onNearest?: (path: 'exact' | 'hnsw', seconds: number) => void;
}

/** Longest a search waits for the model, milliseconds: a hybrid one has words to fall back to. */
const embedMs: Readonly<Record<SearchMode, number>> = { hybrid: 2_000, semantic: 8_000, fulltext: 0 };

/** Chunks looked at per document wanted: several of a document's chunks can be near at once. */
const chunksPerHit = 5;

/** Minus signs in a row negate one another over and over, which PostgreSQL gives up at 32 deep (`tsquery stack too small`). */
const negations = /(?:-\s*){2,}/g;

/** Longest an answer of an engine outside the database is kept, milliseconds: it takes in a change some time after the event that tells of it. */
const outsideKeepMs = 5_000;

/**
 * Finds documents of one organization, or answers what was found for another member since the last change. Throws NOT_FOUND for one that is not
 * the caller's, DEPENDENCY_UNAVAILABLE when nothing could answer.
 */
export async function searchDocuments(parts: SearchParts, request: SearchRequest): Promise<SearchAnswer> {
  const { reader, answers } = parts;
  const role = await requireMembership(reader, request.organizationId);
  if (answers === null) return find(parts, request);
  return answers.through(entryOf(parts, request, role), async () => {
    const answer = await find(parts, request);
    // The policies showed nothing to somebody who was removed meanwhile, and that is nobody else's answer.
    await requireMembership(reader, request.organizationId);
    return answer;
  });
}

/** The answer's place in the cache. The policies show every member the same rows, whether a person or an API key asks. */
function entryOf(parts: SearchParts, request: SearchRequest, role: Role): AnswerEntry<SearchAnswer> {
  const { engine, embedder, keepMs } = parts;
  const { organizationId, q, mode, projectId = null, limit } = request;
  const words = engine?.name ?? 'postgres';
  const whole = { fulltext: words, semantic: 'pgvector', hybrid: `${words}+pgvector` }[mode];
  const queryHash = hashOf([mode, q]);
  const filtersHash = hashOf([projectId, limit, words, embedder.modelId]);
  return {
    scope: { organizationId, role },
    key: (scope) => cacheKeys.search(scope, { queryHash, filtersHash }),
    parse: (value) => searchAnswer.parse(value),
    ttlMs: engine === null || mode === 'semantic' ? keepMs : Math.min(keepMs, outsideKeepMs),
    // What a part that is down was left out of is no answer for later.
    worthKeeping: (answer) => answer.engine === whole,
  };
}

function hashOf(values: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values)).digest('hex').slice(0, 32);
}

async function find(parts: SearchParts, request: SearchRequest): Promise<SearchAnswer> {
  if (request.mode === 'fulltext') return byWords(parts, request);
  if (request.mode === 'semantic')
    return { hits: await byMeaning(parts, request), degraded: false, engine: 'pgvector' };

  // A hybrid search looks deeper into each ranking than it answers, or fusion would have little to fuse.
  const deeper = { ...request, limit: Math.min(request.limit * 3, 50) };
  const [words, meaning] = await Promise.all([
    byWords(parts, deeper),
    byMeaning(parts, deeper).catch((thrown: unknown) => {
      if (thrown instanceof AppError && thrown.code === 'INTERNAL') throw thrown;
      return null;
    }),
  ]);
  const byId = new Map([...(meaning ?? []), ...words.hits].map((hit) => [hit.id, hit]));
  const hits = fuse([words.hits.map((hit) => hit.id), (meaning ?? []).map((hit) => hit.id)])
    .slice(0, request.limit)
    .flatMap(({ id, score }) => {
      const hit = byId.get(id);
      return hit === undefined ? [] : [{ ...hit, score }];
    });
  return {
    hits,
    degraded: words.degraded || meaning === null,
    engine: meaning === null ? words.engine : `${words.engine}+pgvector`,
  };
}

async function byWords(parts: SearchParts, request: SearchRequest): Promise<SearchAnswer> {
  const { searcher, engine } = parts;
  if (engine !== null) {
    try {
      return { hits: await byEngine(engine, searcher, request), degraded: false, engine: engine.name };
    } catch (thrown) {
      if (!(thrown instanceof AppError) || (thrown.code !== 'DEPENDENCY_UNAVAILABLE' && thrown.code !== 'TIMEOUT'))
        throw thrown;
    }
  }
  const rows = await searcher.read(searchFullText, [
    request.q.replaceAll(negations, '-'),
    request.organizationId,
    request.projectId ?? '',
    request.limit,
  ]);
  const hits = rows.map((row): SearchHit => {
    const { id, title, snippet, score } = row;
    return { type: 'document', id, projectId: row.project_id, title, snippet, score, updatedAt: row.updated_at };
  });
  return { hits, degraded: true, engine: 'postgres' };
}

/** The engine's hits, re-checked in the database under the caller's own policies. */
async function byEngine(engine: SearchEngine, searcher: Reader, request: SearchRequest): Promise<SearchHit[]> {
  const { organizationId, q, limit, projectId = null } = request;
  const found = await engine.query({ organizationId, q, projectId, limit });
  const rows = new Map(
    (await searcher.read(hydrateHits, [organizationId, found.map((hit) => hit.id)])).map((row) => [row.id, row]),
  );
  return found.flatMap(({ id, score, snippet }) => {
    const row = rows.get(id);
    return row === undefined
      ? []
      : [
          {
            type: 'document',
            id,
            projectId: row.project_id,
            title: row.title,
            snippet,
            score,
            updatedAt: row.updated_at,
          },
        ];
  });
}

async function byMeaning(parts: SearchParts, request: SearchRequest): Promise<SearchHit[]> {
  const { searcher, embedder } = parts;
  const [[vector], [model], [count]] = await Promise.all([
    within(embedMs[request.mode], embedder.embed([request.q])),
    searcher.read(embeddingModelByName, [embedder.modelId]),
    searcher.read(countEmbeddings, [request.organizationId]),
  ]);
  if (vector === undefined || model === undefined) return [];
  const path = Number(count?.embedding_count ?? 0) <= exactSearchMax ? 'exact' : 'hnsw';
  const { organizationId, limit, projectId = '' } = request;
  const values = [organizationId, vectorText(vector), limit * chunksPerHit, projectId, limit];
  const rows = await timed(
    (seconds) => parts.onNearest?.(path, seconds),
    () => searcher.read(searchNearest(path, model.id), values),
  );
  return rows.map((row) => ({
    type: 'document',
    id: row.id,
    projectId: row.project_id,
    title: row.title,
    snippet: proseOf(row.content).text.replaceAll(/\s+/g, ' ').trim(),
    score: row.similarity,
    updatedAt: row.updated_at,
  }));
}
