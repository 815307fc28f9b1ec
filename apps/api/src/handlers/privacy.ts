/** Handlers of `users` that change, export and erase a person. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const privacyHandlers: Pick<Handlers['users'], 'updateProfile' | 'exportData' | 'erase'> = {
  updateProfile: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  exportData: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  erase: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
