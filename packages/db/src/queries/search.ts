/** Search statements: full text through its function, and nearest neighbours by the two paths the application chooses between. */
import { statement, type Statement } from '../statement.ts';

export interface FullTextRow {
  readonly id: string;
  readonly project_id: string;
  readonly title: string;
  readonly snippet: string;
  readonly score: number;
  readonly updated_at: string;
}

/** Values: query, organization, project ('' for all), rows at most. */
export const searchFullText = statement<FullTextRow>(
  'search_fulltext',
  `select id, project_id, title, snippet, score, updated_at from private.search_documents($1, $2::uuid, nullif($3, '')::uuid, $4::int)`,
);

/** Vectors in an organization below which an exact scan beats the index (measured: 900–1,500 at the median, 2,000 at the 99th percentile). */
export const exactSearchMax = 2_000;

/** Values: organization id. */
export const countEmbeddings = statement<{ embedding_count: string }>(
  'count_embeddings',
  'select embedding_count from org_stats where org_id = $1::uuid',
);

/** Values: the model's name. */
export const embeddingModelByName = statement<{ id: number }>(
  'embedding_model_by_name',
  'select id from embedding_models where name = $1',
);

export interface NearestRow {
  readonly id: string;
  readonly project_id: string;
  readonly title: string;
  readonly content: string;
  readonly char_from: number;
  readonly char_to: number;
  readonly similarity: number;
  readonly updated_at: string;
}

/** How the index is walked: on until enough rows passed the filters, and never given up for a sort (pgvector 0.8, "Iterative Index Scans"). */
const hnswSettings = {
  'hnsw.iterative_scan': 'relaxed_order',
  'hnsw.ef_search': '100',
  'enable_sort': 'off',
  'enable_seqscan': 'off',
  'enable_bitmapscan': 'off',
};

/**
 * Nearest documents by their best chunk. The model's id stands in the text, because a generic plan cannot use a partial index otherwise;
 * it comes from our own registry, never from a caller.
 * Values: organization, query vector (text form), chunks to look at, project ('' for all), documents at most.
 */
export function searchNearest(path: 'exact' | 'hnsw', modelId: number): Statement<NearestRow> {
  if (!Number.isSafeInteger(modelId)) throw new Error(`model id ${modelId} is not a number`);
  // Adding zero hides the operator from the index; the cast matches the index expression.
  const order =
    path === 'exact' ? '(e.embedding <=> $2::vector) + 0' : 'e.embedding::halfvec(1536) <=> $2::halfvec(1536)';
  return statement<NearestRow>(
    `search_nearest_${path}_${modelId}`,
    `with near as materialized (
       select e.document_id, e.char_from, e.char_to, e.embedding <=> $2::vector as distance
         from ai_embeddings e
        where e.org_id = $1::uuid and e.model_id = ${modelId} and e.document_id is not null
          and exists (select from documents d
                        join projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
                       where d.org_id = e.org_id and d.id = e.document_id and d.status in ('draft', 'active')
                         and ($4 = '' or d.project_id = nullif($4, '')::uuid))
        order by ${order} limit $3::int
     ), best as (
       select distinct on (document_id) document_id, char_from, char_to, distance from near order by document_id, distance
     )
     select d.id, d.project_id, d.title, substr(d.content, best.char_from + 1, least(best.char_to - best.char_from, 400)) as content,
            best.char_from, best.char_to, 1 - best.distance as similarity, d.updated_at
       from best join documents d on d.org_id = $1::uuid and d.id = best.document_id
      order by best.distance + 0, d.id limit $5::int`,
    path === 'hnsw' ? hnswSettings : undefined,
  );
}

/** Title and place of known documents, in no particular order; the caller sees only their own. Values: organization, ids. */
export const hydrateHits = statement<{ id: string; project_id: string; title: string; updated_at: string }>(
  'hydrate_hits',
  `select d.id, d.project_id, d.title, d.updated_at from documents d
     join projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
    where d.org_id = $1::uuid and d.id = any($2::uuid[]) and d.status in ('draft', 'active')`,
);
