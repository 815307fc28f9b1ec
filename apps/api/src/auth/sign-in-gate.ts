/** Stands before every guess at a password or a code: counts it under a name that hides the account, and says how long to wait. */
import { createHash } from 'node:crypto';
import type { CallInfo } from '@novax/db/actor';
import type { LoginGuard, SignInTry } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Metrics } from '@novax/runtime/metrics';
import { networkOf } from '../address.ts';

export interface SignInGate {
  /** Before the guess is looked at. Throws RATE_LIMITED with the time to wait, or DEPENDENCY_UNAVAILABLE: without its counts nothing may be guessed. */
  enter(email: string, call: CallInfo): Promise<void>;
  /** After a right one. Never throws: what is not taken back costs a wait. */
  right(email: string, call: CallInfo): Promise<void>;
  /** After its holder has proved the account to be theirs in another way. Never throws. */
  cleared(email: string, call: CallInfo): Promise<void>;
}

/** Counts accounts that do not exist like those that do. */
export function createSignInGate(parts: { readonly guard: LoginGuard; readonly metrics: Metrics }): SignInGate {
  const { guard, metrics } = parts;
  return {
    async enter(email, call) {
      const { admitted, retryAfterMs } = await guard.begin(tryOf(email, call)).catch((cause: unknown) => {
        throw new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail: 'sign-ins cannot be counted', retryAfterS: 1 });
      });
      if (admitted) return;
      metrics.rateLimited.inc({ class: 'guesses' });
      throw new AppError('RATE_LIMITED', {
        detail: 'too many failed sign-ins',
        text: 'Too many failed sign-ins; wait, or choose a new password by mail.',
        retryAfterS: Math.ceil(retryAfterMs / 1000),
      });
    },
    right: (email, call) => guard.succeeded(tryOf(email, call)).catch(() => undefined),
    cleared: (email, call) => guard.cleared(tryOf(email, call)).catch(() => undefined),
  };
}

function tryOf(email: string, call: CallInfo): SignInTry {
  const account = createHash('sha256').update(email.toLowerCase()).digest('hex');
  return { account, network: call.ip === null ? 'unknown' : networkOf(call.ip) };
}
