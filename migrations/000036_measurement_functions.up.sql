-- Measurements come in through functions alone. As hypertables their chunks inherit the grants and not the policies of
-- their parent, so that with INSERT on it a worker could add rows of any organization by naming a chunk.

revoke insert on public.usage_samples, public.metric_samples from novax_worker;
drop policy usage_samples_insert_novax_worker on public.usage_samples;
drop policy metric_samples_insert_novax_worker on public.metric_samples;
grant insert on public.usage_samples, public.metric_samples to novax_definer;

set local role novax_definer;

create function private.record_usage(
  p_metric varchar,
  p_value double precision,
  p_labels jsonb default '{}',
  p_sampled_at timestamptz default now()
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
begin
  if v_org_id is null then
    raise exception 'app.current_org_id is not set' using errcode = 'insufficient_privilege';
  end if;
  insert into public.usage_samples (org_id, metric, value, labels, sampled_at)
  values (v_org_id, p_metric, p_value, coalesce(p_labels, '{}'), coalesce(p_sampled_at, now()));
end
$$;
comment on function private.record_usage is 'One sample of what app.current_org_id used.';

create function private.record_metric(
  p_metric varchar,
  p_value double precision,
  p_labels jsonb default '{}',
  p_sampled_at timestamptz default now()
)
returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into public.metric_samples (metric, value, labels, sampled_at)
  values (p_metric, p_value, coalesce(p_labels, '{}'), coalesce(p_sampled_at, now()))
$$;
comment on function private.record_metric is 'One figure of the platform itself, of no tenant.';

grant execute on function private.record_usage, private.record_metric to novax_worker;

set local role novax_owner;
