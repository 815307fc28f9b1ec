drop trigger keep_key_destroyed on public.person_keys;
set local role novax_definer;
drop function private.audit_system(varchar, uuid, varchar, varchar, uuid, jsonb, jsonb, inet, varchar, jsonb);
create function private.audit_system(
  p_actor_type varchar,
  p_actor_id uuid,
  p_action varchar,
  p_entity_type varchar,
  p_entity_id uuid,
  p_old_value jsonb default null,
  p_new_value jsonb default null,
  p_ip_address inet default null,
  p_request_id varchar default null
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_actor(p_actor_type, p_actor_id, p_entity_id);
  insert into public.audit_log (org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, new_value, ip_address, request_id)
  values (null, p_actor_type, p_actor_id, p_action, p_entity_type, p_entity_id, p_old_value, p_new_value, p_ip_address, p_request_id);
end
$$;
comment on function private.audit_system is 'An audit row without organization: accounts, sessions, the platform itself.';
grant execute on function private.audit_system to novax_api, novax_worker;
drop function private.add_person_key(uuid, bytea, varchar);
drop function private.person_keys_of(uuid[]);
drop function private.keep_key_destroyed();
set local role novax_owner;
revoke select, insert on public.person_keys from novax_definer;
