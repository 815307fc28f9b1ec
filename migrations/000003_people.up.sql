-- People, their sessions and their credentials. None of these tables belongs to an organization; a person sees their own rows.

create table public.users (
  id uuid primary key default gen_random_uuid(),
  email varchar not null,
  email_normalized varchar not null,
  username varchar not null,
  username_normalized varchar not null,
  password_hash varchar not null,
  profile_metadata jsonb not null default '{}',
  status varchar not null default 'active',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_users_email check (char_length(email) between 3 and 254),
  constraint ck_users_username check (char_length(username) between 1 and 64),
  constraint ck_users_status check (status in ('active', 'suspended', 'deleted'))
);
comment on table public.users is 'A person with an account. Deleted people keep their row, so that what they wrote keeps its author.';
comment on column public.users.email_normalized is 'Lower-case form computed by the application: lower(email) in a query under row-level security could not use an index.';
comment on column public.users.username_normalized is 'Lower-case form computed by the application, unique among people who are not deleted.';
comment on column public.users.password_hash is 'Argon2id in PHC form; readable by private.login_lookup alone.';
comment on column public.users.profile_metadata is 'Display name, locale and the like; readable by the AI.';
-- An address or a name is free again once its account is deleted.
create unique index idx_users_email_normalized on public.users (email_normalized) where status <> 'deleted';
create unique index idx_users_username_normalized on public.users (username_normalized) where status <> 'deleted';

call private.keep_updated_at('public.users');
call private.force_rls('public.users');
call private.add_policies('public.users', 'novax_api', '{select,update}', private.is_self('id'));
grant select (id, email, email_normalized, username, username_normalized, profile_metadata, status, created_at, updated_at)
  on public.users to novax_api, novax_worker, novax_readonly;
grant update (username, username_normalized, profile_metadata) on public.users to novax_api;

create table public.sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_sessions_user references public.users (id),
  sid_hash bytea not null,
  ip_address inet,
  user_agent varchar,
  last_seen_at timestamptz not null default now(),
  idle_expires_at timestamptz not null,
  absolute_expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason varchar,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_sessions_sid_hash check (octet_length(sid_hash) = 32),
  constraint ck_sessions_revoked check ((revoked_at is null) = (revoked_reason is null))
);
comment on table public.sessions is 'One sign-in on one device. This table is the truth; session:{sid hash} in Valkey is its cache.';
comment on column public.sessions.sid_hash is 'SHA-256 of the secret session id; the id itself is never stored.';
create unique index idx_sessions_sid_hash on public.sessions (sid_hash);
create index idx_sessions_user_id_created_at on public.sessions (user_id, created_at);

call private.keep_updated_at('public.sessions');
call private.force_rls('public.sessions');
call private.add_policies('public.sessions', 'novax_api', '{select}', private.is_self());
grant select (id, user_id, ip_address, user_agent, last_seen_at, idle_expires_at, absolute_expires_at, revoked_at, revoked_reason, created_at, updated_at)
  on public.sessions to novax_api;
-- Expired sessions are swept by the worker, whoever they belong to.
call private.add_policies('public.sessions', 'novax_worker', '{select,delete}', 'true');
grant select (id, user_id, idle_expires_at, absolute_expires_at, revoked_at, created_at), delete on public.sessions to novax_worker;

create table public.refresh_tokens (
  id uuid primary key default gen_random_uuid(),
  session_id uuid not null constraint fk_refresh_tokens_session references public.sessions (id) on delete cascade,
  family_id uuid not null,
  token_hash bytea not null,
  status varchar not null default 'active',
  replaced_by_id uuid constraint fk_refresh_tokens_replaced_by references public.refresh_tokens (id) on delete set null,
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_refresh_tokens_token_hash check (octet_length(token_hash) = 32),
  constraint ck_refresh_tokens_status check (status in ('active', 'rotated', 'revoked'))
);
comment on table public.refresh_tokens is 'One-time refresh tokens. Every rotation adds a row to the family; using a rotated one again revokes family and session.';
comment on column public.refresh_tokens.family_id is 'All tokens that descend from one sign-in.';
comment on column public.refresh_tokens.token_hash is 'SHA-256 of the token; the token itself is never stored.';
create unique index idx_refresh_tokens_token_hash on public.refresh_tokens (token_hash);
create index idx_refresh_tokens_session_id on public.refresh_tokens (session_id);
create index idx_refresh_tokens_family_id on public.refresh_tokens (family_id);
create index idx_refresh_tokens_replaced_by_id on public.refresh_tokens (replaced_by_id);

-- No runtime role reads or writes this table: private.create_refresh_token and private.rotate_refresh_token do.
call private.keep_updated_at('public.refresh_tokens');
call private.force_rls('public.refresh_tokens');

create table public.oauth_accounts (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_oauth_accounts_user references public.users (id),
  provider varchar not null,
  subject varchar not null,
  email varchar,
  last_used_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_oauth_accounts_provider check (char_length(provider) between 1 and 64),
  constraint ck_oauth_accounts_subject check (char_length(subject) between 1 and 255)
);
comment on table public.oauth_accounts is 'A person''s account at an OpenID Connect provider, named by the provider''s stable subject, never by address.';
create unique index idx_oauth_accounts_provider_subject on public.oauth_accounts (provider, subject);
create index idx_oauth_accounts_user_id on public.oauth_accounts (user_id);

call private.keep_updated_at('public.oauth_accounts');
call private.force_rls('public.oauth_accounts');
call private.add_policies('public.oauth_accounts', 'novax_api', '{select,insert,delete}', private.is_self());
grant select, insert, delete on public.oauth_accounts to novax_api;

create table public.totp_factors (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_totp_factors_user references public.users (id),
  secret_ciphertext bytea not null,
  key_id varchar not null,
  status varchar not null default 'pending',
  last_used_step bigint,
  confirmed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_totp_factors_status check (status in ('pending', 'active', 'disabled'))
);
comment on table public.totp_factors is 'Time-based one-time password factors (RFC 6238).';
comment on column public.totp_factors.secret_ciphertext is 'Shared secret, sealed by the application under the key named in key_id.';
comment on column public.totp_factors.last_used_step is 'Last accepted time step: a code works once.';
create unique index idx_totp_factors_user_id on public.totp_factors (user_id) where status = 'active';
create index idx_totp_factors_user_id_created_at on public.totp_factors (user_id, created_at);

call private.keep_updated_at('public.totp_factors');
call private.force_rls('public.totp_factors');
call private.add_policies('public.totp_factors', 'novax_api', '{select,insert,update,delete}', private.is_self());
grant select, insert, update, delete on public.totp_factors to novax_api;

create table public.recovery_codes (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_recovery_codes_user references public.users (id),
  code_hash varchar not null,
  used_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.recovery_codes is 'One-time codes that stand in for a lost factor; hashed like passwords.';
create index idx_recovery_codes_user_id on public.recovery_codes (user_id);

call private.force_rls('public.recovery_codes');
call private.add_policies('public.recovery_codes', 'novax_api', '{select,insert,update,delete}', private.is_self());
grant select, insert, delete on public.recovery_codes to novax_api;
grant update (used_at) on public.recovery_codes to novax_api;

create table public.person_keys (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_person_keys_user references public.users (id),
  wrapped_key bytea,
  key_id varchar not null,
  destroyed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_person_keys_destroyed check ((destroyed_at is null) = (wrapped_key is not null))
);
comment on table public.person_keys is 'The key that seals one person''s fields in audit snapshots. Erasing a person destroys the key; the audit rows and their seals stay.';
comment on column public.person_keys.wrapped_key is 'Data key wrapped under the key named in key_id; null once destroyed.';
create unique index idx_person_keys_user_id on public.person_keys (user_id);

call private.keep_updated_at('public.person_keys');
call private.force_rls('public.person_keys');
call private.add_policies('public.person_keys', 'novax_api', '{select,insert,update}', private.is_self());
grant select, insert on public.person_keys to novax_api;
grant update (wrapped_key, destroyed_at) on public.person_keys to novax_api;
