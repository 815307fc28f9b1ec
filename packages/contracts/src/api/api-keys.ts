/** API keys: programs that act as their maker, inside one organization, within their scopes. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { actions } from '../permissions.ts';
import { mutation, query } from '../procedure.ts';
import { ok } from './auth.ts';

const scopesSchema = z.array(z.enum(actions)).min(1).max(actions.length);

const apiKeyView = z.object({
  id: idSchema,
  organizationId: idSchema,
  creatorId: idSchema,
  name: z.string(),
  prefix: z.string().describe('The beginning of the key, to tell keys apart.'),
  scopes: z.array(z.string()),
  status: z.enum(['active', 'revoked']),
  expiresAt: instantSchema.nullable(),
  lastUsedAt: instantSchema.nullable().describe('To the minute.'),
  createdAt: instantSchema,
});

export const apiKeys = {
  create: mutation({
    summary: 'Makes an API key; the key itself is shown this once.',
    input: z.object({
      organizationId: idSchema,
      name: z.string().trim().min(1).max(100),
      scopes: scopesSchema.describe('What the key may do; never more than its maker may at the time of the call.'),
      expiresAt: instantSchema.optional().describe('Optional: absent lasts 90 days; a year at most.'),
    }),
    output: apiKeyView.extend({ key: z.string() }),
    scope: 'organization',
    target: 'organizationId',
    needs: 'apiKey:manage',
    tx: 'write',
    limit: 'write',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /organizations/:organizationId/api-keys',
    status: 201,
  }),
  list: query({
    summary: "An organization's API keys, newest first.",
    input: z.object({ organizationId: idSchema, ...pageInput }),
    output: pageOf(apiKeyView),
    scope: 'organization',
    target: 'organizationId',
    needs: 'apiKey:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'GET /organizations/:organizationId/api-keys',
  }),
  revoke: mutation({
    summary: 'Ends an API key; every node refuses it within a second.',
    input: z.object({ id: idSchema }),
    output: ok,
    scope: 'apiKey',
    target: 'id',
    needs: 'apiKey:manage',
    tx: 'write',
    limit: 'write',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'DELETE /api-keys/:id',
  }),
};
