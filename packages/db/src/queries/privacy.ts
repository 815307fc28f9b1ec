/** A person's own profile, what is held about them, and their erasure. */
import { statement } from '../statement.ts';

/** What may be changed, held until the transaction ends; no row when the account is gone. Values: user. */
export const holdSelf = statement<{ username: string; profile_metadata: Record<string, never> }>(
  'hold_self',
  `select username, profile_metadata from users where id = $1::uuid and status = 'active' for no key update`,
);

/** No row when the account is gone. Values: user, user name or null, the same lower case or null, profile as JSON or null. */
export const updateSelf = statement<{ id: string; username: string; profile_metadata: Record<string, never> }>(
  'update_self',
  `update users set username = coalesce($2, username), username_normalized = coalesce($3, username_normalized),
          profile_metadata = coalesce($4::jsonb, profile_metadata)
    where id = $1::uuid and status = 'active'
   returning id, username, profile_metadata`,
);

/** The parts of what is held about a person, in the order of the archive; `account` is one row, the others pages. */
export const exportSections = [
  'sessions',
  'linkedAccounts',
  'factors',
  'apiKeys',
  'memberships',
  'invitations',
  'documents',
  'documentVersions',
  'tasks',
  'comments',
  'attachments',
  'notifications',
  'notificationPreferences',
  'mails',
  'auditTrail',
] as const;

/** Open JSON, as documents of it come from the database. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** One page about the current user. Values: section, place of the last row read or nothing, rows at most. */
export const exportPage = statement<{ place: string; item: Record<string, Json> }>(
  'export_person',
  'select place, item from private.export_person($1, $2, $3::int)',
);

/** True for a session that began in the last ten minutes. Values: session. */
export const isFreshSession = statement<{ fresh: boolean }>(
  'is_fresh_session',
  `select exists (select from sessions where id = $1::uuid and created_at > now() - interval '10 minutes') as fresh`,
);

/** Erases the current user; `owns` names the organizations to hand over first, and nothing is done then. Values: user, request id. */
export const erasePerson = statement<{ outcome: 'erased' | 'owns' | 'unknown'; organizations: string[] | null }>(
  'erase_person',
  `select outcome, array_to_json(organizations) as organizations from private.erase_person($1::uuid, nullif($2, ''))`,
);

/** People erased whom the list outside the database does not name yet. Values: rows at most. */
export const unrecordedErasures = statement<{ user_id: string; erased_at: string | Date }>(
  'unrecorded_erasures',
  'select user_id, erased_at from private.unrecorded_erasures($1::int)',
);

/** Values: user. */
export const markErasureRecorded = statement<Record<string, never>>(
  'mark_erasure_recorded',
  'select private.mark_erasure_recorded($1::uuid)',
);
