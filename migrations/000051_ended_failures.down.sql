set local role novax_definer;

create or replace function private.sweep(p_table varchar, p_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows integer;
begin
  -- Ended sessions and tokens are kept for 30 days, for whoever looks into an incident.
  case p_table
    when 'sessions' then
      -- Their refresh tokens go with them. The idle end is never after the absolute one.
      delete from public.sessions where id in (
        select s.id from public.sessions s
        where s.idle_expires_at < now() - interval '30 days' or s.revoked_at < now() - interval '30 days'
        limit p_limit for update skip locked
      );
    when 'refresh_tokens' then
      delete from public.refresh_tokens where id in (
        select t.id from public.refresh_tokens t where t.expires_at < now() - interval '30 days' limit p_limit for update skip locked
      );
    when 'one_time_tokens' then
      delete from public.one_time_tokens where id in (
        select t.id from public.one_time_tokens t where t.expires_at < now() - interval '30 days' limit p_limit for update skip locked
      );
    when 'oauth_flows' then
      delete from public.oauth_flows where id in (
        select f.id from public.oauth_flows f where f.expires_at < now() limit p_limit for update skip locked
      );
    when 'idempotency_keys' then
      delete from public.idempotency_keys where id in (
        select k.id from public.idempotency_keys k where k.expires_at < now() limit p_limit for update skip locked
      );
    when 'invitations' then
      with swept as (
        update public.invitations set status = 'expired' where id in (
          select i.id from public.invitations i where i.status = 'pending' and i.expires_at < now() limit p_limit for update skip locked
        )
        returning id, org_id
      )
      insert into public.audit_log (org_id, actor_type, action, entity_type, entity_id, old_value, new_value)
      select s.org_id, 'system', 'update', 'invitations', s.id, '{"status": "pending"}', '{"status": "expired"}' from swept s;
    else
      raise exception 'nothing of % expires', p_table using errcode = 'invalid_parameter_value';
  end case;
  get diagnostics v_rows = row_count;
  return v_rows;
end
$$;

set local role novax_owner;

revoke delete, update on public.dead_letters from novax_definer;
revoke delete, update on public.events from novax_definer;
