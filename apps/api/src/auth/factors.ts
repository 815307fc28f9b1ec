/** The second factor at the edge: secrets sealed and opened, codes checked and their guessing bounded. */
import { cacheKeys } from '@novax/contracts/cache-keys';
import { rateWindowMs } from '@novax/contracts/limits';
import type { CallInfo } from '@novax/db/actor';
import type { Database } from '@novax/db/tx';
import {
  confirmFactor,
  enrolFactor,
  factorOf,
  passFactor,
  removeFactor,
  type Factor,
  type Owner,
  type Proof,
} from '@novax/domain/auth/factors';
import type { RateLimiter } from '@novax/domain/rate-limiter';
import { systemClock } from '@novax/runtime/clock';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';
import type { Keyring } from '@novax/runtime/keyring';
import { newTotpSecret, totpSetup, totpStep } from './totp.ts';

const dayMs = 24 * 60 * 60 * 1000;
/** Codes a person may try in a day, in minutes' worth: 100 of a million, of which three are right at a time. */
const minutesPerDay = 10;

export interface Factors {
  /** Makes a secret that guards nothing until it is confirmed. Throws CONFLICT when a factor is on. */
  enrol(owner: Owner): Promise<{ secret: string; uri: string }>;
  /** Turns the pending factor on; the recovery codes are shown this once. Throws NOT_FOUND when none is pending, VALIDATION_FAILED for a wrong code. */
  confirm(owner: Owner, code: string): Promise<{ recoveryCodes: string[] }>;
  /** Turns the factor off. Throws NOT_FOUND when none is on, VALIDATION_FAILED for a wrong code. */
  disable(owner: Owner, code: string): Promise<void>;
  /**
   * Lets a person in whose password is right: true when no factor is on or the code is right, which uses it up; false for a wrong code.
   * Throws SECOND_FACTOR_REQUIRED without a code, RATE_LIMITED after too many, DEPENDENCY_UNAVAILABLE when nobody can count them.
   */
  admit(userId: string, code: string | undefined, call: CallInfo): Promise<boolean>;
}

/** Factors whose secrets are sealed by `keyring`; `perMinute` codes of one person are looked at in a minute, ten times as many in a day. */
export function createFactors(parts: {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly limiter: RateLimiter;
  readonly perMinute: number;
}): Factors {
  const { db, keyring, limiter, perMinute } = parts;

  /** Every code counts, right or wrong, before it is looked at: guesses at once must not slip through together. */
  async function count(userId: string): Promise<void> {
    const subject = `totp:${userId}`;
    const decision = await limiter.take([
      { key: cacheKeys.rateLimit('signIn', subject), limit: perMinute, windowMs: rateWindowMs },
      { key: cacheKeys.rateLimit('signInDay', subject), limit: perMinute * minutesPerDay, windowMs: dayMs },
    ]);
    if (decision.admitted) return;
    throw new AppError('RATE_LIMITED', {
      detail: `codes of ${userId}`,
      retryAfterS: Math.ceil(decision.resetMs / 1000),
    });
  }

  function stepOf(factor: Factor, code: string): number | null {
    return totpStep(keyring.open(factor.sealed, contextOf(factor.id)), code, systemClock.now());
  }

  /** Null for a wrong code of six digits; whether a recovery code is right only its use can tell, and nobody can guess one. */
  async function proofOf(userId: string, factor: Factor, code: string): Promise<Proof | null> {
    const digits = code.replaceAll(/\s/g, '');
    if (!/^\d{6}$/.test(digits)) return { kind: 'recovery', code };
    await count(userId);
    const step = stepOf(factor, digits);
    return step === null ? null : { kind: 'step', factorId: factor.id, step };
  }

  return {
    async enrol(owner) {
      const id = newId();
      const secret = newTotpSecret();
      const { email } = await enrolFactor(db, owner, { id, sealed: keyring.seal(secret, contextOf(id)) });
      return totpSetup(secret, email);
    },
    async confirm(owner, code) {
      const factor = await factorOf(db, owner.userId, 'pending');
      if (factor === null) throw new AppError('NOT_FOUND', { detail: 'no factor is pending' });
      const step = stepOf(factor, code);
      if (step === null) throw wrongCode();
      return { recoveryCodes: await confirmFactor(db, owner, { factorId: factor.id, step }) };
    },
    async disable(owner, code) {
      const factor = await factorOf(db, owner.userId, 'active');
      if (factor === null) throw new AppError('NOT_FOUND', { detail: 'no factor is on' });
      const proof = await proofOf(owner.userId, factor, code);
      if (proof === null || !(await removeFactor(db, owner, { factorId: factor.id, proof }))) throw wrongCode();
    },
    async admit(userId, code, call) {
      const factor = await factorOf(db, userId, 'active');
      if (factor === null) return true;
      if (code === undefined) throw new AppError('SECOND_FACTOR_REQUIRED', { detail: 'password right, no code' });
      const proof = await proofOf(userId, factor, code);
      return proof !== null && passFactor(db, { userId, call }, proof);
    },
  };
}

/** What a sealed secret is bound to: moved to another factor's row it does not open. */
function contextOf(factorId: string): string {
  return `totp:${factorId}`;
}

/** The caller is signed in, so it is the input that is wrong: UNAUTHENTICATED would make clients renew their session and send the guess again. */
function wrongCode(): AppError {
  return new AppError('VALIDATION_FAILED', {
    detail: 'wrong code of the second factor',
    issues: [{ path: 'code', message: 'This code is wrong, or was used before.' }],
  });
}
