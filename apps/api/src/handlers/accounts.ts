/** Handlers of `auth` that mail and check one-time secrets, and change passwords. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const accountHandlers: Pick<
  Handlers['auth'],
  'verifyEmail' | 'requestEmailVerification' | 'changePassword' | 'requestPasswordReset' | 'resetPassword'
> = {
  verifyEmail: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  requestEmailVerification: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  changePassword: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  requestPasswordReset: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  resetPassword: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
