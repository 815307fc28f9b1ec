/** Invitations: made, listed and withdrawn by admins, redeemed through a function by whoever the mail was for. */
import type { Role } from '@novax/contracts/permissions';
import { statement } from '../statement.ts';
import { instant } from './instant.ts';

type GivenRole = Exclude<Role, 'owner'>;
type Status = 'pending' | 'accepted' | 'revoked' | 'expired';

interface InvitationRow {
  readonly id: string;
  readonly email: string;
  readonly role: GivenRole;
  readonly status: Status;
  readonly expires_at: string | Date;
  readonly created_at: string | Date;
}

/** One that is overdue stays pending in its row until something touches it; nobody is shown it as such. */
const columns = `id, email, role, case when status = 'pending' and expires_at <= now() then 'expired' else status end as status, expires_at, created_at`;

/** The row as the contract shows it. */
export function invitationView(row: InvitationRow) {
  const { id, email, role, status } = row;
  return { id, email, role, status, expiresAt: instant(row.expires_at), createdAt: instant(row.created_at) };
}

/** Newest first. Values: organization id, cursor's created_at and id, rows at most. */
export const listInvitations = statement<InvitationRow & { readonly cursor_at: string }>(
  'list_invitations',
  `select ${columns}, created_at::text as cursor_at from invitations
    where org_id = $1::uuid and (created_at, id) < ($2::timestamptz, $3::uuid)
    order by created_at desc, id desc limit $4`,
);

/** Whether the organization lets in an address. Values: organization id, address lower case. */
export const domainAllowed = statement<{ allowed: boolean }>(
  'domain_allowed',
  `select private.domain_allowed(allowed_domains, $2) as allowed from organizations where id = $1::uuid`,
);

/** Ends the pending invitation of an address, if there is one. Values: organization id, address lower case. */
export const endPendingInvitation = statement<{ id: string; status: Status }>(
  'end_pending_invitation',
  `update invitations set status = case when expires_at <= now() then 'expired' else 'revoked' end
    where org_id = $1::uuid and email_normalized = $2 and status = 'pending' returning id, status`,
);

/**
 * Inserts an invitation under a token that nobody knows: the real one is made by whoever sends the mail.
 * Values: id, organization, inviter, address, address lower case, role, end.
 */
export const insertInvitation = statement<InvitationRow>(
  'insert_invitation',
  `insert into invitations (id, org_id, inviter_id, email, email_normalized, role, token_hash, expires_at)
   values ($1::uuid, $2::uuid, $3::uuid, $4, $5, $6, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), $7::timestamptz)
   returning ${columns}`,
);

/** Withdraws a pending invitation; no row for any other. Values: organization id, id. */
export const revokePendingInvitation = statement<{ id: string }>(
  'revoke_pending_invitation',
  `update invitations set status = 'revoked' where org_id = $1::uuid and id = $2::uuid and status = 'pending' returning id`,
);

/** Values: organization id, id. */
export const invitationStatus = statement<{ status: Status }>(
  'invitation_status',
  `select status from invitations where org_id = $1::uuid and id = $2::uuid`,
);

/** The organization a token was made for. Values: hash of the token. */
export const invitationOrganization = statement<{ org_id: string | null }>(
  'invitation_organization',
  `select private.invitation_organization($1::bytea) as org_id`,
);

/** Redeems a token for oneself; no row when it opens nothing. Values: hash of the token, the person. */
export const acceptInvitation = statement<{
  readonly outcome: 'joined' | 'raised' | 'member' | 'repeated';
  readonly invitation_id: string;
  readonly member_id: string;
  readonly role: Role;
  readonly previous_role: Role;
  readonly version: number;
  readonly verified: boolean;
}>(
  'accept_invitation',
  `select outcome, invitation_id, member_id, role, previous_role, version, verified from private.accept_invitation($1::bytea, $2::uuid)`,
);
