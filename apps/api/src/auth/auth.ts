/** Who is calling: sign-up, sign-in, renewal, sign-out, and the check at every call. */
import type { Database } from '@novax/db/tx';
import {
  accountByEmail,
  endSession,
  registerPerson,
  renewSession,
  signIn,
  type OpenedSession,
  type Person,
} from '@novax/domain/auth/sessions';
import { erasePerson } from '@novax/domain/users/erase';
import { systemClock } from '@novax/runtime/clock';
import { AppError } from '@novax/runtime/errors';
import type { Caller, RequestFacts, SessionCaller } from '../request.ts';
import type { ApiKeys } from './api-keys.ts';
import type { Factors } from './factors.ts';
import type { LiveSessions } from './live-sessions.ts';
import type { Passwords } from './passwords.ts';
import type { Tokens } from './tokens.ts';

/** What stands in place of a hash for people who sign in with a provider alone. */
const noPassword = '!';

export interface IssuedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresAt: string;
}

export interface Auth {
  register(
    input: { email: string; username: string; password: string },
    request: RequestFacts,
  ): Promise<IssuedTokens & { user: Person }>;
  /**
   * Throws UNAUTHENTICATED, alike and as slowly for unknown people and wrong passwords, and for a wrong code of the second factor;
   * SECOND_FACTOR_REQUIRED when only the code is missing.
   */
  login(
    input: { email: string; password: string; code?: string | undefined },
    request: RequestFacts,
  ): Promise<IssuedTokens & { user: Person }>;
  /** The tokens of a session that was opened otherwise. */
  issue(userId: string, session: OpenedSession): Promise<IssuedTokens>;
  refresh(refreshToken: string, request: RequestFacts): Promise<IssuedTokens>;
  logout(caller: SessionCaller, request: RequestFacts): Promise<void>;
  /** Erases the caller's account for good. Throws FORBIDDEN without the account's password, or CONFLICT as `erasePerson` does. */
  erase(
    caller: SessionCaller,
    proof: { readonly email: string; readonly password: string | undefined },
    request: RequestFacts,
  ): Promise<void>;
  /** The caller of `Authorization: Bearer …`. Throws UNAUTHENTICATED. */
  authenticate(authorization: string | undefined): Promise<Caller>;
}

/** Signs people in and out over `db`, and asks `live` about the session of every other call. */
export function createAuth(parts: {
  readonly db: Database;
  readonly live: LiveSessions;
  readonly passwords: Passwords;
  readonly tokens: Tokens;
  readonly factors: Factors;
  readonly apiKeys: ApiKeys;
}): Auth {
  const { db, live, passwords, tokens, factors, apiKeys } = parts;

  async function issue(userId: string, session: OpenedSession): Promise<IssuedTokens> {
    const { accessToken, expiresAt } = await tokens.sign({ userId, sid: session.sid }, systemClock.now());
    return { accessToken, refreshToken: session.refreshToken, expiresAt: expiresAt.toISOString() };
  }

  return {
    async register(input, request) {
      const passwordHash = await passwords.hash(input.password);
      const { person, session } = await registerPerson(
        db,
        { email: input.email, username: input.username, passwordHash },
        request,
      );
      return { user: person, ...(await issue(person.id, session)) };
    },
    async login(input, request) {
      const account = await accountByEmail(db, input.email);
      const right = await passwords.verify(account?.passwordHash ?? null, input.password);
      const known = account !== null && right && account.status === 'active';
      if (!known || !(await factors.admit(account.id, input.code, request.call))) {
        throw new AppError('UNAUTHENTICATED', { detail: 'sign-in refused', text: 'E-mail or password is wrong.' });
      }
      const session = await signIn(db, account.id, request);
      return {
        user: { id: account.id, email: account.email, username: account.username },
        ...(await issue(account.id, session)),
      };
    },
    issue,
    async refresh(refreshToken, request) {
      const renewed = await renewSession(db, refreshToken, request.call);
      return issue(renewed.userId, renewed);
    },
    async logout(caller, request) {
      const { userId, sessionId, sidHash } = caller;
      await endSession(db, { userId, sessionId, sidHash: Buffer.from(sidHash, 'hex') }, request.call);
      live.ended(sidHash);
    },
    async erase(caller, { email, password }, request) {
      const account = await accountByEmail(db, email);
      if (account?.id !== caller.userId) throw new AppError('UNAUTHENTICATED', { detail: 'the account is gone' });
      const { passwordHash } = account;
      const verifiedHash = passwordHash === noPassword ? null : passwordHash;
      if (verifiedHash !== null && (password === undefined || !(await passwords.verify(verifiedHash, password))))
        throw new AppError('FORBIDDEN', { detail: 'wrong password', text: 'The password is wrong.' });
      const { userId, sessionId, sidHash } = caller;
      await erasePerson(db, { userId, sessionId, verifiedHash, call: request.call });
      live.ended(sidHash);
    },
    async authenticate(authorization) {
      const key = /^Bearer (nvx_[\w-]+)$/.exec(authorization ?? '')?.[1];
      if (key !== undefined) return apiKeys.authenticate(key);
      const jwt = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(authorization ?? '')?.[1];
      if (jwt === undefined) throw new AppError('UNAUTHENTICATED', { detail: 'no bearer token' });
      const token = await tokens.verify(jwt);
      const { userId, sessionId, sidHash } = await live.of(token.sid);
      if (userId !== token.userId) throw new AppError('UNAUTHENTICATED', { detail: 'token and session disagree' });
      return { kind: 'session', userId, sessionId, sidHash };
    },
  };
}
