-- Sessions that end are known everywhere within a second: the feed every API process reads, suspension that ends sessions, and the operator's way to it.

set local role novax_definer;

create function private.revoked_sessions_since(p_since timestamptz)
returns table (sid_hash bytea, revoked_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.sid_hash, s.revoked_at from public.sessions s where s.revoked_at >= p_since order by s.revoked_at
$$;
comment on function private.revoked_sessions_since is 'Sessions revoked at or after an instant, by the hash of their secret id. A revocation shows up when its transaction commits, so ask again from some seconds before the last look.';

-- The time of the statement instead of the transaction's begin: the less time passes until the commit, the less far the feed must look back.
create or replace function private.end_session(p_session_id uuid, p_reason varchar) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ended boolean;
begin
  update public.sessions set revoked_at = clock_timestamp(), revoked_reason = p_reason where id = p_session_id and revoked_at is null;
  v_ended := found;
  update public.refresh_tokens set status = 'revoked' where session_id = p_session_id and status = 'active';
  return v_ended;
end
$$;

-- The lock on the person: a sign-in beside a suspension is either seen by it, and ended, or sees it, and is refused.
create or replace function private.create_session(
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
  perform from public.users u where u.id = p_user_id and u.status = 'active' for share;
  if not found then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  insert into public.sessions (id, sid_hash, user_id, ip_address, user_agent, idle_expires_at, absolute_expires_at)
  values (
    coalesce(p_id, gen_random_uuid()), p_sid_hash, p_user_id, p_ip_address, p_user_agent,
    least(p_idle_expires_at, p_absolute_expires_at), p_absolute_expires_at
  )
  returning id into v_id;
  return v_id;
end
$$;

create function private.end_sessions_of_inactive() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.end_session(s.id, 'user_' || new.status) from public.sessions s where s.user_id = new.id and s.revoked_at is null;
  return null;
end
$$;
comment on function private.end_sessions_of_inactive is 'Ends every session of a person who is no longer active, in the transaction that says so.';
grant execute on function private.end_sessions_of_inactive to novax_owner;

create function private.find_users(p_text varchar, p_limit integer)
returns table (id uuid, email varchar, username varchar, status varchar, live_sessions bigint, created_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select u.id, u.email, u.username, u.status, s.live, u.created_at
  from public.users u
  cross join lateral (
    select count(*) as live from public.sessions s
    where s.user_id = u.id and s.revoked_at is null and least(s.idle_expires_at, s.absolute_expires_at) > now()
  ) s
  where case when p_text is null then u.status = 'suspended' else u.email_normalized = lower(p_text) or u.id::text = lower(p_text) end
  order by u.created_at desc, u.id desc
  limit least(greatest(p_limit, 1), 1000)
$$;
comment on function private.find_users is 'For operators: people by address or id, or, with null, those who are suspended.';

create function private.set_user_suspended(p_user_id uuid, p_suspended boolean, p_reason varchar default null)
returns table (outcome varchar, ended_sessions bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_from varchar := case when p_suspended then 'active' else 'suspended' end;
  v_to varchar := case when p_suspended then 'suspended' else 'active' end;
  v_status varchar;
  v_ended bigint;
begin
  select u.status into v_status from public.users u where u.id = p_user_id for update;
  if v_status is distinct from v_from then
    return query select coalesce(v_status, 'unknown')::varchar, 0::bigint;
    return;
  end if;
  select count(*) into v_ended from public.sessions s
  where s.user_id = p_user_id and s.revoked_at is null and least(s.idle_expires_at, s.absolute_expires_at) > now();
  update public.users set status = v_to where users.id = p_user_id;
  perform private.audit_system(
    'system', null, 'update', 'users', p_user_id,
    jsonb_build_object('status', v_from), jsonb_strip_nulls(jsonb_build_object('status', v_to, 'reason', p_reason))
  );
  return query select 'done'::varchar, case when p_suspended then v_ended else 0 end;
end
$$;
comment on function private.set_user_suspended is 'For operators: suspends an active person, whose sessions end with it, or restores a suspended one; the audit row names the system. Outcome: done, or the status that stood in the way, or unknown.';

grant execute on function private.revoked_sessions_since to novax_api;
grant execute on function private.find_users, private.set_user_suspended to novax_migrator;

set local role novax_owner;

create trigger end_sessions_of_inactive after update of status on public.users
  for each row when (old.status = 'active' and new.status <> 'active') execute function private.end_sessions_of_inactive();
