/** Who makes a call: the person of a session, or a program with an API key. */
import { AppError } from '@novax/runtime/errors';
import type { Caller } from '../request.ts';
import type { ApiKeys } from './api-keys.ts';
import type { LiveSessions } from './live-sessions.ts';
import type { Tokens } from './tokens.ts';

/** The caller of `Authorization: Bearer …`. Throws UNAUTHENTICATED. */
export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** Checks access tokens by signature and session, and keys by what the database says of them. */
export function createAuthenticate(parts: {
  readonly tokens: Tokens;
  readonly live: LiveSessions;
  readonly apiKeys: ApiKeys;
}): Authenticate {
  const { tokens, live, apiKeys } = parts;
  return async (authorization) => {
    const key = /^Bearer (nvx_[\w-]+)$/.exec(authorization ?? '')?.[1];
    if (key !== undefined) return apiKeys.authenticate(key);
    const jwt = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(authorization ?? '')?.[1];
    if (jwt === undefined) throw new AppError('UNAUTHENTICATED', { detail: 'no bearer token' });
    const token = await tokens.verify(jwt);
    const { userId, sessionId, sidHash } = await live.of(token.sid);
    if (userId !== token.userId) throw new AppError('UNAUTHENTICATED', { detail: 'token and session disagree' });
    return { kind: 'session', userId, sessionId, sidHash };
  };
}
