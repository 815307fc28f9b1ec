/** What people do about their credentials: confirm an address, choose a new password with or without the old one. */
import type { Database } from '@novax/db/tx';
import {
  changeOwnPassword,
  confirmEmail,
  ownerOfReset,
  requestReset,
  requestVerification,
  resetByMail,
} from '@novax/domain/auth/credentials';
import { accountByEmail, type Person } from '@novax/domain/auth/sessions';
import { AppError } from '@novax/runtime/errors';
import type { RequestFacts, SessionCaller } from '../request.ts';
import type { LiveSessions } from './live-sessions.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import type { SignInGate } from './sign-in-gate.ts';

export interface Accounts {
  /** Throws VALIDATION_FAILED for a token that is unknown, used or too old. */
  verifyEmail(token: string, request: RequestFacts): Promise<void>;
  requestEmailVerification(person: Pick<Person, 'id' | 'email'>, request: RequestFacts): Promise<void>;
  /** Does and takes the same for every address. */
  requestPasswordReset(email: string, request: RequestFacts): Promise<void>;
  /** Throws VALIDATION_FAILED for such a token, which is used up by success alone, and for a password that is refused. */
  resetPassword(input: { token: string; newPassword: string }, request: RequestFacts): Promise<void>;
  /** Answers how many sessions it ended. Throws VALIDATION_FAILED for a wrong or a refused password, RATE_LIMITED after too many wrong ones. */
  changePassword(
    change: { caller: SessionCaller; person: Person; currentPassword: string; newPassword: string },
    request: RequestFacts,
  ): Promise<number>;
}

/** Builds it on the parts that sign-in uses, so that both count the same guesses. */
export function createAccounts(parts: {
  readonly db: Database;
  readonly live: Pick<LiveSessions, 'ended'>;
  readonly passwords: Passwords;
  readonly policy: PasswordPolicy;
  readonly gate: SignInGate;
}): Accounts {
  const { db, live, passwords, policy, gate } = parts;
  return {
    verifyEmail: (token, { call }) => confirmEmail(db, token, call),
    requestEmailVerification: (person, { call }) => requestVerification(db, person, call),
    requestPasswordReset: (email, { call }) => requestReset(db, email, call),
    async resetPassword({ token, newPassword }, { call }) {
      // Looked at first: a stranger's token costs no hash, and a refused password no token.
      const owner = await ownerOfReset(db, token);
      policy.check(newPassword, { ...owner, field: 'newPassword' });
      const passwordHash = await passwords.hash(newPassword);
      const { email, ended } = await resetByMail(db, { token, passwordHash }, call);
      for (const sidHash of ended) live.ended(sidHash);
      await gate.cleared(email, call);
    },
    async changePassword({ caller, person, currentPassword, newPassword }, { call }) {
      policy.check(newPassword, { ...person, field: 'newPassword' });
      await gate.enter(person.email, call);
      const account = await accountByEmail(db, person.email);
      const right = await passwords.verify(account?.passwordHash ?? null, currentPassword);
      if (!right || account?.id !== person.id) {
        throw new AppError('VALIDATION_FAILED', {
          detail: 'wrong current password',
          issues: [{ path: 'currentPassword', message: 'is wrong' }],
          text: 'The current password is wrong.',
        });
      }
      await gate.right(person.email, call);
      const passwordHash = await passwords.hash(newPassword);
      const ended = await changeOwnPassword(db, { person, passwordHash, keepSessionId: caller.sessionId }, call);
      for (const sidHash of ended) live.ended(sidHash);
      return ended.length;
    },
  };
}
