/** What the JSONB columns ai_context, ai_summary and ai_metadata hold (specification §14). */
import { z } from 'zod';
import { idSchema, instantSchema } from './ids.ts';

/** `projects.ai_context`: how the internal AI should see and treat a project. */
export const aiContextSchema = z.object({
  domain: z.string().max(100).optional(),
  keywords: z.array(z.string().max(60)).max(50).default([]),
  classification: z
    .object({
      industry: z.string().max(60).optional(),
      type: z.string().max(60).optional(),
      maturity: z.string().max(60).optional(),
    })
    .default({}),
  ai_instructions: z
    .object({
      summarization_style: z.string().max(60).optional(),
      /** BCP 47 language of answers and summaries, for example `id`. */
      language: z.string().max(20).optional(),
      response_format: z.string().max(60).optional(),
      context_window_priority: z.array(z.string().max(60)).max(20).default([]),
    })
    .default({ context_window_priority: [] }),
  relationships: z
    .object({
      parent_org: idSchema.optional(),
      related_projects: z.array(idSchema).max(50).default([]),
      tags: z.array(z.string().max(60)).max(50).default([]),
    })
    .default({ related_projects: [], tags: [] }),
});
export type AiContext = z.output<typeof aiContextSchema>;

/** `documents.ai_summary`: what a summarizer, local or a language model, wrote about a document. */
export const aiSummarySchema = z.object({
  summary: z.string(),
  key_topics: z.array(z.string()),
  sentiment: z.enum(['positive', 'neutral', 'negative']),
  /** 1 (plain) to 10 (dense). */
  complexity_score: z.number().min(1).max(10),
  generated_at: instantSchema,
  model: z.string(),
  confidence: z.number().min(0).max(1),
});
export type AiSummary = z.output<typeof aiSummarySchema>;

/** `ai_metadata` of documents and tasks: open facts an AI noted, keyed by name. */
export const aiMetadataSchema = z.record(z.string().max(60), z.json());
export type AiMetadata = z.output<typeof aiMetadataSchema>;
