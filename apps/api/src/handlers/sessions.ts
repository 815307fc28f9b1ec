/** Handlers of `auth` that show and end sessions. */
import { listOwnSessions, revokeOwnSession } from '@novax/domain/auth/own-sessions';
import type { Handlers } from '../context.ts';
import { sessionOf } from '../request.ts';

export const sessionHandlers: Pick<Handlers['auth'], 'listSessions' | 'revokeSession'> = {
  async listSessions({ reader, caller }, input) {
    const { items, nextCursor } = await listOwnSessions(reader, { ...input, currentId: sessionOf(caller).sessionId });
    return { items: [...items], nextCursor };
  },
  // Every node, this one included, hears of it by the revocation feed.
  async revokeSession({ services, request, caller }, input) {
    await revokeOwnSession(services.db, { userId: sessionOf(caller).userId, id: input.id }, request.call);
    return { ok: true };
  },
};
