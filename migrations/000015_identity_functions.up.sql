-- What the API does before it knows the caller: accounts, sessions, refresh tokens, API keys. One thing each, run as novax_definer.
-- Where app.current_user_id is set, a function acts for that person only.

grant select, insert, update on public.users, public.sessions, public.refresh_tokens to novax_definer;
grant select, update on public.api_keys to novax_definer;

set local role novax_definer;

create function private.current_user_id() returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select nullif(current_setting('app.current_user_id', true), '')::uuid $$;
comment on function private.current_user_id is 'app.current_user_id, or null.';

create function private.require_self(p_user_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_user_id is distinct from private.current_user_id() then
    raise exception 'not the current user' using errcode = 'insufficient_privilege';
  end if;
end
$$;
comment on function private.require_self is 'Refuses to act for anyone but app.current_user_id.';

create function private.register_user(
  p_id uuid,
  p_email varchar,
  p_email_normalized varchar,
  p_username varchar,
  p_username_normalized varchar,
  p_password_hash varchar
)
returns table (id uuid, email varchar, username varchar, status varchar, created_at timestamptz)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into public.users (id, email, email_normalized, username, username_normalized, password_hash)
  values (coalesce(p_id, gen_random_uuid()), p_email, p_email_normalized, p_username, p_username_normalized, p_password_hash)
  returning id, email, username, status, created_at
$$;
comment on function private.register_user is 'Makes an account. A taken address or name raises unique_violation on idx_users_email_normalized or idx_users_username_normalized.';

create function private.login_lookup(p_email_normalized varchar)
returns table (user_id uuid, password_hash varchar, status varchar, email varchar, username varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select u.id, u.password_hash, u.status, u.email, u.username
  from public.users u
  where u.email_normalized = p_email_normalized and u.status <> 'deleted'
$$;
comment on function private.login_lookup is 'The only reader of password_hash.';

create function private.change_password(p_user_id uuid, p_password_hash varchar) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_self(p_user_id);
  update public.users set password_hash = p_password_hash where id = p_user_id and status = 'active';
  return found;
end
$$;
comment on function private.change_password is 'Stores a new hash for oneself; also the rehash after a sign-in.';

create function private.user_profile(p_user_id uuid)
returns table (id uuid, email varchar, username varchar, profile_metadata jsonb, status varchar, created_at timestamptz, updated_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_self(p_user_id);
  return query
    select u.id, u.email, u.username, u.profile_metadata, u.status, u.created_at, u.updated_at
    from public.users u where u.id = p_user_id;
end
$$;
comment on function private.user_profile is 'One''s own profile.';

create function private.create_session(
  p_id uuid,
  p_sid_hash bytea,
  p_user_id uuid,
  p_ip_address inet,
  p_user_agent varchar,
  p_idle_expires_at timestamptz,
  p_absolute_expires_at timestamptz
)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  if private.current_user_id() is not null then
    perform private.require_self(p_user_id);
  end if;
  insert into public.sessions (id, sid_hash, user_id, ip_address, user_agent, idle_expires_at, absolute_expires_at)
  select coalesce(p_id, gen_random_uuid()), p_sid_hash, u.id, p_ip_address, p_user_agent, least(p_idle_expires_at, p_absolute_expires_at), p_absolute_expires_at
  from public.users u
  where u.id = p_user_id and u.status = 'active'
  returning id into v_id;
  if v_id is null then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  return v_id;
end
$$;
comment on function private.create_session is 'Opens a session for an active person, after the caller has verified who they are.';

create function private.session_by_hash(p_sid_hash bytea)
returns table (session_id uuid, user_id uuid, user_status varchar, expires_at timestamptz, absolute_expires_at timestamptz, revoked_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.id, s.user_id, u.status, least(s.idle_expires_at, s.absolute_expires_at), s.absolute_expires_at, s.revoked_at
  from public.sessions s
  join public.users u on u.id = s.user_id
  where s.sid_hash = p_sid_hash
$$;
comment on function private.session_by_hash is 'The session behind a secret id. The caller decides: active user, not revoked, not expired.';

create function private.touch_session(p_sid_hash bytea, p_idle_expires_at timestamptz) returns timestamptz
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update public.sessions s
  set last_seen_at = now(), idle_expires_at = greatest(s.idle_expires_at, least(p_idle_expires_at, s.absolute_expires_at))
  where s.sid_hash = p_sid_hash and s.revoked_at is null and least(s.idle_expires_at, s.absolute_expires_at) > now()
  returning s.idle_expires_at
$$;
comment on function private.touch_session is 'Slides a live session''s idle end, never beyond its absolute end; null when it is over.';

create function private.end_session(p_session_id uuid, p_reason varchar) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ended boolean;
begin
  update public.sessions set revoked_at = now(), revoked_reason = p_reason where id = p_session_id and revoked_at is null;
  v_ended := found;
  update public.refresh_tokens set status = 'revoked' where session_id = p_session_id and status = 'active';
  return v_ended;
end
$$;
comment on function private.end_session is 'Revokes a session and its live refresh tokens. For the functions of this file; no role may call it.';

create function private.revoke_session(p_session_id uuid, p_reason varchar) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if private.current_user_id() is null
    or not exists (select from public.sessions s where s.id = p_session_id and s.user_id = private.current_user_id()) then
    return false;
  end if;
  return private.end_session(p_session_id, p_reason);
end
$$;
comment on function private.revoke_session is 'Ends one of one''s own sessions; false when there was nothing to end.';

create function private.revoke_session_by_hash(p_sid_hash bytea, p_reason varchar) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select private.end_session(s.id, p_reason) from public.sessions s where s.sid_hash = p_sid_hash), false)
$$;
comment on function private.revoke_session_by_hash is 'Ends the session whose secret id the caller holds.';

create function private.revoke_session_by_refresh_token(p_token_hash bytea, p_reason varchar) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_session_id uuid;
begin
  select t.session_id into v_session_id from public.refresh_tokens t where t.token_hash = p_token_hash;
  if v_session_id is not null then
    perform private.end_session(v_session_id, p_reason);
  end if;
  return v_session_id;
end
$$;
comment on function private.revoke_session_by_refresh_token is 'Signs out by refresh token; returns the session, or null for an unknown token.';

create function private.revoke_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason varchar) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  perform private.require_self(p_user_id);
  select count(*) filter (where private.end_session(s.id, p_reason)) into v_count
  from public.sessions s
  where s.user_id = p_user_id and s.revoked_at is null and s.id is distinct from p_keep_session_id;
  return v_count;
end
$$;
comment on function private.revoke_other_sessions is 'Ends all of one''s sessions but one, as after a change of password; a null id to keep ends them all.';

create function private.create_refresh_token(
  p_id uuid,
  p_session_id uuid,
  p_family_id uuid,
  p_token_hash bytea,
  p_expires_at timestamptz
)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  insert into public.refresh_tokens (id, session_id, family_id, token_hash, expires_at)
  select coalesce(p_id, gen_random_uuid()), s.id, p_family_id, p_token_hash, least(p_expires_at, s.absolute_expires_at)
  from public.sessions s
  where s.id = p_session_id and s.revoked_at is null
    and (private.current_user_id() is null or s.user_id = private.current_user_id())
    -- The first of its family: later ones come by rotation alone.
    and not exists (select from public.refresh_tokens t where t.session_id = s.id)
  returning id into v_id;
  if v_id is null then
    raise exception 'no session to issue a refresh token for' using errcode = 'insufficient_privilege';
  end if;
  return v_id;
end
$$;
comment on function private.create_refresh_token is 'The first refresh token of a new session.';

create function private.rotate_refresh_token(p_old_hash bytea, p_new_id uuid, p_new_hash bytea, p_idle interval)
returns table (outcome varchar, session_id uuid, user_id uuid, family_id uuid, expires_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_token public.refresh_tokens;
  v_session public.sessions;
  v_user_status varchar;
  v_expires_at timestamptz;
begin
  -- The lock makes one of several concurrent callers the first; the others see what it left. Session before token, as in end_session.
  select s.* into v_session
  from public.sessions s
  where s.id = (select t.session_id from public.refresh_tokens t where t.token_hash = p_old_hash)
  for update;
  if not found then
    return query select 'unknown'::varchar, null::uuid, null::uuid, null::uuid, null::timestamptz;
    return;
  end if;
  select t.* into v_token from public.refresh_tokens t where t.token_hash = p_old_hash for update;
  select u.status into v_user_status from public.users u where u.id = v_session.user_id;
  if v_token.status = 'rotated' then
    perform private.end_session(v_session.id, 'refresh_token_reused');
    return query select 'reused'::varchar, v_session.id, v_session.user_id, v_token.family_id, null::timestamptz;
    return;
  end if;
  if v_token.status = 'revoked' or v_token.expires_at <= clock_timestamp() or v_session.revoked_at is not null
    or v_session.absolute_expires_at <= clock_timestamp() or v_user_status <> 'active' then
    return query select 'expired'::varchar, v_session.id, v_session.user_id, v_token.family_id, null::timestamptz;
    return;
  end if;
  v_expires_at := least(clock_timestamp() + p_idle, v_session.absolute_expires_at);
  insert into public.refresh_tokens (id, session_id, family_id, token_hash, expires_at)
  values (p_new_id, v_session.id, v_token.family_id, p_new_hash, v_expires_at);
  update public.refresh_tokens set status = 'rotated', used_at = clock_timestamp(), replaced_by_id = p_new_id where id = v_token.id;
  update public.sessions set last_seen_at = clock_timestamp(), idle_expires_at = v_expires_at where id = v_session.id;
  return query select 'rotated'::varchar, v_session.id, v_session.user_id, v_token.family_id, v_expires_at;
end
$$;
comment on function private.rotate_refresh_token is 'Trades a token for its successor, once: rotated, reused (family and session are revoked), expired or unknown. The caller must COMMIT whatever the outcome, or a reuse goes unpunished.';

create function private.api_key_by_hash(p_key_hash bytea)
returns table (api_key_id uuid, org_id uuid, user_id uuid, user_status varchar, scopes varchar[], status varchar, expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.id, k.org_id, k.creator_id, u.status, k.scopes, k.status, k.expires_at
  from public.api_keys k
  join public.users u on u.id = k.creator_id
  where k.key_hash = p_key_hash
$$;
comment on function private.api_key_by_hash is 'The key behind a secret. The caller decides: active key, active creator, not expired.';

grant execute on function
  private.register_user, private.login_lookup, private.change_password, private.user_profile, private.create_session, private.session_by_hash,
  private.touch_session, private.revoke_session, private.revoke_session_by_hash, private.revoke_session_by_refresh_token,
  private.revoke_other_sessions, private.create_refresh_token, private.rotate_refresh_token, private.api_key_by_hash
  to novax_api;

set local role novax_owner;
