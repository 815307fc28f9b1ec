/** Handlers of `audit`. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const auditHandlers: Handlers['audit'] = {
  list: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  export: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  verify: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
