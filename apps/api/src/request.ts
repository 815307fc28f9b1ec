/** What is known of a call before its handler: who makes it and from where. */
import type { CallInfo } from '@novax/db/actor';

/** A signed-in person. */
export interface Caller {
  readonly userId: string;
  /** Hex SHA-256 of the session's secret id. */
  readonly sidHash: string;
}

/** What a face knows of a request before anybody is authenticated. */
export interface RequestFacts {
  readonly face: 'trpc' | 'rest';
  readonly authorization: string | undefined;
  readonly call: CallInfo & { readonly requestId: string };
  readonly userAgent: string | null;
}
