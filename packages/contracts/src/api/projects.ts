/** Projects: where documents and tasks live. */
import { z } from 'zod';
import { aiContextSchema } from '../ai-metadata.ts';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { mutation, query } from '../procedure.ts';

const nameSchema = z.string().trim().min(1).max(200);
const descriptionSchema = z.string().max(10_000);
const absent = 'Optional: absent leaves it as it is.';

export const projectView = z.object({
  id: idSchema,
  organizationId: idSchema,
  name: z.string(),
  description: z.string(),
  aiContext: z.record(z.string(), z.json()),
  status: z.enum(['active', 'archived', 'deleted']),
  createdAt: instantSchema,
  updatedAt: instantSchema,
});
export type ProjectView = z.output<typeof projectView>;

const write = { scope: 'project', target: 'id', tx: 'write', limit: 'write', latency: 'fast' } as const;

export const projects = {
  create: mutation({
    summary: 'Creates a project in an organization.',
    input: z.object({
      organizationId: idSchema,
      name: nameSchema,
      description: descriptionSchema.default(''),
      aiContext: aiContextSchema.optional().describe('Optional: how the internal AI should treat the project.'),
    }),
    output: projectView,
    ...write,
    scope: 'organization',
    target: 'organizationId',
    needs: 'project:write',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /projects',
    status: 201,
  }),
  get: query({
    summary: 'One project.',
    input: z.object({ id: idSchema }),
    output: projectView,
    scope: 'project',
    needs: 'project:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'GET /projects/:id',
  }),
  list: query({
    summary: "An organization's projects that are not deleted, newest first.",
    input: z.object({ organizationId: idSchema, ...pageInput }),
    output: pageOf(projectView),
    scope: 'organization',
    needs: 'project:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'GET /projects',
  }),
  update: mutation({
    summary: 'Changes a project.',
    input: z.object({
      id: idSchema,
      name: nameSchema.optional().describe(absent),
      description: descriptionSchema.optional().describe(absent),
      aiContext: aiContextSchema.optional().describe(absent),
    }),
    output: projectView,
    ...write,
    needs: 'project:write',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'PATCH /projects/:id',
  }),
  archive: mutation({
    summary: 'Archives a project: readable, out of the way.',
    input: z.object({ id: idSchema }),
    output: projectView,
    ...write,
    needs: 'project:write',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /projects/:id/archive',
  }),
  delete: mutation({
    summary: 'Marks a project deleted, and with it everything inside.',
    input: z.object({ id: idSchema }),
    output: z.object({ id: idSchema, status: z.literal('deleted') }),
    ...write,
    needs: 'project:delete',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'DELETE /projects/:id',
  }),
};
