/** Reads of organizations and their people. */
import type { OrganizationView } from '@novax/contracts/api/organizations';
import type { Role } from '@novax/contracts/permissions';
import { AppError } from '@novax/runtime/errors';
import { LockMode } from '@mikro-orm/core';
import { Organization } from '../entities/work.ts';
import { constraintOf } from '../errors.ts';
import { statement } from '../statement.ts';
import type { TenantTx } from '../tx.ts';
import { instant } from './instant.ts';

interface OrganizationRow {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  readonly settings: OrganizationView['settings'];
  readonly allowed_domains: string[];
  readonly owner_id: string;
  readonly status: OrganizationView['status'];
  readonly created_at: string | Date;
  readonly updated_at: string | Date;
}

const columns =
  'id, name, slug, settings, array_to_json(allowed_domains) as allowed_domains, owner_id, status, created_at, updated_at';

/** Values: organization id. */
export const getOrganization = statement<OrganizationRow>(
  'get_organization',
  `select ${columns} from organizations where id = $1::uuid and status <> 'deleted'`,
);

/** Values: cursor's created_at and id, rows at most. */
export const listOrganizations = statement<OrganizationRow & { readonly cursor_at: string }>(
  'list_organizations',
  `select ${columns}, created_at::text as cursor_at from organizations
    where status <> 'deleted' and (created_at, id) < ($1::timestamptz, $2::uuid)
    order by created_at desc, id desc limit $3`,
);

/** The row as the contract shows it. */
export function organizationView(row: OrganizationRow): OrganizationView {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    settings: row.settings,
    allowedDomains: row.allowed_domains,
    ownerId: row.owner_id,
    status: row.status,
    createdAt: instant(row.created_at),
    updatedAt: instant(row.updated_at),
  };
}

/** The organization as this transaction left it. */
export async function readOrganization(tx: TenantTx): Promise<OrganizationView> {
  await tx.flush();
  const [row] = await tx.sql(readInTx, [tx.orgId]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `organization ${tx.orgId}` });
  return organizationView(row);
}
const readInTx = statement<OrganizationRow>(
  'read_organization',
  `select ${columns} from organizations where id = $1::uuid`,
);

/** The transaction's organization, locked. Throws NOT_FOUND. */
export async function currentOrganization(tx: TenantTx): Promise<Organization> {
  const organization = await tx.em.findOne(
    Organization,
    { id: tx.orgId, status: { $ne: 'deleted' } },
    { lockMode: LockMode.PESSIMISTIC_WRITE },
  );
  if (organization === null) throw new AppError('NOT_FOUND', { detail: `organization ${tx.orgId}` });
  return organization;
}

/** Values: organization id; answers the caller's own role there, or no row. */
export const ownMembership = statement<{ org_id: string; role: Role }>(
  'own_membership',
  `select org_id, role from app.memberships where org_id = $1::uuid`,
);

/** Inserts the transaction's organization with the actor as owner. Throws ALREADY_EXISTS for a taken slug. */
export async function createOrganizationRow(
  tx: TenantTx,
  input: { readonly name: string; readonly slug: string },
): Promise<void> {
  try {
    await tx.sql(createRow, [tx.orgId, input.name, input.slug, tx.actor.userId]);
  } catch (thrown) {
    if (constraintOf(thrown) !== 'idx_organizations_slug') throw thrown;
    throw new AppError('ALREADY_EXISTS', {
      cause: thrown,
      issues: [{ path: 'slug', message: 'is taken' }],
      text: 'That slug is taken.',
    });
  }
}
const createRow = statement<{ id: string }>(
  'create_organization',
  'select id from private.create_organization($1::uuid, $2, $3, $4::uuid)',
);

/** One member as a list shows them. */
export interface MemberRow {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  readonly role: Role;
  readonly joined_at: string | Date;
}

/** Newest first; nothing for an organization that is not the caller's. Values: organization id, cursor's joined_at and user id, rows at most. */
export const listMembers = statement<MemberRow & { readonly cursor_at: string }>(
  'list_members',
  `select user_id as id, username, email, role, joined_at, joined_at::text as cursor_at from private.co_members($1::uuid)
    where (joined_at, user_id) < ($2::timestamptz, $3::uuid) order by joined_at desc, user_id desc limit $4`,
);

/** The row as the contract shows it. */
export function memberView(row: MemberRow) {
  return { userId: row.id, username: row.username, email: row.email, role: row.role, joinedAt: instant(row.joined_at) };
}
