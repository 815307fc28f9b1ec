-- Sign-in with identity providers: what must be known between sending somebody to a provider and their coming back, and what follows from it.

create table public.oauth_flows (
  id uuid primary key default gen_random_uuid(),
  flow_hash bytea not null,
  provider varchar not null,
  secrets_ciphertext bytea not null,
  key_id varchar not null,
  link_user_id uuid constraint fk_oauth_flows_link_user references public.users (id) on delete cascade,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_oauth_flows_flow_hash check (octet_length(flow_hash) = 32),
  constraint ck_oauth_flows_provider check (char_length(provider) between 1 and 64)
);
comment on table public.oauth_flows is 'Sign-ins that are under way at an identity provider. A row goes with the first answer that names it, whatever comes of that.';
comment on column public.oauth_flows.flow_hash is 'SHA-256 of the secret that the browser which began it must bring back.';
comment on column public.oauth_flows.secrets_ciphertext is 'State, nonce and code verifier, sealed by the application under the key named in key_id, bound to this row.';
comment on column public.oauth_flows.link_user_id is 'The signed-in person who adds the provider to their account; null for a sign-in.';
create unique index idx_oauth_flows_flow_hash on public.oauth_flows (flow_hash);
create index idx_oauth_flows_link_user_id on public.oauth_flows (link_user_id);
create index idx_oauth_flows_expires_at on public.oauth_flows (expires_at);

-- No runtime role reads or writes this table: private.begin_oauth_flow and private.take_oauth_flow do.
call private.keep_updated_at('public.oauth_flows');
call private.force_rls('public.oauth_flows');

grant select, insert, update, delete on public.oauth_flows to novax_definer;
grant select, insert, delete on public.oauth_accounts to novax_definer;

call private.add_policies('public.oauth_accounts', 'novax_api', '{update}', private.is_self());
grant update (last_used_at) on public.oauth_accounts to novax_api;
-- The last way in must not go: private.unlink_oauth_account looks before it takes one away.
revoke delete on public.oauth_accounts from novax_api;
drop policy oauth_accounts_delete_novax_api on public.oauth_accounts;

set local role novax_definer;

create function private.begin_oauth_flow(
  p_id uuid,
  p_flow_hash bytea,
  p_provider varchar,
  p_secrets_ciphertext bytea,
  p_key_id varchar,
  p_link_user_id uuid,
  p_expires_at timestamptz
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_link_user_id is not null then
    perform private.require_self(p_link_user_id);
  end if;
  -- Whoever begins sweeps more than they leave, so that abandoned ones cannot pile up.
  delete from public.oauth_flows
  where id in (
    select f.id from public.oauth_flows f where f.expires_at <= clock_timestamp() order by f.expires_at limit 100 for update skip locked
  );
  insert into public.oauth_flows (id, flow_hash, provider, secrets_ciphertext, key_id, link_user_id, expires_at)
  values (p_id, p_flow_hash, p_provider, p_secrets_ciphertext, p_key_id, p_link_user_id, p_expires_at);
end
$$;
comment on function private.begin_oauth_flow is 'Keeps a sign-in until it comes back, and removes some that never did; for linking, of oneself alone.';

create function private.take_oauth_flow(p_flow_hash bytea)
returns table (id uuid, provider varchar, secrets_ciphertext bytea, key_id varchar, link_user_id uuid)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with taken as (
    delete from public.oauth_flows f where f.flow_hash = p_flow_hash
    returning f.id, f.provider, f.secrets_ciphertext, f.key_id, f.link_user_id, f.expires_at
  )
  select t.id, t.provider, t.secrets_ciphertext, t.key_id, t.link_user_id from taken t where t.expires_at > clock_timestamp()
$$;
comment on function private.take_oauth_flow is 'A sign-in under way, once: of several concurrent callers the first gets it. Nothing for an unknown or expired one. The caller must COMMIT before acting on it.';

create function private.oauth_account_by_subject(p_provider varchar, p_subject varchar)
returns table (account_id uuid, user_id uuid, email varchar, username varchar, status varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select a.id, u.id, u.email, u.username, u.status
  from public.oauth_accounts a
  join public.users u on u.id = a.user_id
  where a.provider = p_provider and a.subject = p_subject
$$;
comment on function private.oauth_account_by_subject is 'The person behind a provider''s subject. The caller decides: active user.';

create function private.register_oauth_user(
  p_id uuid,
  p_email varchar,
  p_email_normalized varchar,
  p_username varchar,
  p_username_normalized varchar,
  p_account_id uuid,
  p_provider varchar,
  p_subject varchar
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_self(p_id);
  -- '!' is the hash of no password.
  insert into public.users (id, email, email_normalized, username, username_normalized, password_hash, email_verified_at)
  values (p_id, p_email, p_email_normalized, p_username, p_username_normalized, '!', now());
  insert into public.oauth_accounts (id, user_id, provider, subject, email, last_used_at)
  values (p_account_id, p_id, p_provider, p_subject, p_email, now());
end
$$;
comment on function private.register_oauth_user is 'Makes an account without a password for a person whose provider has verified their address. What is taken raises unique_violation on idx_users_email_normalized, idx_users_username_normalized or idx_oauth_accounts_provider_subject.';

create function private.unlink_oauth_account(p_user_id uuid, p_account_id uuid)
returns table (outcome varchar, provider varchar)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_password_hash varchar;
  v_provider varchar;
begin
  perform private.require_self(p_user_id);
  -- One at a time per person, or two at once could each leave the other's as the way in.
  select u.password_hash into v_password_hash from public.users u where u.id = p_user_id for update;
  select a.provider into v_provider from public.oauth_accounts a where a.id = p_account_id and a.user_id = p_user_id;
  if v_provider is null then
    return query select 'unknown'::varchar, null::varchar;
    return;
  end if;
  if v_password_hash = '!' and not exists (select from public.oauth_accounts a where a.user_id = p_user_id and a.id <> p_account_id) then
    return query select 'only'::varchar, v_provider;
    return;
  end if;
  delete from public.oauth_accounts a where a.id = p_account_id;
  return query select 'unlinked'::varchar, v_provider;
end
$$;
comment on function private.unlink_oauth_account is 'Takes a provider off one''s own account: unlinked, only (there is no password and no other provider) or unknown.';

grant execute on function
  private.begin_oauth_flow, private.take_oauth_flow, private.oauth_account_by_subject, private.register_oauth_user, private.unlink_oauth_account
  to novax_api;

set local role novax_owner;
