/** Handlers of `auth` that open and close sessions, and of `users.me`. */
import { readSelf } from '@novax/domain/users/queries';
import type { Handlers } from '../context.ts';
import { sessionOf } from '../request.ts';

export const entryHandlers: Pick<Handlers['auth'], 'register' | 'login' | 'refresh' | 'logout'> = {
  register: ({ services, request }, input) => services.auth.register(input, request),
  login: ({ services, request }, input) => services.auth.login(input, request),
  refresh: ({ services, request }, input) => services.auth.refresh(input.refreshToken, request),
  async logout({ services, request, caller }) {
    await services.auth.logout(sessionOf(caller), request);
    return { ok: true };
  },
};

export const userHandlers: Pick<Handlers['users'], 'me'> = {
  me: ({ reader }) => readSelf(reader),
};
