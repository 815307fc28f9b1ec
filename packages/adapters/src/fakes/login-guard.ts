/** Failed sign-ins in memory, with the same waits. */
import { signInWaitMaxMs } from '@novax/contracts/limits';
import type { LoginGuard, SignInTry } from '@novax/domain/ports';
import type { Clock } from '@novax/runtime/clock';
import { countedS, knownS, networkForgivesMs, signInWaitMs, type LoginGuardOptions } from '../login-guard.ts';

interface Counter {
  readonly failures: number;
  readonly at: number;
  /** No further try before. */
  readonly until: number;
}

/** A guard on `clock`. */
export function fakeLoginGuard(clock: Clock, options: LoginGuardOptions): LoginGuard {
  const counters = new Map<string, Counter>();
  const known = new Map<string, number>();
  const now = (): number => clock.now().getTime();
  const pair = ({ account, network }: SignInTry): string => `known:${account}:${network}`;
  const knows = (attempt: SignInTry): boolean => (known.get(pair(attempt)) ?? 0) > now();
  const ownOf = (attempt: SignInTry): string => (knows(attempt) ? pair(attempt) : `account:${attempt.account}`);
  const networkOf = (attempt: SignInTry): string => `network:${attempt.network}`;

  function live(key: string): Counter | undefined {
    const found = counters.get(key);
    if (found === undefined || found.at + countedS * 1000 > now()) return found;
    counters.delete(key);
    return undefined;
  }

  function failures(key: string, forgivesMs: number): number {
    const found = live(key);
    if (found === undefined) return 0;
    return Math.max(0, found.failures - (now() - found.at) / forgivesMs);
  }

  function fail(key: string, free: number, forgivesMs: number): void {
    const count = failures(key, forgivesMs) + 1;
    const over = Math.round(count) - free;
    const waitMs = over < 0 ? 0 : Math.min(signInWaitMaxMs, signInWaitMs * 2 ** over);
    counters.set(key, { failures: count, at: now(), until: now() + waitMs });
  }

  return {
    async begin(attempt) {
      const [own, network] = [ownOf(attempt), networkOf(attempt)];
      const retryAfterMs = Math.max(...[own, network].map((key) => (live(key)?.until ?? 0) - now()), 0);
      if (retryAfterMs > 0) return { admitted: false, retryAfterMs: Math.ceil(retryAfterMs) };
      fail(own, options.tries.account, Number.POSITIVE_INFINITY);
      fail(network, options.tries.network, networkForgivesMs);
      return { admitted: true, retryAfterMs: 0 };
    },
    async succeeded(attempt) {
      counters.delete(ownOf(attempt));
      counters.delete(pair(attempt));
      const network = networkOf(attempt);
      const left = failures(network, networkForgivesMs) - 1;
      if (left <= 0) counters.delete(network);
      else counters.set(network, { failures: left, at: now(), until: 0 });
      known.set(pair(attempt), now() + knownS * 1000);
    },
    async cleared(attempt) {
      counters.delete(`account:${attempt.account}`);
      counters.delete(pair(attempt));
      known.set(pair(attempt), now() + knownS * 1000);
    },
  };
}
