/** What the AI adds to a document: vectors and a summary, written back with their audit row and `document.enriched`. */
import type { AiContext } from '@novax/contracts/ai-metadata';
import { noCall } from '@novax/db/actor';
import {
  deleteEmbeddings,
  holdDocument,
  insertEmbeddings,
  readEnrichable,
  writeSummary,
  type EnrichableDocument,
} from '@novax/db/queries/enrichment';
import { receive } from '@novax/db/queries/inbox';
import type { Database, TenantTx } from '@novax/db/tx';
import { newId } from '@novax/runtime/ids';
import type { Embedder, Summarizer } from '../ports.ts';
import { vectorText } from '@novax/db/vector-text';
import { chunksOf, meanVector } from './chunks.ts';

export interface EnrichJob {
  readonly organizationId: string;
  readonly documentId: string;
  readonly event: { readonly id: string; readonly occurredAt: string; readonly version: number } | null;
  /** A rebuild of what was there before: it leaves no event and no entry of the trail, for nothing happened to the document. */
  readonly quiet?: true | undefined;
}

export interface EnrichParts {
  readonly db: Database;
  /** Id of the embedder's model in the registry. */
  readonly modelId: number;
  /** Aborted: nothing more is asked or written, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of a job: done now, done before, or no longer wanted. */
export type EnrichOutcome = 'written' | 'already' | 'gone' | 'superseded';

const ai = { type: 'ai', userId: null } as const;

/** Embeds a document's present text, once per text and model. Throws what the embedder throws. */
export async function embedDocument(
  parts: EnrichParts & { readonly embedder: Embedder },
  job: EnrichJob,
): Promise<EnrichOutcome> {
  const { embedder } = parts;
  const document = await read(parts, job);
  if (document === null) return 'gone';
  if (document.embedded) return 'already';
  const chunks = chunksOf(document, embedder.window);
  const vectors = await embedder.embed(
    chunks.map((chunk) => chunk.text),
    parts.signal,
  );
  const pieces = [{ no: 0, from: 0, to: document.content.length, vector: meanVector(vectors) }];
  // One piece is its own mean: storing it twice would only make it be found twice.
  if (chunks.length > 1) {
    for (const [index, chunk] of chunks.entries()) {
      const vector = vectors[index];
      if (vector !== undefined) pieces.push({ no: index + 1, from: chunk.from, to: chunk.to, vector });
    }
  }
  const rows = pieces.map(({ no, from, to, vector }) => ({
    id: newId(),
    chunk_no: no,
    char_from: from,
    char_to: to,
    embedding: vectorText(vector),
  }));
  return writeBack(parts, { job, document, consumer: 'embed-document' }, async (tx) => {
    await tx.sql(deleteEmbeddings, [document.id, parts.modelId]);
    await tx.sql(insertEmbeddings, [
      document.id,
      parts.modelId,
      embedder.dims,
      document.content_hash.toString('hex'),
      JSON.stringify(rows),
    ]);
    return {
      kind: 'embedding',
      model: embedder.modelId,
      after: { embedding: { model: embedder.modelId, vectors: rows.length } },
    };
  });
}

/** Summarizes a document's present text, once per text. Throws what the summarizer throws. */
export async function summarizeDocument(
  parts: EnrichParts & { readonly summarizer: Summarizer },
  job: EnrichJob,
): Promise<EnrichOutcome> {
  const { summarizer } = parts;
  const document = await read(parts, job);
  if (document === null) return 'gone';
  if (document.summarized) return 'already';
  const instructions: AiContext['ai_instructions'] | null = document.ai_context.ai_instructions ?? null;
  const summary = await summarizer.summarize(
    { title: document.title, content: document.content, instructions },
    parts.signal,
  );
  return writeBack(parts, { job, document, consumer: 'summarize-document' }, async (tx) => {
    const stored = { ...summary, generated_at: tx.now.toISOString() };
    await tx.sql(writeSummary, [document.id, JSON.stringify(stored), document.content_hash.toString('hex')]);
    return { kind: 'summary', model: summarizer.modelId, after: { ai_summary: stored } };
  });
}

async function read(parts: EnrichParts, job: EnrichJob): Promise<EnrichableDocument | null> {
  const context = { orgId: job.organizationId, actor: ai, call: noCall };
  const [row] = await parts.db.tenant(context, (tx) => tx.sql(readEnrichable, [job.documentId, parts.modelId]));
  return row === undefined || row.status === 'deleted' ? null : row;
}

interface Written {
  readonly kind: 'embedding' | 'summary';
  readonly model: string;
  readonly after: Readonly<Record<string, unknown>>;
}

/** One transaction: the document held still, the inbox row, the effect, and unless the job is quiet the trail and the event. A text that changed meanwhile owes a job of its own. */
async function writeBack(
  parts: EnrichParts,
  work: {
    readonly job: EnrichJob;
    readonly document: EnrichableDocument;
    readonly consumer: 'embed-document' | 'summarize-document';
  },
  effect: (tx: TenantTx) => Promise<Written>,
): Promise<EnrichOutcome> {
  const { job, document, consumer } = work;
  const organizationId = job.organizationId;
  parts.signal?.throwIfAborted();
  return parts.db.tenant({ orgId: organizationId, actor: ai, call: noCall }, async (tx) => {
    await tx.sql(holdDocument, [document.id]);
    const [now] = await tx.sql(readEnrichable, [document.id, parts.modelId]);
    if (now === undefined || now.status === 'deleted') return 'gone';
    if (!now.content_hash.equals(document.content_hash)) return 'superseded';
    // The same debt may be queued twice, by its event and by the reconciler: whoever comes second finds it paid.
    if (consumer === 'embed-document' ? now.embedded : now.summarized) return 'already';
    if (job.event !== null) {
      const { id, occurredAt, version } = job.event;
      const first = await receive(tx, {
        consumer,
        eventId: id,
        occurredAt,
        organizationId,
        aggregate: { id: document.id, version },
      });
      if (!first) return 'already';
    }
    const { kind, model, after } = await effect(tx);
    if (job.quiet === true) return 'written';
    tx.audit({ action: 'update', entityType: 'documents', entityId: document.id, before: null, after });
    const payload = { documentId: document.id, projectId: document.project_id, version: now.version, kind, model };
    tx.emit('document.enriched', payload, { id: document.id, version: now.version });
    return 'written';
  });
}
