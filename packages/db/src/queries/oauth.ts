/** Identity providers: sign-ins under way, and the accounts that people have there. */
import { statement } from '../statement.ts';
import { instant } from './instant.ts';

/** Values: id, hash of the flow's secret, provider, sealed secrets, name of their key, person who links or null, end. */
export const beginFlow = statement<Record<string, never>>(
  'begin_oauth_flow',
  'select private.begin_oauth_flow($1::uuid, $2::bytea, $3, $4::bytea, $5, $6::uuid, $7::timestamptz)',
);

/** Values: hash of the flow's secret. One row once; its transaction must commit before anything is done with it. */
export const takeFlow = statement<{
  id: string;
  provider: string;
  secrets_ciphertext: Buffer;
  key_id: string;
  link_user_id: string | null;
}>(
  'take_oauth_flow',
  'select id, provider, secrets_ciphertext, key_id, link_user_id from private.take_oauth_flow($1::bytea)',
);

/** Values: provider, subject. */
export const accountBySubject = statement<{
  account_id: string;
  user_id: string;
  email: string;
  username: string;
  status: 'active' | 'suspended' | 'deleted';
}>(
  'oauth_account_by_subject',
  'select account_id, user_id, email, username, status from private.oauth_account_by_subject($1, $2)',
);

/** Values: id, e-mail, e-mail lower case, username, username lower case, id of the account, provider, subject. Raises unique_violation for what is taken. */
export const registerOauthUser = statement<Record<string, never>>(
  'register_oauth_user',
  'select private.register_oauth_user($1::uuid, $2, $3, $4, $5, $6::uuid, $7, $8)',
);

/** Values: id, person, provider, subject, e-mail at the provider or null. Raises unique_violation for a subject that is linked already. */
export const linkAccount = statement<Record<string, never>>(
  'link_oauth_account',
  'insert into oauth_accounts (id, user_id, provider, subject, email, last_used_at) values ($1::uuid, $2::uuid, $3, $4, $5, now())',
);

/** Values: id. */
export const touchAccount = statement<Record<string, never>>(
  'touch_oauth_account',
  'update oauth_accounts set last_used_at = now() where id = $1::uuid',
);

/** Values: person. The policy leaves nobody but the caller. */
export const personById = statement<{
  id: string;
  email: string;
  username: string;
  status: 'active' | 'suspended' | 'deleted';
}>('person_by_id', 'select id, email, username, status from users where id = $1::uuid');

/** Values: person, id. */
export const unlinkAccount = statement<{ outcome: 'unlinked' | 'only' | 'unknown'; provider: string | null }>(
  'unlink_oauth_account',
  'select outcome, provider from private.unlink_oauth_account($1::uuid, $2::uuid)',
);

interface AccountRow {
  readonly id: string;
  readonly provider: string;
  readonly email: string | null;
  readonly created_at: string | Date;
  readonly last_used_at: string | Date | null;
}

/** Values: person, rows at most. */
export const listAccounts = statement<AccountRow>(
  'list_oauth_accounts',
  'select id, provider, email, created_at, last_used_at from oauth_accounts where user_id = $1::uuid order by created_at, id limit $2::int',
);

/** The row as the contract shows it. */
export function accountView(row: AccountRow) {
  return {
    id: row.id,
    provider: row.provider,
    email: row.email,
    createdAt: instant(row.created_at),
    lastUsedAt: row.last_used_at === null ? null : instant(row.last_used_at),
  };
}
