/** Memberships as commands change them. */
import type { Role } from '@novax/contracts/permissions';
import { AppError } from '@novax/runtime/errors';
import { statement } from '../statement.ts';
import type { TenantTx } from '../tx.ts';
import { memberView, ownMembership, type MemberRow } from './organizations.ts';

/** One person's membership of the transaction's organization. */
export interface Membership {
  readonly id: string;
  readonly role: Role;
  readonly version: number;
}

/**
 * Holds the transaction's organization, so that changes of who belongs to it come one after the other, and answers the actor's role as it is
 * then: it may be weaker than the one that the gate saw. Throws NOT_FOUND for somebody who is no member any more.
 */
export async function holdMembers(tx: TenantTx): Promise<Role> {
  await tx.sql(hold, [tx.orgId]);
  // A statement of its own: the one that waited still sees what was before.
  const [own] = await tx.sql(ownMembership, [tx.orgId]);
  if (own === undefined) throw new AppError('NOT_FOUND', { detail: `${tx.actor.userId} is no member any more` });
  return own.role;
}
const hold = statement<{ id: string }>(
  'hold_members',
  `select id from organizations where id = $1::uuid for no key update`,
);

/** Somebody's membership of the transaction's organization. Throws NOT_FOUND. */
export async function membershipOf(tx: TenantTx, userId: string): Promise<Membership> {
  const [row] = await tx.sql(getMembership, [tx.orgId, userId]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `user ${userId} is no member` });
  return row;
}
const getMembership = statement<Membership>(
  'get_membership',
  `select id, role, version from org_members where org_id = $1::uuid and user_id = $2::uuid`,
);

/** Gives a member of the transaction's organization a role; null for somebody who is none. */
export async function setMemberRole(tx: TenantTx, userId: string, role: Role): Promise<Membership | null> {
  const [row] = await tx.sql(updateRole, [tx.orgId, userId, role]);
  return row ?? null;
}
const updateRole = statement<Membership>(
  'set_member_role',
  `update org_members set role = $3, version = version + 1 where org_id = $1::uuid and user_id = $2::uuid returning id, role, version`,
);

/** Revokes the live keys that a member made in the transaction's organization; only those who manage keys can. */
export function revokeKeysOf(
  tx: TenantTx,
  userId: string,
): Promise<readonly { readonly id: string; readonly name: string; readonly prefix: string }[]> {
  return tx.sql(revokeKeys, [tx.orgId, userId]);
}
const revokeKeys = statement<{ id: string; name: string; prefix: string }>(
  'revoke_keys_of_member',
  `update api_keys set status = 'revoked', revoked_at = now()
    where org_id = $1::uuid and creator_id = $2::uuid and status = 'active' returning id, name, prefix`,
);

/** Ends a membership, and with it the member's keys and open offers (by trigger); null for an owner and for somebody who is no member. */
export async function deleteMembership(tx: TenantTx, userId: string): Promise<Membership | null> {
  const [row] = await tx.sql(deleteMember, [tx.orgId, userId]);
  return row ?? null;
}
const deleteMember = statement<Membership>(
  'delete_member',
  `delete from org_members where org_id = $1::uuid and user_id = $2::uuid and role <> 'owner' returning id, role, version`,
);

/** A member as this transaction left them. Throws NOT_FOUND. */
export async function readMember(tx: TenantTx, userId: string): Promise<ReturnType<typeof memberView>> {
  const [row] = await tx.sql(getMember, [tx.orgId, userId]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `user ${userId} is no member` });
  return memberView(row);
}
const getMember = statement<MemberRow>(
  'get_member',
  `select user_id as id, username, email, role, joined_at from private.co_members($1::uuid) where user_id = $2::uuid`,
);

/** True for somebody who belongs to the transaction's organization and may act. */
export async function isActiveMember(tx: TenantTx, userId: string): Promise<boolean> {
  return (await tx.sql(activeMember, [tx.orgId, userId])).length > 0;
}
const activeMember = statement<Record<string, never>>(
  'active_member',
  `select from private.co_members($1::uuid) where user_id = $2::uuid and status = 'active'`,
);
