/** The one builder of cache and limiter keys: what is not global by design begins with its organization, generation and role class. */
import type { Role } from './permissions.ts';

/** Whose view an entry holds. Roles that see the same rows share a class. */
export interface CacheScope {
  readonly organizationId: string;
  /** Counter bumped by every event that changes what the entry shows. */
  readonly generation: number;
  readonly role: Role;
}

function scoped(scope: CacheScope, rest: string): string {
  const roleClass = scope.role === 'owner' || scope.role === 'admin' ? 'admin' : 'member';
  return `org:${scope.organizationId}:g${scope.generation}:${roleClass}:${rest}`;
}

export const cacheKeys = {
  /** Hash, TTL 3600 s sliding; `sidHash` is the hex SHA-256 of the session id. */
  session: (sidHash: string) => `session:${sidHash}`,
  /** Sorted set of call times, window 60 s; the class is a procedure's path where it has a limit of its own. */
  rateLimit: (limitClass: string, subject: string) => `ratelimit:${limitClass}:${subject}`,
  /** Hash of failed sign-ins of an account, from networks it does not know; `account` is the hex SHA-256 of its normalized address. TTL a day. */
  signInAccount: (account: string) => `signin:account:${account}`,
  /** The same from one network that it knows. TTL a day. */
  signInKnown: (account: string, network: string) => `signin:known:${account}:${network}`,
  /** Present while the account knows the network, TTL 30 days. */
  signInNetworkOf: (account: string, network: string) => `signin:networks:${account}:${network}`,
  /** Hash of failed sign-ins from a network, whatever the account. TTL a day. */
  signInNetwork: (network: string) => `signin:network:${network}`,
  /** The counter that entries of an organization carry as their generation. TTL a day. */
  generation: (organizationId: string) => `org:${organizationId}:generation`,
  /** JSON, TTL 1800 s. */
  userProfile: (userId: string) => `user:${userId}:profile`,
  /** JSON, TTL 300 s. */
  documentPage: (scope: CacheScope, page: { projectId: string; cursor: string }) =>
    scoped(scope, `project:${page.projectId}:docs:page:${page.cursor}`),
  /** JSON, TTL 120 s; 5 s of what an engine outside the database answered. */
  search: (scope: CacheScope, search: { queryHash: string; filtersHash: string }) =>
    scoped(scope, `search:${search.queryHash}:${search.filtersHash}`),
};
