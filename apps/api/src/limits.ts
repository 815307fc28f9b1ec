/** The limits a call meets: its address before anybody is authenticated; the user or API key, and the organization, after. */
import { cacheKeys } from '@novax/contracts/cache-keys';
import { rateWindowMs, type LimitClass } from '@novax/contracts/limits';
import type { Row } from '@novax/contracts/procedure';
import type { RateDecision, RateLimiter } from '@novax/domain/rate-limiter';
import { AppError } from '@novax/runtime/errors';
import type { Metrics } from '@novax/runtime/metrics';
import { networkOf } from './address.ts';
import type { Caller, RequestFacts } from './request.ts';

export interface LimitsOptions {
  readonly limiter: RateLimiter;
  /** Calls a minute by class; by path for procedures that have a window of their own in place of their class's. */
  readonly limits: Readonly<Record<string, number>>;
  readonly metrics: Metrics;
}

/** What the limits need to know of a procedure. */
interface Limited {
  readonly path: string;
  readonly row: Row;
}

interface Window {
  /** A `LimitClass` or a path; the label of the metric. */
  readonly name: string;
  readonly subject: string;
}

/**
 * The stages. Each is one round trip; a call refused by one of its windows is counted in none of that stage. All throw RATE_LIMITED. While the
 * limiter is down calls pass, but those of the class `signIn`, which guards passwords and codes, are refused with DEPENDENCY_UNAVAILABLE.
 */
export function createLimits({ limiter, limits, metrics }: LimitsOptions) {
  async function take(request: RequestFacts, windows: readonly Window[], row: Row | undefined): Promise<void> {
    let decision: RateDecision;
    try {
      decision = await limiter.take(
        windows.map(({ name, subject }) => ({
          key: cacheKeys.rateLimit(name, subject),
          limit: limits[name] ?? 0,
          windowMs: rateWindowMs,
        })),
      );
    } catch (cause) {
      if (row?.limit === 'signIn')
        throw new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail: 'rate limiter is down', retryAfterS: 1 });
      return;
    }
    request.rate.tightest = tighter(request.rate.tightest, decision);
    if (decision.admitted) return;
    metrics.rateLimited.inc({ class: windows[decision.tightest]?.name ?? '' });
    throw new AppError('RATE_LIMITED', { retryAfterS: Math.ceil(decision.resetMs / 1000) });
  }

  const ofClass = ({ path, row }: Limited, subject: string): Window => ({
    name: Object.hasOwn(limits, path) ? path : row.limit,
    subject,
  });
  const of = (name: LimitClass, subject: string): Window => ({ name, subject });

  return {
    /** Before the caller is known; without a procedure for a request that names none. */
    address(request: RequestFacts, procedure?: Limited): Promise<void> {
      const subject = `ip:${request.call.ip === null ? 'unknown' : networkOf(request.call.ip)}`;
      const own = procedure?.row.scope === 'public' ? [ofClass(procedure, subject)] : [];
      return take(request, [of('address', subject), ...own], procedure?.row);
    },
    /** When the caller is known, with the organization if that is known as well. */
    caller(request: RequestFacts, procedure: Limited, by: { caller: Caller; orgId: string | null }): Promise<void> {
      const { caller, orgId } = by;
      const subject = caller.kind === 'apiKey' ? `key:${caller.apiKeyId}` : `user:${caller.userId}`;
      const shared = orgId === null ? [] : [of('organization', orgId)];
      return take(request, [ofClass(procedure, subject), ...shared], procedure.row);
    },
    /** When only the database could tell which organization the call is about. */
    organization(request: RequestFacts, procedure: Limited, orgId: string): Promise<void> {
      return take(request, [of('organization', orgId)], procedure.row);
    },
  };
}

/** A refusal before an admission, then the fewest left, then the longest to wait. */
function tighter(a: RateDecision | null, b: RateDecision): RateDecision {
  if (a === null || a.admitted !== b.admitted) return a === null || !b.admitted ? b : a;
  if (a.remaining !== b.remaining) return a.remaining < b.remaining ? a : b;
  return a.resetMs >= b.resetMs ? a : b;
}
