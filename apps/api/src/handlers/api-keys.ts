/** Handlers of `apiKeys`. */
import { createApiKey, revokeApiKey } from '@novax/domain/api-keys/commands';
import { listApiKeys } from '@novax/domain/api-keys/queries';
import type { Handlers } from '../context.ts';
import { mutable } from './tenants.ts';

export const apiKeyHandlers: Handlers['apiKeys'] = {
  create: ({ tx }, input) => createApiKey(tx, input),
  list: async ({ reader }, input) => mutable(await listApiKeys(reader, input)),
  async revoke({ tx }, { id }) {
    await revokeApiKey(tx, id);
    return { ok: true };
  },
};
