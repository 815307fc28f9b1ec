/** The people of an organization, and the invitations that make them. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { roles } from '../permissions.ts';
import { mutation, query } from '../procedure.ts';
import { emailSchema, ok } from './auth.ts';

/** Ownership is handed over, never given by mail or by a change of role. */
const givenRoleSchema = z.enum(['admin', 'member', 'viewer']);

const invitationView = z.object({
  id: idSchema,
  email: z.string(),
  role: givenRoleSchema,
  status: z.enum(['pending', 'accepted', 'revoked', 'expired']),
  expiresAt: instantSchema,
  createdAt: instantSchema,
});

const memberView = z.object({
  userId: idSchema,
  username: z.string(),
  email: z.string(),
  role: z.enum(roles),
  joinedAt: instantSchema,
});

const read = { scope: 'organization', tx: 'read', limit: 'read', latency: 'fast', errors: ['NOT_FOUND'] } as const;
const write = {
  scope: 'organization',
  target: 'organizationId',
  tx: 'write',
  limit: 'write',
  latency: 'fast',
} as const;

export const members = {
  list: query({
    summary: 'The people of an organization.',
    input: z.object({ organizationId: idSchema, ...pageInput }),
    output: pageOf(memberView),
    ...read,
    needs: 'member:read',
    rest: 'GET /organizations/:organizationId/members',
  }),
  invite: mutation({
    summary: 'Mails an invitation; inviting the same address again replaces the one before.',
    input: z.object({ organizationId: idSchema, email: emailSchema, role: givenRoleSchema.default('member') }),
    output: invitationView,
    ...write,
    needs: 'member:manage',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'POST /organizations/:organizationId/invitations',
    status: 201,
  }),
  listInvitations: query({
    summary: 'The invitations of an organization, newest first.',
    input: z.object({ organizationId: idSchema, ...pageInput }),
    output: pageOf(invitationView),
    ...read,
    target: 'organizationId',
    needs: 'invitation:read',
    errors: ['NOT_FOUND', 'FORBIDDEN'],
    rest: 'GET /organizations/:organizationId/invitations',
  }),
  revokeInvitation: mutation({
    summary: 'Withdraws an invitation that nobody has accepted yet.',
    input: z.object({ id: idSchema }),
    output: ok,
    ...write,
    scope: 'invitation',
    target: 'id',
    needs: 'member:manage',
    errors: ['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'],
    rest: 'DELETE /invitations/:id',
  }),
  acceptInvitation: mutation({
    summary: 'Joins the organization of an invitation that was mailed to the caller.',
    input: z.object({ token: z.string().min(20).max(200) }),
    output: z.object({ organizationId: idSchema, role: z.enum(roles) }),
    scope: 'user',
    tx: 'none',
    limit: 'signIn',
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'POST /invitations/accept',
  }),
  updateRole: mutation({
    summary: 'Changes the role of a member who is not the owner.',
    input: z.object({ organizationId: idSchema, userId: idSchema, role: givenRoleSchema }),
    output: memberView,
    ...write,
    needs: 'member:manage',
    errors: ['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'],
    rest: 'PATCH /organizations/:organizationId/members/:userId',
  }),
  remove: mutation({
    summary: 'Takes somebody out of the organization; what they wrote stays.',
    input: z.object({ organizationId: idSchema, userId: idSchema }),
    output: ok,
    ...write,
    needs: 'member:manage',
    errors: ['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'],
    rest: 'DELETE /organizations/:organizationId/members/:userId',
  }),
  leave: mutation({
    summary: 'Leaves an organization; its owner has to hand it over first.',
    input: z.object({ organizationId: idSchema }),
    output: ok,
    ...write,
    needs: 'organization:leave',
    errors: ['NOT_FOUND', 'FORBIDDEN', 'CONFLICT'],
    rest: 'POST /organizations/:organizationId/leave',
  }),
};
