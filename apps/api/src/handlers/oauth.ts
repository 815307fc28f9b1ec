/** Handlers of `auth` that lead to identity providers and back. */
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const oauthHandlers: Pick<
  Handlers['auth'],
  'oauthProviders' | 'oauthStart' | 'oauthLink' | 'oauthCallback' | 'listAccounts' | 'unlinkAccount'
> = {
  oauthProviders: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  oauthStart: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  oauthLink: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  oauthCallback: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  listAccounts: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
  unlinkAccount: async () => {
    throw new AppError('INTERNAL', { detail: 'not built yet' });
  },
};
