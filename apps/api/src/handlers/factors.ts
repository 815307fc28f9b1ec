/** Handlers of `auth` for the second factor. */
import type { Handlers, OpenContext } from '../context.ts';
import { sessionOf } from '../request.ts';

export const factorHandlers: Pick<Handlers['auth'], 'enrolTotp' | 'confirmTotp' | 'disableTotp'> = {
  enrolTotp: (context) => context.services.factors.enrol(ownerOf(context)),
  confirmTotp: (context, { code }) => context.services.factors.confirm(ownerOf(context), code),
  async disableTotp(context, { code }) {
    await context.services.factors.disable(ownerOf(context), code);
    return { ok: true };
  },
};

function ownerOf({ caller, request }: OpenContext) {
  return { userId: sessionOf(caller).userId, call: request.call };
}
