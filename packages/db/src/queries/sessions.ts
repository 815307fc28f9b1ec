/** A person's live sessions, and the feed of those that ended. */
import { statement } from '../statement.ts';

interface SessionRow {
  readonly id: string;
  readonly ip_address: string | null;
  readonly user_agent: string | null;
  readonly created_at: string;
  readonly last_seen_at: string;
  readonly expires_at: string;
}

const live = 'revoked_at is null and least(idle_expires_at, absolute_expires_at) > now()';

/** Values: user, cursor's created_at and id, rows at most. */
export const listSessions = statement<SessionRow & { readonly cursor_at: string }>(
  'list_sessions',
  `select id, host(ip_address) as ip_address, user_agent, created_at, last_seen_at,
          least(idle_expires_at, absolute_expires_at) as expires_at, created_at::text as cursor_at
     from sessions
    where user_id = $1::uuid and ${live} and (created_at, id) < ($2::timestamptz, $3::uuid)
    order by created_at desc, id desc limit $4`,
);

/** Values: session, reason. No row when the session is not the scope's person's, or is over. */
export const revokeLiveSession = statement<{ ended: boolean }>(
  'revoke_live_session',
  `select private.revoke_session(id, $2) as ended from sessions where id = $1::uuid and ${live}`,
);

/**
 * Sessions that ended since an instant of the database's clock, as an array of hex hashes of their secret ids, and that clock now. One row always.
 * Values: the instant, or null for the first look; seconds to look back from it, or from now.
 */
export const revokedSessions = statement<{ readonly at: string; readonly sid_hashes: string[] }>(
  'revoked_sessions',
  `select now()::text as at,
          array(select encode(r.sid_hash, 'hex')
                  from private.revoked_sessions_since(coalesce($1::timestamptz, now()) - make_interval(secs => $2::float8)) r) as sid_hashes`,
);
