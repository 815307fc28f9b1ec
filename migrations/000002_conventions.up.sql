-- What every later table uses: the conditions and the making of policies, the updated_at trigger, monthly partitions.

-- The conditions are SQL text that ends up inline in each policy: measured at twice the throughput of calling a function per query.
create function private.member_of(p_least varchar, p_column name default 'org_id') returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select format(
    '%1$I = any (array(select m.org_id from app.memberships m'
    || ' where m.user_id = (select nullif(current_setting(''app.current_user_id'', true), '''')::uuid)'
    || ' and m.org_id = coalesce((select nullif(current_setting(''app.current_org_id'', true), '''')::uuid), m.org_id)%2$s))',
    p_column,
    case p_least
      when 'viewer' then ''
      when 'member' then ' and m.role in (''owner'', ''admin'', ''member'')'
      when 'admin' then ' and m.role in (''owner'', ''admin'')'
      when 'owner' then ' and m.role = ''owner'''
    end
  )
$$;
comment on function private.member_of is 'Condition: the row''s organization is one in which app.current_user_id has at least this role (and is app.current_org_id when set). Null, hence an error, for an unknown role.';

create function private.in_current_org(p_column name default 'org_id') returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select format('%I = (select nullif(current_setting(''app.current_org_id'', true), '''')::uuid)', p_column)
$$;
comment on function private.in_current_org is 'Condition: the row belongs to app.current_org_id.';

create function private.is_self(p_column name default 'user_id') returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select format('%I = (select nullif(current_setting(''app.current_user_id'', true), '''')::uuid)', p_column)
$$;
comment on function private.is_self is 'Condition: the column names app.current_user_id.';

create procedure private.force_rls(p_table regclass)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('alter table %s enable row level security', p_table);
  execute format('alter table %s force row level security', p_table);
end
$$;
comment on procedure private.force_rls is 'Row-level security for everyone, the table''s owner included.';

create procedure private.add_policies(
  p_table regclass,
  p_role name,
  p_commands varchar[],
  p_condition text,
  p_check text default null
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_command varchar;
begin
  if p_condition is null then
    raise exception 'no condition given for the policies of %', p_table;
  end if;
  foreach v_command in array p_commands loop
    execute format(
      'create policy %I on %s for %s to %I %s %s',
      (select relname from pg_class where oid = p_table) || '_' || v_command || '_' || p_role,
      p_table,
      v_command,
      p_role,
      case when v_command <> 'insert' then format('using (%s)', p_condition) end,
      case when v_command in ('insert', 'update') then format('with check (%s)', coalesce(p_check, p_condition)) end
    );
  end loop;
end
$$;
comment on procedure private.add_policies is 'One policy per command for one role, named {table}_{command}_{role}; p_check replaces the condition for new rows.';

set local role novax_definer;
create function private.set_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function private.set_updated_at is 'Keeps updated_at; where some columns must not count (AI columns of documents and tasks), the trigger''s WHEN says so.';
grant execute on function private.set_updated_at to novax_owner;
set local role novax_owner;

create procedure private.keep_updated_at(p_table regclass)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('create trigger set_updated_at before update on %s for each row execute function private.set_updated_at()', p_table);
end
$$;
comment on procedure private.keep_updated_at is 'Gives a table its updated_at trigger.';

create function private.ensure_partitions(p_months_ahead integer default 3)
returns table (parent text, partition text, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_parent record;
  v_month timestamptz;
  v_from text;
  v_to text;
  v_columns text;
  v_trigger record;
begin
  if p_months_ahead not between 0 and 60 then
    raise exception 'months ahead must lie between 0 and 60' using errcode = 'invalid_parameter_value';
  end if;
  -- Two keepers at once would race to the same name.
  perform pg_advisory_xact_lock(hashtextextended('private.ensure_partitions', 0));
  for v_parent in
    select c.oid, c.relname, a.attname as key, d.relname as default_partition
    from pg_partitioned_table p
    join pg_class c on c.oid = p.partrelid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0] and a.atttypid = 'timestamptz'::regtype
    left join pg_class d on d.oid = p.partdefid
    where p.partstrat = 'r' and p.partnatts = 1 and c.relnamespace = 'public'::regnamespace
    order by c.relname
  loop
    for v_month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => p_months_ahead),
        interval '1 month'
      ) at time zone 'UTC'
    loop
      parent := v_parent.relname;
      partition := v_parent.relname || to_char(v_month at time zone 'UTC', '_YYYY_MM');
      created := to_regclass(format('public.%I', partition)) is null;
      if created then
        v_from := to_char(v_month at time zone 'UTC', 'YYYY-MM-DD') || ' 00:00:00+00';
        v_to := to_char(v_month at time zone 'UTC' + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
        begin
          execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', partition, parent, v_from, v_to);
        exception when check_violation then
          -- Rows of this month already wait in the DEFAULT partition: take it off, make the month, move the rows, put it back.
          select string_agg(quote_ident(attname), ', ' order by attnum) into v_columns
          from pg_attribute where attrelid = v_parent.oid and attnum > 0 and not attisdropped and attgenerated = '';
          execute format('alter table public.%I no force row level security', parent);
          execute format('alter table public.%I detach partition public.%I', parent, v_parent.default_partition);
          execute format('alter table public.%I no force row level security', v_parent.default_partition);
          execute format('alter table public.%I disable trigger user', v_parent.default_partition);
          execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', partition, parent, v_from, v_to);
          execute format(
            'insert into public.%I (%s) overriding system value select %s from public.%I where %I >= %L and %I < %L',
            parent, v_columns, v_columns, v_parent.default_partition, v_parent.key, v_from, v_parent.key, v_to
          );
          execute format(
            'delete from public.%I where %I >= %L and %I < %L',
            v_parent.default_partition, v_parent.key, v_from, v_parent.key, v_to
          );
          execute format('alter table public.%I enable trigger user', v_parent.default_partition);
          execute format('alter table public.%I attach partition public.%I default', parent, v_parent.default_partition);
          execute format('alter table public.%I force row level security', v_parent.default_partition);
          execute format('alter table public.%I force row level security', parent);
        end;
        -- Policies are not inherited by partitions: closed here, a partition named directly shows nothing to anyone.
        execute format('alter table public.%I enable row level security', partition);
        execute format('alter table public.%I force row level security', partition);
        -- Nor are statement triggers, such as the one that refuses TRUNCATE of the audit trail.
        for v_trigger in
          select pg_get_triggerdef(t.oid) as definition from pg_trigger t
          where t.tgrelid = v_parent.oid and not t.tgisinternal and t.tgtype & 1 = 0
        loop
          execute replace(v_trigger.definition, format(' ON public.%I ', parent), format(' ON public.%I ', partition));
        end loop;
      end if;
      return next;
    end loop;
  end loop;
end
$$;
comment on function private.ensure_partitions is 'Makes the missing monthly partitions (UTC months, this one and the given number ahead) of every RANGE-partitioned table of schema public; rows that fell into a DEFAULT partition move to their month.';
grant execute on function private.ensure_partitions to novax_worker, novax_migrator;
