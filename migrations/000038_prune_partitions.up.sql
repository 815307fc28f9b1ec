-- Old months of published events and of the inbox leave as whole partitions, one a call, so that no lock lasts longer than one month needs.

grant select on public.events, public.inbox to novax_definer;

set local role novax_definer;

-- Belongs to the role that sees every row: to the tables' owner, whom policies bind, a month full of rows looks empty.
create function private.prunable_partitions(p_keep interval)
returns table (parent text, partition text, ends timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_keep < interval '30 days' then
    raise exception 'events are kept at least 30 days' using errcode = 'invalid_parameter_value';
  end if;
  return query
    select c.relname::text, d.relname::text, b.ends
    from pg_class c
    join pg_inherits i on i.inhparent = c.oid
    join pg_class d on d.oid = i.inhrelid
    cross join lateral (
      select substring(pg_get_expr(d.relpartbound, d.oid) from 'FROM \(''([^'']+)''\)')::timestamptz as begins,
             substring(pg_get_expr(d.relpartbound, d.oid) from 'TO \(''([^'']+)''\)$')::timestamptz as ends
    ) b
    where c.relnamespace = 'public'::regnamespace and c.relname in ('events_published', 'inbox')
      -- The DEFAULT has no end and stays.
      and b.ends <= now() - p_keep
      -- What waits, or failed and may be freed, will be published into its old month, and delivered against that month's inbox.
      and not exists (
        select from public.events e
        where e.status in ('pending', 'failed') and (e.created_at < b.ends or e.occurred_at < b.ends)
      )
      -- An old event that was published, or applied, lately is as young as that.
      and case c.relname
        when 'inbox' then not exists (
          select from public.inbox r where r.occurred_at >= b.begins and r.occurred_at < b.ends and r.created_at > now() - p_keep
        )
        else not exists (
          select from public.events e
          where e.status = 'published' and e.created_at >= b.begins and e.created_at < b.ends and e.published_at > now() - p_keep
        )
      end
    order by b.ends, c.relname;
end
$$;
comment on function private.prunable_partitions is 'Months of published events and of the inbox that ended longer ago than the given time, at least 30 days, and that nothing needs any more.';
grant execute on function private.prunable_partitions to novax_owner, novax_worker, novax_migrator;

set local role novax_owner;

create function private.prune_partition(p_keep interval) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Writers stand in line behind whoever waits for this lock: better to give up and come again.
set lock_timeout = '1s'
as $$
declare
  v_oldest record;
begin
  perform pg_advisory_xact_lock(hashtextextended('private.ensure_partitions', 0));
  select parent, partition into v_oldest from private.prunable_partitions(p_keep) limit 1;
  if v_oldest is null then
    return null;
  end if;
  execute format('alter table public.%I detach partition public.%I', v_oldest.parent, v_oldest.partition);
  execute format('drop table public.%I', v_oldest.partition);
  return v_oldest.partition;
end
$$;
comment on function private.prune_partition is 'Drops the oldest month that private.prunable_partitions names and answers its name, null when there is none. Fails with 55P03 when a lock is not free within a second.';
grant execute on function private.prune_partition to novax_worker, novax_migrator;
