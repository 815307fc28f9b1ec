/** Handlers of `auth` that mail and check one-time secrets, and change passwords. */
import { readSelf } from '@novax/domain/users/queries';
import type { Handlers } from '../context.ts';
import { sessionOf } from '../request.ts';

export const accountHandlers: Pick<
  Handlers['auth'],
  'verifyEmail' | 'requestEmailVerification' | 'changePassword' | 'requestPasswordReset' | 'resetPassword'
> = {
  async verifyEmail({ services, request }, { token }) {
    await services.accounts.verifyEmail(token, request);
    return { ok: true };
  },
  async requestEmailVerification({ services, request, reader }) {
    await services.accounts.requestEmailVerification(await readSelf(reader), request);
    return { ok: true };
  },
  async changePassword({ services, request, reader, caller }, input) {
    const change = { ...input, caller: sessionOf(caller), person: await readSelf(reader) };
    return { ok: true, endedSessions: await services.accounts.changePassword(change, request) };
  },
  async requestPasswordReset({ services, request }, { email }) {
    await services.accounts.requestPasswordReset(email, request);
    return { ok: true };
  },
  async resetPassword({ services, request }, input) {
    await services.accounts.resetPassword(input, request);
    return { ok: true };
  },
};
