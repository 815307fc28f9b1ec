/** Invitations: the way people come into an organization. */
import type { Page } from '@novax/contracts/page';
import type { Role } from '@novax/contracts/permissions';
import type { CallInfo } from '@novax/db/actor';
import { difference } from '@novax/db/audit';
import { auditPerson, emitPerson } from '@novax/db/queries/auth';
import { readCursor, toPage } from '@novax/db/queries/cursor';
import {
  acceptInvitation as acceptStatement,
  domainAllowed,
  endPendingInvitation,
  insertInvitation,
  invitationOrganization,
  invitationStatus,
  invitationView,
  listInvitations as listStatement,
  revokePendingInvitation,
} from '@novax/db/queries/invitations';
import { queueMail } from '@novax/db/queries/mails';
import type { Database, TenantTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';
import { secretHash } from '../auth/sessions.ts';
import type { Reader } from '../reader.ts';
import { holdAsManager } from './hold.ts';

/** How long an invitation can be accepted. */
const invitationMs = 7 * 24 * 60 * 60 * 1000;

/**
 * Owes an invitation to an address, in place of one that is still pending. Whether the address is anybody's, or a member's, is never looked up:
 * the answer and its time tell nothing about people. Throws VALIDATION_FAILED for an address outside the organization's domains.
 */
export async function invite(
  tx: TenantTx,
  input: { readonly email: string; readonly role: Exclude<Role, 'owner'> },
): Promise<ReturnType<typeof invitationView>> {
  const { email, role } = input;
  const address = email.toLowerCase();
  await holdAsManager(tx);
  const [domain] = await tx.sql(domainAllowed, [tx.orgId, address]);
  if (domain?.allowed !== true)
    throw new AppError('VALIDATION_FAILED', {
      detail: 'address outside the allowed domains',
      issues: [{ path: 'email', message: 'The organization admits addresses of its own domains alone.' }],
    });
  await withdrawPending(tx, address);
  const id = newId();
  const expiresAt = new Date(tx.now.getTime() + invitationMs);
  const [row] = await tx.sql(insertInvitation, [id, tx.orgId, tx.actor.userId, email, address, role, expiresAt]);
  if (row === undefined) throw new Error('an inserted invitation answers its row');
  await queueMail(tx, { kind: 'invitation', email, invitationId: id, requestId: tx.call.requestId });
  tx.emit('invitation.created', { invitationId: id }, { id, version: 1 });
  // The address is a person's and no business of the trail; its domain tells enough.
  const after = { domain: address.slice(address.lastIndexOf('@') + 1), role, expiresAt: expiresAt.toISOString() };
  tx.audit({ action: 'create', entityType: 'invitations', entityId: id, before: null, after });
  return invitationView(row);
}

/** The invitations of an organization, newest first, for those who may see them. */
export async function listInvitations(
  reader: Reader,
  input: { readonly organizationId: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<ReturnType<typeof invitationView>>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listStatement, [input.organizationId, at, id, input.limit + 1]);
  return toPage(rows, input.limit, invitationView);
}

/** Withdraws an invitation; doing it twice changes nothing. Throws NOT_FOUND, CONFLICT for one that was accepted. */
export async function revokeInvitation(tx: TenantTx, id: string): Promise<{ ok: true }> {
  const [revoked] = await tx.sql(revokePendingInvitation, [tx.orgId, id]);
  if (revoked !== undefined) {
    ended(tx, id, 'revoked');
    return { ok: true };
  }
  const [found] = await tx.sql(invitationStatus, [tx.orgId, id]);
  if (found === undefined) throw new AppError('NOT_FOUND', { detail: `invitation ${id}` });
  if (found.status === 'accepted')
    throw new AppError('CONFLICT', {
      detail: `invitation ${id} was accepted`,
      text: 'The invitation has been accepted; remove the member instead.',
    });
  return { ok: true };
}

/** Ends the pending invitation of an address, if there is one. */
export async function withdrawPending(tx: TenantTx, email: string): Promise<void> {
  const rows = await tx.sql(endPendingInvitation, [tx.orgId, email.toLowerCase()]);
  for (const { id, status } of rows) ended(tx, id, status);
}

/** An invitation is pending no more: once, so version 2 of its events. */
function ended(tx: TenantTx, id: string, status: string): void {
  if (status === 'revoked') tx.emit('invitation.revoked', { invitationId: id }, { id, version: 2 });
  const changed = difference({ status: 'pending' }, { status });
  tx.audit({ action: 'update', entityType: 'invitations', entityId: id, ...changed });
}

/**
 * Makes the person a member, or gives a member the invitation's role when that is the stronger one; accepting twice says the same. The mail
 * proves the person's address. Throws NOT_FOUND, the same for a token that is unknown, withdrawn, used, overdue, or meant for another address.
 */
export async function acceptInvitation(
  parts: { readonly db: Database; readonly reader: Reader },
  input: { readonly token: string; readonly call: CallInfo },
): Promise<{ organizationId: string; role: Role }> {
  const { db, reader } = parts;
  const { call } = input;
  const { userId } = reader;
  const hash = secretHash(input.token);
  const [meant] = await reader.read(invitationOrganization, [hash]);
  const organizationId = meant?.org_id ?? null;
  if (organizationId === null) throw new AppError('NOT_FOUND', { detail: 'no invitation has this token' });
  return db.tenant({ orgId: organizationId, actor: { type: 'user', userId }, call }, async (tx) => {
    const [accepted] = await tx.sql(acceptStatement, [hash, userId]);
    if (accepted === undefined) throw new AppError('NOT_FOUND', { detail: 'the invitation opens nothing for them' });
    const { outcome, role, version, member_id: memberId, invitation_id: invitationId } = accepted;
    const about = { entityType: 'org_members', entityId: memberId } as const;
    if (outcome === 'joined') {
      tx.emit('member.joined', { memberId, userId, role }, { id: memberId, version });
      tx.audit({ action: 'create', ...about, before: null, after: { userId, role } });
    } else if (outcome === 'raised') {
      tx.emit('member.updated', { memberId, userId, role }, { id: memberId, version });
      tx.audit({ action: 'update', ...about, ...difference({ role: accepted.previous_role }, { role }) });
    }
    if (outcome !== 'repeated') ended(tx, invitationId, 'accepted');
    if (accepted.verified) await recordVerified(tx, userId);
    return { organizationId, role };
  });
}

async function recordVerified(tx: TenantTx, userId: string): Promise<void> {
  const { call } = tx;
  const after = { emailVerified: true };
  await auditPerson(tx, { userId, action: 'update', entityType: 'users', entityId: userId, after, call });
  await emitPerson(tx, { type: 'user.verified', userId, payload: { userId }, call });
}
