/** The named functions that confirm addresses and change passwords. Each does the whole of it, so that no half is ever committed. */
import { statement } from '../statement.ts';

/** The person, or null for a secret that is unknown, used or too old. Values: hash of the mailed secret. */
export const verifyEmail = statement<{ user_id: string | null }>(
  'verify_email',
  'select private.verify_email($1::bytea) as user_id',
);

/** Whose password a mailed secret may replace; no row for one that is unknown, used or too old. Values: its hash. */
export const resetTokenOwner = statement<{ user_id: string; email: string; username: string }>(
  'reset_token_owner',
  'select user_id, email, username from private.reset_token_owner($1::bytea)',
);

/** Uses up a mailed secret, stores the new password and ends every session; no row like above. Values: hash of the secret, hash of the password. */
export const resetPassword = statement<{ user_id: string; email: string; ended_sessions: string[] }>(
  'reset_password',
  `select user_id, email, array_to_json(array(select encode(s, 'hex') from unnest(ended_sessions) as s)) as ended_sessions
     from private.reset_password($1::bytea, $2)`,
);

/** Stores the current user's new password and ends their other sessions, one row (its secret id's hash, hex) each. Values: user, hash of the password, session to keep. */
export const replacePassword = statement<{ sid_hash: string }>(
  'replace_password',
  `select encode(s, 'hex') as sid_hash from private.replace_password($1::uuid, $2, $3::uuid) as s`,
);

/** True while the verified hash is still the current user's, until the transaction ends. Values: user, that hash, the same password hashed anew or null. */
export const confirmPassword = statement<{ confirmed: boolean }>(
  'confirm_password',
  'select private.confirm_password($1::uuid, $2, $3) as confirmed',
);
