/** Handlers of `auth` and `users`. */
import { readSelf } from '@novax/domain/users/queries';
import { AppError } from '@novax/runtime/errors';
import type { Handlers } from '../context.ts';

export const authHandlers: Handlers['auth'] = {
  register: ({ services, request }, input) => services.auth.register(input, request),
  login: ({ services, request }, input) => services.auth.login(input, request),
  refresh: ({ services, request }, input) => services.auth.refresh(input.refreshToken, request),
  async logout({ services, request, caller }) {
    if (caller === null) throw new AppError('UNAUTHENTICATED');
    await services.auth.logout(caller, request);
    return { ok: true };
  },
};

export const userHandlers: Handlers['users'] = {
  me: ({ reader }) => readSelf(reader),
};
