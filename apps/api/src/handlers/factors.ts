/** Handlers of `auth` for the second factor. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const factorHandlers: Pick<Handlers['auth'], 'enrolTotp' | 'confirmTotp' | 'disableTotp'> = {
  enrolTotp: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  confirmTotp: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  disableTotp: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
