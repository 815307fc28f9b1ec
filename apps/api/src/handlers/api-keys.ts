/** Handlers of `apiKeys`. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const apiKeyHandlers: Handlers['apiKeys'] = {
  create: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  list: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  revoke: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
