/** Handlers of `members` that change who belongs to an organization. */
import { leaveOrganization, removeMember, updateRole } from '@novax/domain/members/commands';
import { acceptInvitation, invite, listInvitations, revokeInvitation } from '@novax/domain/members/invitations';
import type { Handlers } from '../context.ts';
import { mutable } from './tenants.ts';

export const membershipHandlers: Pick<
  Handlers['members'],
  'invite' | 'listInvitations' | 'revokeInvitation' | 'acceptInvitation' | 'updateRole' | 'remove' | 'leave'
> = {
  invite: ({ tx }, input) => invite(tx, input),
  listInvitations: async ({ reader }, input) => mutable(await listInvitations(reader, input)),
  revokeInvitation: ({ tx }, { id }) => revokeInvitation(tx, id),
  acceptInvitation: ({ services, reader, request }, { token }) =>
    acceptInvitation({ db: services.db, reader }, { token, call: request.call }),
  updateRole: ({ tx }, input) => updateRole(tx, input),
  remove: ({ tx }, { userId }) => removeMember(tx, userId),
  leave: ({ tx }) => leaveOrganization(tx),
};
