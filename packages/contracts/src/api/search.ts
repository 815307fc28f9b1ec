/** Search by words, by meaning, or both. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { query } from '../procedure.ts';

export const searchModes = ['fulltext', 'semantic', 'hybrid'] as const;
export type SearchMode = (typeof searchModes)[number];

export const searchHit = z.object({
  type: z.literal('document'),
  id: idSchema,
  projectId: idSchema,
  title: z.string(),
  snippet: z.string(),
  score: z
    .number()
    .describe(
      'Higher is better. fulltext: the engine’s rank; semantic: cosine similarity, -1 to 1; hybrid: reciprocal-rank fusion.',
    ),
  updatedAt: instantSchema,
});
export type SearchHit = z.output<typeof searchHit>;

/** What a search found: all of its answer that is the same for everybody who may ask. */
export const searchAnswer = z.object({
  hits: z.array(searchHit),
  degraded: z.boolean().describe('True when an engine was absent or down and a lesser one answered.'),
  engine: z.string().describe('What answered, for example `postgres` or `postgres+pgvector`.'),
});
export type SearchAnswer = z.output<typeof searchAnswer>;

export const search = {
  query: query({
    summary: 'Finds documents of one organization by words, by meaning, or by both.',
    input: z.object({
      organizationId: idSchema,
      q: z.string().trim().min(1).max(500),
      mode: z.enum(searchModes).default('hybrid'),
      projectId: idSchema.optional().describe('Optional: absent searches the whole organization.'),
      limit: z.int().min(1).max(50).default(10),
    }),
    output: searchAnswer.extend({ tookMs: z.number() }),
    scope: 'organization',
    needs: 'search:read',
    tx: 'none',
    limit: 'read',
    latency: 'search',
    errors: ['NOT_FOUND'],
    rest: 'GET /search',
  }),
};
