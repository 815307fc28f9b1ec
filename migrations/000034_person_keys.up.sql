-- Keys of persons by function: found or made before anybody is signed in, and for those who read a trail that names others.

grant select, insert on public.person_keys to novax_definer;
-- A destroyed key stays destroyed.
set local role novax_definer;

create function private.keep_key_destroyed() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'the key of this person was destroyed' using errcode = 'insufficient_privilege';
end
$$;
comment on function private.keep_key_destroyed is 'Stops every change to a key that is no more.';
grant execute on function private.keep_key_destroyed to novax_owner;

create function private.person_keys_of(p_user_ids uuid[])
returns table (user_id uuid, wrapped_key bytea, key_id varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.user_id, k.wrapped_key, k.key_id from public.person_keys k where k.user_id = any (p_user_ids)
$$;
comment on function private.person_keys_of is 'Wrapped keys, null where destroyed; worth nothing without the installation''s own key. No line where none was made.';

create function private.add_person_key(p_user_id uuid, p_wrapped_key bytea, p_key_id varchar)
returns table (wrapped_key bytea, key_id varchar)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  insert into public.person_keys (user_id, wrapped_key, key_id) values (p_user_id, p_wrapped_key, p_key_id)
  on conflict (user_id) do nothing;
  return query select k.wrapped_key, k.key_id from public.person_keys k where k.user_id = p_user_id;
end
$$;
comment on function private.add_person_key is 'Stores a person''s key unless there is one, and answers the one that counts.';

grant execute on function private.person_keys_of, private.add_person_key to novax_api, novax_worker;

drop function private.audit_system(varchar, uuid, varchar, varchar, uuid, jsonb, jsonb, inet, varchar);
create function private.audit_system(
  p_actor_type varchar,
  p_actor_id uuid,
  p_action varchar,
  p_entity_type varchar,
  p_entity_id uuid,
  p_old_value jsonb default null,
  p_new_value jsonb default null,
  p_ip_address inet default null,
  p_request_id varchar default null,
  p_sealed jsonb default null
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_actor(p_actor_type, p_actor_id, p_entity_id);
  insert into public.audit_log (
    org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, new_value, ip_address, request_id, sealed
  )
  values (
    null, p_actor_type, p_actor_id, p_action, p_entity_type, p_entity_id, p_old_value, p_new_value,
    network(set_masklen(p_ip_address, case family(p_ip_address) when 4 then 24 else 48 end)), p_request_id, p_sealed
  );
end
$$;
comment on function private.audit_system is 'An audit row without organization: accounts, sessions, the platform itself. Of the address it keeps the network.';
grant execute on function private.audit_system to novax_api, novax_worker;

set local role novax_owner;

create trigger keep_key_destroyed before update on public.person_keys
  for each row when (old.destroyed_at is not null) execute function private.keep_key_destroyed();
