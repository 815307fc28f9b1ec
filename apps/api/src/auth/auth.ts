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
import type { RequestFacts, SessionCaller } from '../request.ts';
import type { Factors } from './factors.ts';
import type { LiveSessions } from './live-sessions.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import type { SignInGate } from './sign-in-gate.ts';
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
   * SECOND_FACTOR_REQUIRED when only the code is missing; RATE_LIMITED after too many failures.
   */
  login(
    input: { email: string; password: string; code?: string | undefined },
    request: RequestFacts,
  ): Promise<IssuedTokens & { user: Person }>;
  /** The tokens of a session that was opened otherwise. */
  issue(userId: string, session: OpenedSession): Promise<IssuedTokens>;
  refresh(refreshToken: string, request: RequestFacts): Promise<IssuedTokens>;
  logout(caller: SessionCaller, request: RequestFacts): Promise<void>;
  /** Erases the caller's account for good. Throws FORBIDDEN without the account's password, RATE_LIMITED after too many wrong ones, CONFLICT as `erasePerson` does. */
  erase(
    caller: SessionCaller,
    proof: { readonly email: string; readonly password: string | undefined },
    request: RequestFacts,
  ): Promise<void>;
}

/** Signs people in and out over `db`, and asks `live` about the session of every other call. */
export function createAuth(parts: {
  readonly db: Database;
  readonly live: LiveSessions;
  readonly passwords: Passwords;
  readonly policy: PasswordPolicy;
  readonly gate: SignInGate;
  readonly tokens: Tokens;
  readonly factors: Factors;
}): Auth {
  const { db, live, passwords, policy, gate, tokens, factors } = parts;

  async function issue(userId: string, session: OpenedSession): Promise<IssuedTokens> {
    const { accessToken, expiresAt } = await tokens.sign({ userId, sid: session.sid }, systemClock.now());
    return { accessToken, refreshToken: session.refreshToken, expiresAt: expiresAt.toISOString() };
  }

  return {
    async register(input, request) {
      policy.check(input.password, { ...input, field: 'password' });
      const passwordHash = await passwords.hash(input.password);
      const { person, session } = await registerPerson(
        db,
        { email: input.email, username: input.username, passwordHash },
        request,
      );
      await gate.cleared(input.email, request.call);
      return { user: person, ...(await issue(person.id, session)) };
    },
    async login(input, request) {
      await gate.enter(input.email, request.call);
      const account = await accountByEmail(db, input.email);
      const right = await passwords.verify(account?.passwordHash ?? null, input.password);
      const known = account !== null && right && account.status === 'active';
      if (!known || !(await factors.admit(account.id, input.code, request.call))) {
        throw new AppError('UNAUTHENTICATED', { detail: 'sign-in refused', text: 'E-mail or password is wrong.' });
      }
      const { passwordHash: hash } = account;
      // Too busy to hash it anew is no reason to refuse: the next sign-in does it.
      const newHash = passwords.isCurrent(hash) ? null : await passwords.hash(input.password).catch(() => null);
      const session = await signIn(db, account.id, { ...request, password: { hash, newHash } });
      await gate.right(input.email, request.call);
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
      if (verifiedHash !== null) {
        await gate.enter(email, request.call);
        if (password === undefined || !(await passwords.verify(verifiedHash, password)))
          throw new AppError('FORBIDDEN', { detail: 'wrong password', text: 'The password is wrong.' });
        await gate.right(email, request.call);
      }
      const { userId, sessionId, sidHash } = caller;
      await erasePerson(db, { userId, sessionId, verifiedHash, call: request.call });
      live.ended(sidHash);
    },
  };
}
