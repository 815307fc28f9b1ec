/** What is known of a call before its handler: who makes it and from where. */
import type { Action } from '@novax/contracts/permissions';
import type { CallInfo } from '@novax/db/actor';
import type { RateDecision } from '@novax/domain/rate-limiter';
import { AppError } from '@novax/runtime/errors';

/** A signed-in person. */
export interface SessionCaller {
  readonly kind: 'session';
  readonly userId: string;
  readonly sessionId: string;
  /** Hex SHA-256 of the session's secret id. */
  readonly sidHash: string;
}

/** A program that acts as the maker of its key, in the key's organization alone and within its scopes. */
export interface ApiKeyCaller {
  readonly kind: 'apiKey';
  readonly userId: string;
  readonly apiKeyId: string;
  readonly orgId: string;
  readonly scopes: ReadonlySet<Action>;
}

export type Caller = SessionCaller | ApiKeyCaller;

/** The session of a call that only a person can make; the chain has refused API keys by then. Throws UNAUTHENTICATED. */
export function sessionOf(caller: Caller | null): SessionCaller {
  if (caller?.kind !== 'session') throw new AppError('UNAUTHENTICATED', { detail: 'the call needs a session' });
  return caller;
}

/** What the limits said of a request so far; filled by the chain, shown by the faces. */
export interface RateReport {
  /** Null until a limit was looked at, and while the limiter is down. */
  tightest: RateDecision | null;
}

/** What a face knows of a request before anybody is authenticated. */
export interface RequestFacts {
  readonly face: 'trpc' | 'rest';
  readonly authorization: string | undefined;
  readonly call: CallInfo & { readonly requestId: string };
  readonly userAgent: string | null;
  /** Shared by all calls of a batch. */
  readonly rate: RateReport;
}
