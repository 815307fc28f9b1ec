/** What can be done to an organization. */
import type { OrganizationView } from '@novax/contracts/api/organizations';
import { auditable, difference } from '@novax/db/audit';
import type { Organization } from '@novax/db/entities/work';
import { isActiveMember, setMemberRole } from '@novax/db/queries/members';
import { createOrganizationRow, currentOrganization, readOrganization } from '@novax/db/queries/organizations';
import type { TenantTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';

/** Creates the transaction's organization with the actor as its owner. Throws ALREADY_EXISTS for a taken slug. */
export async function createOrganization(
  tx: TenantTx,
  input: { readonly name: string; readonly slug: string },
): Promise<OrganizationView> {
  await createOrganizationRow(tx, input);
  tx.emit('organization.created', { organizationId: tx.orgId, slug: input.slug }, { id: tx.orgId, version: 1 });
  tx.audit({
    action: 'create',
    entityType: 'organizations',
    entityId: tx.orgId,
    before: null,
    after: auditable(input),
  });
  return readOrganization(tx);
}

/** Renames the organization or replaces its settings. Throws NOT_FOUND. */
export async function updateOrganization(
  tx: TenantTx,
  input: {
    readonly name?: string | undefined;
    readonly settings?: OrganizationView['settings'] | undefined;
    readonly allowedDomains?: string[] | undefined;
  },
): Promise<OrganizationView> {
  const organization = await currentOrganization(tx);
  const before = fieldsOf(organization);
  organization.name = input.name ?? organization.name;
  organization.settings = input.settings ?? organization.settings;
  organization.allowedDomains = input.allowedDomains ?? organization.allowedDomains;
  const changed = difference(before, fieldsOf(organization));
  if (Object.keys(changed.after ?? {}).length > 0) {
    organization.version += 1;
    tx.emit('organization.updated', { organizationId: tx.orgId }, organization);
    tx.audit({ action: 'update', entityType: 'organizations', entityId: tx.orgId, ...changed });
  }
  return readOrganization(tx);
}

/**
 * Makes a member the owner and the owner before an admin; to oneself it changes nothing.
 * Throws NOT_FOUND, also for somebody who is no member or is suspended.
 */
export async function transferOwnership(tx: TenantTx, toUserId: string): Promise<OrganizationView> {
  const organization = await currentOrganization(tx);
  const fromUserId = organization.ownerId;
  if (toUserId === fromUserId) return readOrganization(tx);
  const owner = (await isActiveMember(tx, toUserId)) ? await setMemberRole(tx, toUserId, 'owner') : null;
  if (owner === null) throw new AppError('NOT_FOUND', { detail: `user ${toUserId} is no active member` });
  organization.ownerId = toUserId;
  organization.version += 1;
  const view = await readOrganization(tx);
  // Last: from here on the person who acts may no longer be an owner.
  const admin = await setMemberRole(tx, fromUserId, 'admin');
  tx.emit('organization.transferred', { organizationId: tx.orgId, fromUserId, toUserId }, organization);
  tx.emit('member.updated', { memberId: owner.id, userId: toUserId, role: 'owner' }, owner);
  if (admin !== null) tx.emit('member.updated', { memberId: admin.id, userId: fromUserId, role: 'admin' }, admin);
  tx.audit({
    action: 'update',
    entityType: 'organizations',
    entityId: tx.orgId,
    before: { ownerId: fromUserId },
    after: { ownerId: toUserId },
  });
  return view;
}

/** Marks the organization deleted; at commit nobody is a member any more, so everything inside is out of sight. Throws NOT_FOUND. */
export async function deleteOrganization(tx: TenantTx): Promise<{ id: string; status: 'deleted' }> {
  const organization = await currentOrganization(tx);
  const before = fieldsOf(organization);
  organization.status = 'deleted';
  organization.version += 1;
  tx.emit('organization.deleted', { organizationId: tx.orgId }, organization);
  tx.audit({
    action: 'delete',
    entityType: 'organizations',
    entityId: tx.orgId,
    before: auditable(before),
    after: null,
  });
  return { id: tx.orgId, status: 'deleted' };
}

function fieldsOf(organization: Organization) {
  const { name, settings, allowedDomains, status } = organization;
  return { name, settings, allowedDomains, status };
}
