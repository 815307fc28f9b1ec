/** Documents: Markdown with a version, a summary and a meaning. */
import { z } from 'zod';
import { aiSummarySchema } from '../ai-metadata.ts';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { mutation, query } from '../procedure.ts';

const titleSchema = z.string().trim().min(1).max(500);
/** Characters; the request body's cap (1 MiB) binds first for text outside ASCII. */
const contentSchema = z.string().max(1_000_000);

export const documentStatuses = ['draft', 'active', 'archived', 'deleted'] as const;
export const documentLanguages = ['simple', 'english', 'indonesian'] as const;

export const documentView = z.object({
  id: idSchema,
  organizationId: idSchema,
  projectId: idSchema,
  authorId: idSchema,
  title: z.string(),
  content: z.string(),
  status: z.enum(documentStatuses),
  language: z.enum(documentLanguages),
  version: z.int().describe('Pass it to `documents.update`; a stale one answers VERSION_CONFLICT.'),
  aiSummary: aiSummarySchema.nullable().describe('Null until the summarizer has read this document.'),
  createdAt: instantSchema,
  updatedAt: instantSchema,
});
export type DocumentView = z.output<typeof documentView>;

/** A document in a list: everything but its content. */
export const documentListItem = documentView.omit({ content: true });
export type DocumentListItem = z.output<typeof documentListItem>;

const write = {
  scope: 'document',
  target: 'id',
  needs: 'document:write',
  tx: 'write',
  limit: 'write',
  latency: 'fast',
} as const;
const missing = ['NOT_FOUND', 'FORBIDDEN'] as const;

export const documents = {
  create: mutation({
    summary: 'Creates a document; it is searchable by meaning about a second later.',
    input: z.object({
      projectId: idSchema,
      title: titleSchema,
      content: contentSchema,
      status: z.enum(['draft', 'active']).default('active'),
      language: z
        .enum(documentLanguages)
        .optional()
        .describe('Optional: stemming of full-text search; absent takes the project’s.'),
    }),
    output: documentView,
    ...write,
    scope: 'project',
    target: 'projectId',
    errors: missing,
    rest: 'POST /documents',
    status: 201,
  }),
  get: query({
    summary: 'One document, whole.',
    input: z.object({ id: idSchema }),
    output: documentView,
    scope: 'document',
    needs: 'document:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'GET /documents/:id',
  }),
  list: query({
    summary: "A project's documents that are not deleted, newest first, without their content.",
    input: z.object({ projectId: idSchema, ...pageInput }),
    output: pageOf(documentListItem),
    scope: 'project',
    needs: 'document:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'GET /documents',
  }),
  update: mutation({
    summary: 'Changes title or content of the version the caller read.',
    input: z.object({
      id: idSchema,
      version: z.int().min(1),
      title: titleSchema.optional().describe('Optional: absent leaves it as it is.'),
      content: contentSchema.optional().describe('Optional: absent leaves it as it is.'),
    }),
    output: documentView,
    ...write,
    errors: [...missing, 'VERSION_CONFLICT'],
    rest: 'PATCH /documents/:id',
  }),
  archive: mutation({
    summary: 'Archives a document: readable, not found by search.',
    input: z.object({ id: idSchema }),
    output: documentView,
    ...write,
    errors: missing,
    rest: 'POST /documents/:id/archive',
  }),
  delete: mutation({
    summary: 'Marks a document deleted; it is purged after the retention period.',
    input: z.object({ id: idSchema }),
    output: z.object({ id: idSchema, status: z.literal('deleted') }),
    ...write,
    needs: 'document:delete',
    errors: missing,
    rest: 'DELETE /documents/:id',
  }),
};
