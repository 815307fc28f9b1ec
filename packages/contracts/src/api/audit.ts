/** The audit trail of an organization. */
import { z } from 'zod';
import { actorTypes } from '../events/envelope.ts';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { mutation, query } from '../procedure.ts';

const value = z.record(z.string(), z.json()).nullable();

export const auditEntryView = z.object({
  id: z.string().describe('Rises with time; a whole number as text.'),
  actorType: z.enum(actorTypes),
  actorId: idSchema.nullable(),
  apiKeyId: idSchema.nullable().describe('The key that was used, when one was.'),
  action: z.enum(['create', 'update', 'delete', 'access']),
  entityType: z.string(),
  entityId: idSchema,
  before: value.describe('Changed fields before; personal ones of erased people read `[erased]`.'),
  after: value.describe('Changed fields after.'),
  network: z.string().nullable().describe("The caller's network; the full address is sealed."),
  requestId: z.string().nullable(),
  createdAt: instantSchema,
});
export type AuditEntryView = z.output<typeof auditEntryView>;

const filters = {
  from: instantSchema.optional().describe('Optional: absent begins at the first entry.'),
  to: instantSchema.optional().describe('Optional: absent ends now.'),
};

export const audit = {
  list: query({
    summary: "An organization's audit trail, newest first.",
    input: z.object({
      organizationId: idSchema,
      entityType: z.string().min(1).max(100).optional().describe('Optional: absent takes every kind.'),
      entityId: idSchema.optional().describe('Optional: absent takes every thing.'),
      actorId: idSchema.optional().describe('Optional: absent takes everybody.'),
      ...filters,
      ...pageInput,
    }),
    output: pageOf(auditEntryView),
    scope: 'organization',
    target: 'organizationId',
    needs: 'audit:read',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'GET /organizations/:organizationId/audit',
  }),
  export: mutation({
    summary: 'A page of the audit trail as JSON lines, oldest first; the export itself goes on record.',
    input: z.object({
      organizationId: idSchema,
      ...filters,
      limit: z.int().min(1).max(1_000).default(1_000),
      cursor: pageInput.cursor,
    }),
    output: z.object({ lines: z.string(), count: z.int(), nextCursor: z.string().nullable() }),
    scope: 'organization',
    target: 'organizationId',
    needs: 'audit:read',
    tx: 'write',
    limit: 'write',
    latency: 'bulk',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /organizations/:organizationId/audit/export',
  }),
  verify: mutation({
    summary: "Checks an organization's audit trail against its seals and names the first broken entry.",
    input: z.object({ organizationId: idSchema }),
    output: z.object({
      ok: z.boolean(),
      seals: z.int(),
      entries: z.int().describe('Entries under a seal.'),
      pending: z.int().describe('Entries too young to be sealed.'),
      head: z.object({ sealNo: z.int(), hash: z.string(), anchoredAt: instantSchema.nullable() }).nullable(),
      firstBroken: z
        .object({ sealNo: z.int(), auditId: z.string().nullable(), problem: z.string() })
        .nullable()
        .describe('Null when everything holds.'),
    }),
    scope: 'organization',
    target: 'organizationId',
    needs: 'audit:read',
    tx: 'write',
    limit: 'write',
    latency: 'bulk',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /organizations/:organizationId/audit/verify',
  }),
};
