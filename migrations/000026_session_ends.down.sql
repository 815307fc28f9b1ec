drop trigger end_sessions_of_inactive on public.users;

set local role novax_definer;

drop function private.set_user_suspended(uuid, boolean, varchar);
drop function private.find_users(varchar, integer);
drop function private.end_sessions_of_inactive();

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

create or replace function private.end_session(p_session_id uuid, p_reason varchar) returns boolean
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

drop function private.revoked_sessions_since(timestamptz);

set local role novax_owner;
