/** What the worker reads and writes when it embeds or summarizes a document, and what is owed. */
import type { AiContext } from '@novax/contracts/ai-metadata';
import { statement } from '../statement.ts';

export interface EnrichableDocument {
  readonly id: string;
  readonly org_id: string;
  readonly project_id: string;
  readonly title: string;
  readonly content: string;
  readonly content_hash: Buffer;
  readonly status: 'draft' | 'active' | 'archived' | 'deleted';
  readonly version: number;
  readonly ai_context: Partial<AiContext>;
  readonly updated_at: string | Date;
  /** Whether vectors of this model and this text are stored. */
  readonly embedded: boolean;
  /** Whether the stored summary is of this text. */
  readonly summarized: boolean;
}

/** One document with what is already derived from its present text. Values: document id, model id. */
export const readEnrichable = statement<EnrichableDocument>(
  'read_enrichable_document',
  `select d.id, d.org_id, d.project_id, d.title, d.content, d.content_hash, d.status, d.version, p.ai_context, d.updated_at,
          exists (select from ai_embeddings e where e.org_id = d.org_id and e.document_id = d.id and e.model_id = $2::smallint
                   and e.chunk_no = 0 and e.content_hash = d.content_hash) as embedded,
          coalesce(d.ai_metadata ->> 'summary_of' = encode(d.content_hash, 'hex'), false) as summarized
     from documents d join projects p on p.org_id = d.org_id and p.id = d.project_id
    where d.id = $1::uuid`,
);

/** Holds the document still while derived data is written; read it again after. Values: document id. */
export const holdDocument = statement<{ id: string }>(
  'hold_document',
  `select id from documents where id = $1::uuid for no key update`,
);

/** Values: document id, model id. */
export const deleteEmbeddings = statement<Record<string, never>>(
  'delete_embeddings',
  `delete from ai_embeddings where org_id = (select nullif(current_setting('app.current_org_id', true), '')::uuid)
      and document_id = $1::uuid and model_id = $2::smallint`,
);

/** Values: document id, model id, dimensions, content hash (hex), JSON array of { id, chunk_no, char_from, char_to, embedding (text) }. */
export const insertEmbeddings = statement<Record<string, never>>(
  'insert_embeddings',
  `insert into ai_embeddings (id, org_id, document_id, model_id, dims, chunk_no, char_from, char_to, content_hash, embedding)
   select c.id, (select nullif(current_setting('app.current_org_id', true), '')::uuid), $1::uuid, $2::smallint, $3::smallint,
          c.chunk_no, c.char_from, c.char_to, decode($4, 'hex'), c.embedding::vector
     from jsonb_to_recordset($5::jsonb) as c(id uuid, chunk_no int, char_from int, char_to int, embedding text)`,
);

/** Writes the summary without touching version or updated_at. Values: document id, summary (JSON), content hash (hex). */
export const writeSummary = statement<Record<string, never>>(
  'write_summary',
  `update documents set ai_summary = $2::jsonb, ai_metadata = ai_metadata || jsonb_build_object('summary_of', $3::text)
    where id = $1::uuid`,
);

/** Notes that the full-text engine has a version, if it is still the present one; no row otherwise. Values: document id, version. */
export const markIndexed = statement<{ id: string }>(
  'mark_indexed',
  `update documents set indexed_version = $2::int, indexed_at = now() where id = $1::uuid and version = $2::int returning id`,
);
