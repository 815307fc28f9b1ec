/** Handlers of `auth` that show and end sessions. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const sessionHandlers: Pick<Handlers['auth'], 'listSessions' | 'revokeSession'> = {
  listSessions: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  revokeSession: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
