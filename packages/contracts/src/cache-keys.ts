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
  /** JSON, TTL 1800 s. */
  userProfile: (userId: string) => `user:${userId}:profile`,
  /** JSON, TTL 300 s. */
  documentPage: (scope: CacheScope, page: { projectId: string; cursor: string }) =>
    scoped(scope, `project:${page.projectId}:docs:page:${page.cursor}`),
  /** JSON, TTL 120 s. */
  search: (scope: CacheScope, search: { queryHash: string; filtersHash: string }) =>
    scoped(scope, `search:${search.queryHash}:${search.filtersHash}`),
};
