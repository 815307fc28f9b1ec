/** What can be done to a membership: another role, removal, and leaving. */
import type { Role } from '@novax/contracts/permissions';
import { difference } from '@novax/db/audit';
import { deleteMembership, membershipOf, readMember, revokeKeysOf, setMemberRole } from '@novax/db/queries/members';
import type { TenantTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { holdAsManager } from './hold.ts';
import { withdrawPending } from './invitations.ts';

/**
 * Gives somebody else another role, and withdraws an invitation that would give them yet another; the role they have already changes nothing. Nobody
 * changes their own, so that no admin shuts themselves out by mistake.
 * Throws NOT_FOUND for somebody who is no member, CONFLICT for the owner and for oneself, FORBIDDEN for an actor who is no admin any more.
 */
export async function updateRole(
  tx: TenantTx,
  input: { readonly userId: string; readonly role: Exclude<Role, 'owner'> },
): ReturnType<typeof readMember> {
  const { userId, role } = input;
  await holdAsManager(tx);
  const before = await membershipOf(tx, userId);
  if (before.role === 'owner') throw mustHandOver();
  if (userId === tx.actor.userId)
    throw new AppError('CONFLICT', { detail: 'own role', text: 'Nobody changes their own role; ask another admin.' });
  if (before.role !== role) {
    await withdrawPending(tx, (await readMember(tx, userId)).email);
    const after = await setMemberRole(tx, userId, role);
    if (after === null) throw new AppError('NOT_FOUND', { detail: `user ${userId} is no member` });
    tx.emit('member.updated', { memberId: after.id, userId, role }, after);
    const changed = difference({ role: before.role }, { role });
    tx.audit({ action: 'update', entityType: 'org_members', entityId: after.id, ...changed });
  }
  return readMember(tx, userId);
}

/**
 * Takes somebody out, at once: their keys and open invitations go in the same transaction, what they wrote stays.
 * Throws NOT_FOUND for somebody who is no member, CONFLICT for the owner, FORBIDDEN for an actor who is no admin any more.
 */
export async function removeMember(tx: TenantTx, userId: string): Promise<{ ok: true }> {
  await holdAsManager(tx);
  const { email, role } = await readMember(tx, userId);
  if (role === 'owner') throw mustHandOver();
  await withdrawPending(tx, email);
  for (const { id, name, prefix } of await revokeKeysOf(tx, userId)) {
    const before = { name, prefix, status: 'active' };
    tx.audit({ action: 'delete', entityType: 'api_keys', entityId: id, before, after: { status: 'revoked' } });
  }
  return endMembership(tx, userId);
}

/**
 * Ends the actor's own membership; the database ends their keys and invitations, which not every role can see.
 * Throws CONFLICT for the owner, NOT_FOUND when somebody else was faster.
 */
export function leaveOrganization(tx: TenantTx): Promise<{ ok: true }> {
  // Takes no hold of the organization, which only its admins may: the row itself keeps a transfer to this person and their leaving apart.
  return endMembership(tx, tx.actor.userId ?? '');
}

async function endMembership(tx: TenantTx, userId: string): Promise<{ ok: true }> {
  const ended = await deleteMembership(tx, userId);
  if (ended === null) {
    await membershipOf(tx, userId);
    throw mustHandOver();
  }
  const { id, role, version } = ended;
  tx.emit('member.removed', { memberId: id, userId, role }, { id, version: version + 1 });
  tx.audit({
    action: 'delete',
    entityType: 'org_members',
    entityId: id,
    before: { userId, role },
    after: null,
  });
  return { ok: true };
}

function mustHandOver(): AppError {
  return new AppError('CONFLICT', {
    detail: 'the member is the owner',
    text: 'The owner has to hand the organization over first.',
  });
}
