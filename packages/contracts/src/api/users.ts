/** The signed-in person. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { roles } from '../permissions.ts';
import { query } from '../procedure.ts';

export const users = {
  me: query({
    summary: 'Who the caller is, and the organizations they belong to.',
    input: z.object({}),
    output: z.object({
      id: idSchema,
      email: z.string(),
      username: z.string(),
      status: z.enum(['active', 'suspended', 'deleted']),
      profileMetadata: z.record(z.string(), z.json()),
      createdAt: instantSchema,
      organizations: z.array(z.object({ id: idSchema, name: z.string(), slug: z.string(), role: z.enum(roles) })),
    }),
    scope: 'user',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: [],
    rest: 'GET /users/me',
  }),
};
