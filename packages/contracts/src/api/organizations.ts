/** Organizations: the tenants. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { mutation, query } from '../procedure.ts';

const nameSchema = z.string().trim().min(1).max(120);
export const slugSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'Use 1–63 lower-case letters, digits and dashes.');
const settingsSchema = z.record(z.string().max(60), z.json());
/** Lower-case domain names; who is invited or joins must have an address in one of them. */
const domainsSchema = z
  .array(z.string().regex(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/, 'A domain such as example.com.'))
  .max(50);

export const organizationView = z.object({
  id: idSchema,
  name: z.string(),
  slug: z.string(),
  settings: settingsSchema,
  allowedDomains: z.array(z.string()).describe('Empty lets in any address that is invited.'),
  ownerId: idSchema,
  status: z.enum(['active', 'suspended', 'deleted']),
  createdAt: instantSchema,
  updatedAt: instantSchema,
});
export type OrganizationView = z.output<typeof organizationView>;

export const organizations = {
  create: mutation({
    summary: 'Creates an organization owned by the caller.',
    input: z.object({ name: nameSchema, slug: slugSchema }),
    output: organizationView,
    scope: 'user',
    tx: 'none',
    limit: 'write',
    latency: 'fast',
    errors: ['ALREADY_EXISTS'],
    rest: 'POST /organizations',
    status: 201,
  }),
  get: query({
    summary: 'One organization of the caller.',
    input: z.object({ id: idSchema }),
    output: organizationView,
    scope: 'organization',
    needs: 'organization:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'GET /organizations/:id',
  }),
  list: query({
    summary: 'The organizations the caller belongs to, newest first.',
    input: z.object(pageInput),
    output: pageOf(organizationView),
    scope: 'user',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: [],
    rest: 'GET /organizations',
  }),
  update: mutation({
    summary: 'Renames an organization or changes its settings.',
    input: z.object({
      id: idSchema,
      name: nameSchema.optional().describe('Optional: absent leaves it as it is.'),
      settings: settingsSchema.optional().describe('Optional: absent leaves them as they are.'),
      allowedDomains: domainsSchema.optional().describe('Optional: absent leaves them as they are.'),
    }),
    output: organizationView,
    scope: 'organization',
    target: 'id',
    needs: 'organization:update',
    tx: 'write',
    limit: 'write',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'PATCH /organizations/:id',
  }),
  transferOwnership: mutation({
    summary: 'Makes another member the owner; the owner before becomes an admin.',
    input: z.object({ id: idSchema, toUserId: idSchema }),
    output: organizationView,
    scope: 'organization',
    target: 'id',
    needs: 'organization:transfer',
    tx: 'write',
    limit: 'write',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /organizations/:id/transfer-ownership',
  }),
  delete: mutation({
    summary: 'Marks an organization deleted; its content is purged after the retention period.',
    input: z.object({ id: idSchema }),
    output: z.object({ id: idSchema, status: z.literal('deleted') }),
    scope: 'organization',
    target: 'id',
    needs: 'organization:delete',
    tx: 'write',
    limit: 'write',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'DELETE /organizations/:id',
  }),
};
