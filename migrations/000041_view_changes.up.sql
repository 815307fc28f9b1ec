-- What the AI's materialized views do not show yet: every transaction that changes what they are made of leaves a row, the refresh that shows it takes it away.

create table public.view_changes (
  view varchar not null,
  xact_id xid8 not null default pg_current_xact_id(),
  created_at timestamptz not null default now(),
  -- By the transaction, so that writers never meet in the index and one with many statements leaves one row.
  primary key (xact_id, view),
  constraint ck_view_changes_view check (view in ('mv_ai_document_context', 'mv_ai_task_intelligence'))
);
comment on table public.view_changes is 'Transactions that a materialized view does not show yet. Not a tenant table: it says that something changed, not what.';
comment on column public.view_changes.xact_id is 'Transaction that changed what the view is made of.';
call private.force_rls('public.view_changes');
grant select, insert, delete on public.view_changes to novax_definer;

set local role novax_definer;

-- Where there is something to show, nobody knows whether it is shown: the first refresh is owed.
insert into public.view_changes (view)
select v.view from (values ('mv_ai_document_context'), ('mv_ai_task_intelligence')) as v (view)
where exists (select from public.documents) or exists (select from public.tasks);

create function private.note_view_change() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.view_changes (view) select unnest(tg_argv) on conflict do nothing;
  return null;
end
$$;
comment on function private.note_view_change is 'Notes that the views named in the trigger do not show this transaction yet.';
grant execute on function private.note_view_change to novax_owner;

create function private.refresh_view(p_view varchar, p_force boolean default false) returns varchar
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_view is null or p_view not in ('mv_ai_document_context', 'mv_ai_task_intelligence') then
    raise exception 'unknown view' using errcode = 'invalid_parameter_value';
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('private.refresh_view ' || p_view, 0)) then
    return 'busy';
  end if;
  -- Before the refresh, which reads later and so shows all that is taken away here; what is committed meanwhile stays, and is the next one's.
  delete from public.view_changes c where c.view = p_view;
  if not found and not p_force then
    return 'fresh';
  end if;
  execute format('refresh materialized view concurrently private.%I', p_view);
  return 'refreshed';
end
$$;
comment on function private.refresh_view is 'Refreshes one of the AI''s views without blocking its readers: refreshed; fresh when it shows all there is; busy when somebody else is at it. Fails whole: the old content stays, and owed.';

create function private.view_staleness()
returns table (view varchar, seconds double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select v.view, coalesce(extract(epoch from clock_timestamp() - min(c.created_at)), 0)::double precision
  from (values ('mv_ai_document_context'::varchar), ('mv_ai_task_intelligence')) as v (view)
  left join public.view_changes c on c.view = v.view
  group by v.view
$$;
comment on function private.view_staleness is 'Age of the oldest change that a view does not show, in seconds; 0 when it shows all there is.';

grant execute on function private.refresh_view, private.view_staleness to novax_worker;

set local role novax_owner;

create trigger note_view_change after insert or update or delete on public.documents
  for each statement execute function private.note_view_change('mv_ai_document_context');
create trigger note_view_change after insert or update or delete on public.tasks
  for each statement execute function private.note_view_change('mv_ai_task_intelligence');
-- A new project or organization has nothing to show.
create trigger note_view_change after update of name, ai_context, status or delete on public.projects
  for each statement execute function private.note_view_change('mv_ai_document_context', 'mv_ai_task_intelligence');
create trigger note_view_change after update of name, status on public.organizations
  for each statement execute function private.note_view_change('mv_ai_document_context', 'mv_ai_task_intelligence');
create trigger note_view_change after update of username on public.users
  for each statement execute function private.note_view_change('mv_ai_document_context', 'mv_ai_task_intelligence');
