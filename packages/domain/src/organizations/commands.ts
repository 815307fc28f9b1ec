/** What can be done to an organization. */
import type { OrganizationView } from '@novax/contracts/api/organizations';
import { auditable, difference } from '@novax/db/audit';
import type { Organization } from '@novax/db/entities/work';
import { createOrganizationRow, currentOrganization, readOrganization } from '@novax/db/queries/organizations';
import type { TenantTx } from '@novax/db/tx';

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
  input: { readonly name?: string | undefined; readonly settings?: OrganizationView['settings'] | undefined },
): Promise<OrganizationView> {
  const organization = await currentOrganization(tx);
  const before = fieldsOf(organization);
  organization.name = input.name ?? organization.name;
  organization.settings = input.settings ?? organization.settings;
  const changed = difference(before, fieldsOf(organization));
  if (Object.keys(changed.after ?? {}).length > 0) {
    organization.version += 1;
    tx.emit('organization.updated', { organizationId: tx.orgId }, organization);
    tx.audit({ action: 'update', entityType: 'organizations', entityId: tx.orgId, ...changed });
  }
  return readOrganization(tx);
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
  const { name, settings, status } = organization;
  return { name, settings, status };
}
