/** Handlers of `members` that change who belongs to an organization. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const membershipHandlers: Pick<
  Handlers['members'],
  'invite' | 'listInvitations' | 'revokeInvitation' | 'acceptInvitation' | 'updateRole' | 'remove' | 'leave'
> = {
  invite: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  listInvitations: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  revokeInvitation: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  acceptInvitation: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  updateRole: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  remove: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  leave: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
