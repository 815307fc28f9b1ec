-- Audit rows and events that belong to no organization, and the usage an organization may see.

set local role novax_definer;

create function private.require_actor(p_actor_type varchar, p_actor_id uuid, p_subject_id uuid) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid := private.current_user_id();
begin
  if session_user = 'novax_worker' then
    if p_actor_type in ('ai', 'system') then
      return;
    end if;
  elsif p_actor_type = 'system' and p_actor_id is null then
    return;
  elsif p_actor_type in ('user', 'api_key', 'ai') and p_actor_id is not null then
    -- Signed in: oneself. Not yet (registration, sign-in): the person the record is about.
    if p_actor_id = coalesce(v_user_id, p_subject_id) then
      return;
    end if;
  end if;
  raise exception 'the actor is not the caller' using errcode = 'insufficient_privilege';
end
$$;
comment on function private.require_actor is 'Refuses records in another''s name.';

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

create function private.event_system(
  p_event_id uuid,
  p_event_type varchar,
  p_aggregate_type varchar,
  p_aggregate_id uuid,
  p_aggregate_version integer,
  p_schema_version smallint,
  p_payload jsonb,
  p_actor_type varchar,
  p_actor_id uuid,
  p_request_id varchar default null,
  p_traceparent varchar default null,
  p_causation_id uuid default null,
  p_occurred_at timestamptz default now()
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_actor(p_actor_type, p_actor_id, p_aggregate_id);
  insert into public.events (
    event_id, org_id, event_type, aggregate_type, aggregate_id, aggregate_version, schema_version, payload, actor_type, actor_id,
    request_id, traceparent, causation_id, occurred_at
  )
  values (
    coalesce(p_event_id, gen_random_uuid()), null, p_event_type, p_aggregate_type, p_aggregate_id, p_aggregate_version, p_schema_version,
    p_payload, p_actor_type, p_actor_id, p_request_id, p_traceparent, p_causation_id, p_occurred_at
  );
end
$$;
comment on function private.event_system is 'An outbox row without organization, such as user.registered.';

create function private.usage_for_current_org(p_metric varchar, p_from timestamptz, p_to timestamptz, p_bucket interval)
returns table (bucket timestamptz, samples bigint, total double precision, peak double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select date_bin(p_bucket, u.sampled_at, timestamptz '2000-01-01 00:00:00+00') as bucket, count(*), sum(u.value), max(u.value)
  from public.usage_samples u
  where u.org_id = (select nullif(current_setting('app.current_org_id', true), '')::uuid)
    and exists (
      select from app.memberships m
      where m.user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid) and m.org_id = u.org_id
    )
    and u.metric = p_metric and u.sampled_at >= p_from and u.sampled_at < p_to
  group by 1
  order by 1
  limit 10000
$$;
comment on function private.usage_for_current_org is 'Usage of app.current_org_id in buckets, for its members; the samples themselves are readable by nobody.';

grant execute on function private.audit_system, private.event_system to novax_api, novax_worker;
grant execute on function private.usage_for_current_org to novax_api;

set local role novax_owner;
