/** Reads of organizations and members through the read lane. */
import type { OrganizationView } from '@novax/contracts/api/organizations';
import type { Page } from '@novax/contracts/page';
import type { Role } from '@novax/contracts/permissions';
import { readCursor, toPage } from '@novax/db/queries/cursor';
import {
  getOrganization,
  listMembers as listMembersStatement,
  listOrganizations as listStatement,
  memberView,
  organizationView,
  ownMembership,
} from '@novax/db/queries/organizations';
import { AppError } from '@novax/runtime/errors';
import type { Reader } from '../reader.ts';

/** One organization. Throws NOT_FOUND. */
export async function organizationById(reader: Reader, id: string): Promise<OrganizationView> {
  const [row] = await reader.read(getOrganization, [id]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `organization ${id}` });
  return organizationView(row);
}

/** The caller's organizations, newest first. */
export async function listOrganizations(
  reader: Reader,
  input: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<OrganizationView>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listStatement, [at, id, input.limit + 1]);
  return toPage(rows, input.limit, organizationView);
}

/** The caller's role in an organization. Throws NOT_FOUND when they have none, as for an organization that does not exist. */
export async function requireMembership(reader: Reader, organizationId: string): Promise<Role> {
  const [row] = await reader.read(ownMembership, [organizationId]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `organization ${organizationId}` });
  return row.role;
}

/** The people of an organization, newest first. Throws NOT_FOUND for an organization that is not the caller's. */
export async function listMembers(
  reader: Reader,
  input: { readonly organizationId: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<ReturnType<typeof memberView>>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listMembersStatement, [input.organizationId, at, id, input.limit + 1]);
  if (rows.length === 0) await requireMembership(reader, input.organizationId);
  return toPage(rows, input.limit, memberView);
}
