/** Handlers of `users` that change, export and erase a person. */
import type { SqlTx } from '@novax/db/tx';
import { exportPerson } from '@novax/domain/users/export';
import { updateProfile } from '@novax/domain/users/profile';
import { readSelf } from '@novax/domain/users/queries';
import type { Handlers } from '../context.ts';
import { sessionOf } from '../request.ts';

export const privacyHandlers: Pick<Handlers['users'], 'updateProfile' | 'exportData' | 'erase'> = {
  updateProfile: ({ services, request, caller }, input) =>
    updateProfile(services.db, sessionOf(caller).userId, { ...input, call: request.call }),
  exportData: ({ services, request, caller }) => {
    const { userId } = sessionOf(caller);
    const opener = (tx: SqlTx) => services.personKeys.opener(tx.sql, [userId]);
    return exportPerson(services.db, userId, { call: request.call, opener });
  },
  async erase({ services, request, caller, reader }, input) {
    const { email } = await readSelf(reader);
    await services.auth.erase(sessionOf(caller), { email, password: input.password }, request);
    return { ok: true };
  },
};
