/** Handlers of `organizations` and `members`. */
import {
  createOrganization,
  deleteOrganization,
  transferOwnership,
  updateOrganization,
} from '@novax/domain/organizations/commands';
import { listMembers, listOrganizations, organizationById } from '@novax/domain/organizations/queries';
import { newId } from '@novax/runtime/ids';
import type { Handlers } from '../context.ts';
import { sessionOf } from '../request.ts';

export const organizationHandlers: Handlers['organizations'] = {
  create({ services, request, caller }, input) {
    const { userId } = sessionOf(caller);
    // There is no organization to be a member of yet: the transaction is opened for the one that it makes.
    const context = { orgId: newId(), actor: { type: 'user', userId }, call: request.call } as const;
    return services.db.tenant(context, (tx) => createOrganization(tx, input));
  },
  get: ({ reader }, { id }) => organizationById(reader, id),
  list: async ({ reader }, input) => mutable(await listOrganizations(reader, input)),
  update: ({ tx }, input) => updateOrganization(tx, input),
  transferOwnership: ({ tx }, { toUserId }) => transferOwnership(tx, toUserId),
  delete: ({ tx }) => deleteOrganization(tx),
};

export const memberHandlers: Pick<Handlers['members'], 'list'> = {
  list: async ({ reader }, input) => mutable(await listMembers(reader, input)),
};

/** The contract's output type has a plain array. */
export function mutable<T>(page: { readonly items: readonly T[]; readonly nextCursor: string | null }): {
  items: T[];
  nextCursor: string | null;
} {
  return { items: [...page.items], nextCursor: page.nextCursor };
}
