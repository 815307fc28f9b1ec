/** Handlers of `auth` that lead to identity providers and back. */
import { beginFlow, finishFlow } from '@novax/domain/auth/oauth';
import { listAccounts, unlinkAccount } from '@novax/domain/auth/oauth-accounts';
import type { Handlers } from '../context.ts';
import { sessionOf } from '../request.ts';

export const oauthHandlers: Pick<
  Handlers['auth'],
  'oauthProviders' | 'oauthStart' | 'oauthLink' | 'oauthCallback' | 'listAccounts' | 'unlinkAccount'
> = {
  oauthProviders: async ({ services }) => ({ items: [...services.identityProviders.list] }),
  oauthStart: ({ services }, { provider }) => beginFlow(services, { provider, linker: null }),
  oauthLink: ({ services, caller }, { provider }) => beginFlow(services, { provider, linker: sessionOf(caller) }),
  async oauthCallback({ services, request }, input) {
    const { person, session } = await finishFlow(services, input, request);
    return { user: person, ...(await services.auth.issue(person.id, session)) };
  },
  listAccounts: ({ reader }) => listAccounts(reader),
  async unlinkAccount({ services, request, caller }, { id }) {
    await unlinkAccount(services.db, { userId: sessionOf(caller).userId, id }, request);
    return { ok: true };
  },
};
