/** The one lookup before a write: whose organization the target is in, whether that is active, and which role the caller has there. */
import type { Role } from '@novax/contracts/permissions';
import type { Scope } from '@novax/contracts/procedure';
import { statement, type Statement } from '../statement.ts';

export interface Target {
  readonly org_id: string;
  readonly role: Role;
  /** Of the organization; a deleted one has no members, hence no targets. */
  readonly status: 'active' | 'suspended';
}

/** By the id of a thing; no row when it does not exist or the caller may not know of it. Values: the id. */
export const targets: Readonly<Record<Exclude<Scope, 'public' | 'user'>, Statement<Target>>> = {
  organization: statement(
    'target_organization',
    `select m.org_id, m.role, o.status from app.memberships m join organizations o on o.id = m.org_id where m.org_id = $1::uuid`,
  ),
  project: statement(
    'target_project',
    `select p.org_id, m.role, o.status from projects p
       join app.memberships m on m.org_id = p.org_id
       join organizations o on o.id = p.org_id
      where p.id = $1::uuid and p.status <> 'deleted'`,
  ),
  document: statement(
    'target_document',
    `select d.org_id, m.role, o.status from documents d
       join projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
       join app.memberships m on m.org_id = d.org_id
       join organizations o on o.id = d.org_id
      where d.id = $1::uuid and d.status <> 'deleted'`,
  ),
  // Below admins the policies hide these rows, so a weaker role hears NOT_FOUND like an outsider.
  invitation: statement(
    'target_invitation',
    `select i.org_id, m.role, o.status from invitations i
       join app.memberships m on m.org_id = i.org_id
       join organizations o on o.id = i.org_id
      where i.id = $1::uuid`,
  ),
  apiKey: statement(
    'target_api_key',
    `select k.org_id, m.role, o.status from api_keys k
       join app.memberships m on m.org_id = k.org_id
       join organizations o on o.id = k.org_id
      where k.id = $1::uuid`,
  ),
};
