/** The database functions that act with more rights than their caller: their calls as SQL text, and the rows they answer with. */

/**
 * Compiled calls, to be sent with positional parameters. Named by what they do; the function's own comment in the database says what it guarantees
 * and refuses. All of them are one statement, run as `novax_definer`, and act for `app.current_user_id` alone wherever that setting is present.
 *
 * Errors they raise: `23505` unique_violation with the index in `constraint` (`registerUser`, `createOrganization`), `42501`
 * insufficient_privilege when the caller acts for somebody else.
 */
export const privateFunctions = {
  /** $1 id, $2 email, $3 email_normalized, $4 username, $5 username_normalized, $6 password_hash → `RegisteredUserRow`. */
  registerUser: 'select * from private.register_user($1, $2, $3, $4, $5, $6)',
  /** $1 email_normalized → `LoginRow` or no row. The only reader of password hashes. */
  loginLookup: 'select * from private.login_lookup($1)',
  /** $1 user_id (oneself), $2 password_hash → `{ changed }`. */
  changePassword: 'select private.change_password($1, $2) as changed',
  /** $1 user_id (oneself) → `UserProfileRow` or no row. */
  userProfile: 'select * from private.user_profile($1)',

  /** $1 id, $2 sid_hash, $3 user_id, $4 ip, $5 user_agent, $6 idle_expires_at, $7 absolute_expires_at → `{ session_id }`; 42501 unless the user is active. */
  createSession: 'select private.create_session($1, $2, $3, $4, $5, $6, $7) as session_id',
  /** $1 sid_hash → `SessionRow` or no row; the caller judges status, expiry and revocation. */
  sessionByHash: 'select * from private.session_by_hash($1)',
  /** $1 sid_hash, $2 idle_expires_at → `TouchedSessionRow`, null when the session is over. */
  touchSession: 'select private.touch_session($1, $2) as idle_expires_at',
  /** $1 session_id (one of one's own), $2 reason → `{ revoked }`. */
  revokeSession: 'select private.revoke_session($1, $2) as revoked',
  /** $1 sid_hash, $2 reason → `{ revoked }`. */
  revokeSessionByHash: 'select private.revoke_session_by_hash($1, $2) as revoked',
  /** $1 refresh token_hash, $2 reason → `{ session_id }`, null for an unknown token. */
  revokeSessionByRefreshToken: 'select private.revoke_session_by_refresh_token($1, $2) as session_id',
  /** $1 user_id (oneself), $2 session_id to keep or null, $3 reason → `{ revoked_count }`. */
  revokeOtherSessions: 'select private.revoke_other_sessions($1, $2, $3) as revoked_count',
  /** $1 id, $2 session_id, $3 family_id, $4 token_hash, $5 expires_at → `{ refresh_token_id }`; once per session. */
  createRefreshToken: 'select private.create_refresh_token($1, $2, $3, $4, $5) as refresh_token_id',
  /**
   * $1 old_hash, $2 new_id, $3 new_hash, $4 idle interval (such as `30 days`) → `RotatedTokenRow`. Exactly one of several concurrent callers is
   * `rotated`. COMMIT whatever the outcome: `reused` has revoked the session in this transaction.
   */
  rotateRefreshToken: 'select * from private.rotate_refresh_token($1, $2, $3, $4)',
  /** $1 key_hash → `ApiKeyRow` or no row; the caller judges status and expiry. */
  apiKeyByHash: 'select * from private.api_key_by_hash($1)',

  /** $1 id, $2 name, $3 slug, $4 user_id (oneself), $5 settings → `CreatedOrganizationRow`; the user becomes its owner. */
  createOrganization: 'select * from private.create_organization($1, $2, $3, $4, $5)',
  /** $1 token_hash, $2 user_id (oneself) → `AcceptedInvitationRow`. */
  acceptInvitation: 'select * from private.accept_invitation($1, $2)',
  /** $1 org_id → `CoMemberRow` per member; no row for someone who does not belong. */
  coMembers: 'select * from private.co_members($1)',
  /** → `OrganizationIdRow` per organization; worker only. */
  organizationIds: 'select * from private.organization_ids()',

  /** $1 actor_type, $2 actor_id, $3 action, $4 entity_type, $5 entity_id, $6 old_value, $7 new_value, $8 ip, $9 request_id → nothing. */
  auditSystem: 'select private.audit_system($1, $2, $3, $4, $5, $6, $7, $8, $9)',
  /**
   * $1 event_id, $2 event_type, $3 aggregate_type, $4 aggregate_id, $5 aggregate_version, $6 schema_version, $7 payload, $8 actor_type, $9 actor_id,
   * $10 request_id, $11 traceparent, $12 causation_id, $13 occurred_at → nothing.
   */
  eventSystem: 'select private.event_system($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)',

  /** $1 query, $2 org_id, $3 project_id or null, $4 limit (1 to 100) → `DocumentHitRow` per hit, best first. */
  searchDocuments: 'select * from private.search_documents($1, $2, $3, $4)',
  /** $1 metric, $2 from, $3 to, $4 bucket interval → `UsageRow` per bucket of `app.current_org_id`. */
  usageForCurrentOrg: 'select * from private.usage_for_current_org($1, $2, $3, $4)',

  /** $1 model name, $2 provider, $3 dims, $4 similarity threshold or null → `{ model_id }`; registers an unknown model with its indexes. Worker only. */
  ensureEmbeddingModel: 'select private.ensure_embedding_model($1, $2, $3, $4) as model_id',
  /** → nothing; refreshes both materialized views without blocking readers. Worker only. */
  refreshAiViews: 'select private.refresh_ai_views()',
  /** $1 months ahead → `PartitionRow` per table and month. Worker and migrator only. */
  ensurePartitions: 'select * from private.ensure_partitions($1)',
} as const;

export type PrivateFunction = keyof typeof privateFunctions;

export type UserStatus = 'active' | 'suspended' | 'deleted';
export type MemberRole = 'owner' | 'admin' | 'member' | 'viewer';

/** One row per function that answers with rows: names as the database gives them, `timestamptz` as `Date`, `bytea` as `Buffer`, `bigint` as text. */
export interface PrivateFunctionRows {
  registerUser: RegisteredUserRow;
  loginLookup: LoginRow;
  changePassword: { changed: boolean };
  userProfile: UserProfileRow;
  createSession: { session_id: string };
  sessionByHash: SessionRow;
  touchSession: TouchedSessionRow;
  revokeSession: { revoked: boolean };
  revokeSessionByHash: { revoked: boolean };
  revokeSessionByRefreshToken: { session_id: string | null };
  revokeOtherSessions: { revoked_count: number };
  createRefreshToken: { refresh_token_id: string };
  rotateRefreshToken: RotatedTokenRow;
  apiKeyByHash: ApiKeyRow;
  createOrganization: CreatedOrganizationRow;
  acceptInvitation: AcceptedInvitationRow;
  coMembers: CoMemberRow;
  organizationIds: OrganizationIdRow;
  auditSystem: { audit_system: '' };
  eventSystem: { event_system: '' };
  searchDocuments: DocumentHitRow;
  usageForCurrentOrg: UsageRow;
  ensureEmbeddingModel: { model_id: number };
  refreshAiViews: { refresh_ai_views: '' };
  ensurePartitions: PartitionRow;
}

export interface RegisteredUserRow {
  id: string;
  email: string;
  username: string;
  status: UserStatus;
  created_at: Date;
}

export interface LoginRow {
  user_id: string;
  password_hash: string;
  status: UserStatus;
  email: string;
  username: string;
}

export interface UserProfileRow {
  id: string;
  email: string;
  username: string;
  profile_metadata: Record<string, unknown>;
  status: UserStatus;
  created_at: Date;
  updated_at: Date;
}

export interface SessionRow {
  session_id: string;
  user_id: string;
  user_status: UserStatus;
  /** The earlier of the idle and the absolute end. */
  expires_at: Date;
  absolute_expires_at: Date;
  revoked_at: Date | null;
}

export interface TouchedSessionRow {
  idle_expires_at: Date | null;
}

/** `unknown` names nobody; the other outcomes name the session, whatever became of it. */
export type RotatedTokenRow =
  | { outcome: 'rotated'; session_id: string; user_id: string; family_id: string; expires_at: Date }
  | { outcome: 'reused' | 'expired'; session_id: string; user_id: string; family_id: string; expires_at: null }
  | { outcome: 'unknown'; session_id: null; user_id: null; family_id: null; expires_at: null };

export interface ApiKeyRow {
  api_key_id: string;
  org_id: string;
  /** The creator: whom the key acts as. */
  user_id: string;
  user_status: UserStatus;
  scopes: string[];
  status: 'active' | 'revoked';
  expires_at: Date | null;
}

export interface CreatedOrganizationRow {
  id: string;
  name: string;
  slug: string;
  settings: Record<string, unknown>;
  owner_id: string;
  status: 'active' | 'suspended' | 'deleted';
  version: number;
  created_at: Date;
  updated_at: Date;
}

export type AcceptedInvitationRow =
  | { outcome: 'accepted'; org_id: string; role: MemberRole }
  | { outcome: 'expired' | 'unknown'; org_id: null; role: null };

export interface CoMemberRow {
  user_id: string;
  username: string;
  email: string;
  role: MemberRole;
  status: UserStatus;
  joined_at: Date;
}

export interface OrganizationIdRow {
  org_id: string;
}

export interface DocumentHitRow {
  id: string;
  project_id: string;
  title: string;
  /** Fragments of the content with matches in «». */
  snippet: string;
  /** Between 0 and 1; comparable within one answer only. */
  score: number;
  updated_at: Date;
}

export interface UsageRow {
  bucket: Date;
  samples: string;
  total: number;
  peak: number;
}

export interface PartitionRow {
  parent: string;
  partition: string;
  created: boolean;
}
