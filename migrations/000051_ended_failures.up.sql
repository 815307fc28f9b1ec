-- Dead letters that were replayed or dropped, and dropped events, go 30 days after.

grant delete on public.dead_letters to novax_definer;
-- To lock a row is to update it.
grant update on public.dead_letters to novax_definer;
grant delete, update on public.events to novax_definer;

set local role novax_definer;

create or replace function private.sweep(p_table varchar, p_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows integer;
begin
  -- Ended sessions, tokens and failures are kept for 30 days, for whoever looks into an incident.
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
    when 'dead_letters' then
      -- The index leads by status and by when they were made.
      delete from public.dead_letters where id in (
        select l.id from public.dead_letters l
        where l.status in ('replayed', 'dropped') and l.created_at < now() - interval '30 days' and l.resolved_at < now() - interval '30 days'
        limit p_limit for update skip locked
      );
    when 'events' then
      -- What was dropped was never published: no month of the published ones goes with it.
      delete from public.events where status = 'dropped' and id in (
        select e.id from public.events e where e.status = 'dropped' and e.created_at < now() - interval '30 days' limit p_limit for update skip locked
      );
    else
      raise exception 'nothing of % expires', p_table using errcode = 'invalid_parameter_value';
  end case;
  get diagnostics v_rows = row_count;
  return v_rows;
end
$$;

set local role novax_owner;
