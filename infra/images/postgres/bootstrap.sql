-- Superuser work of one database: roles, extensions, settings, default privileges.
-- Idempotent; runs inside the target database at every start, before the migrations. Plain SQL, no client commands. Never reverted.
-- Passwords are set by whoever starts the cluster; none are written here.

do $bootstrap$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      -- Owns schemas, tables and partition functions; FORCE ROW LEVEL SECURITY means that it sees no tenant row.
      ('novax_owner', 'nologin nobypassrls'),
      -- Owns SECURITY DEFINER functions, trigger functions and materialized views; the only application role that sees every row.
      ('novax_definer', 'nologin bypassrls'),
      ('novax_migrator', 'login nobypassrls'),
      ('novax_api', 'login nobypassrls'),
      ('novax_worker', 'login nobypassrls'),
      ('ai_agent_role', 'nologin nobypassrls'),
      ('novax_ai', 'login nobypassrls'),
      ('novax_readonly', 'login nobypassrls'),
      -- SELECT only, of everything: a logical export must not silently omit rows.
      ('novax_backup', 'login bypassrls')
    ) as roles (name, attributes)
  loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
        execute format('create role %I', wanted.name);
      end if;
    exception when duplicate_object or unique_violation then
      null; -- Another bootstrap of the same cluster made it in between.
    end;
    execute format('alter role %I nosuperuser nocreatedb nocreaterole noreplication inherit %s', wanted.name, wanted.attributes);
  end loop;
end
$bootstrap$;

-- Memberships. A runtime role is never a member of novax_owner or novax_definer.
grant novax_owner to novax_migrator with inherit false, set true;
grant novax_definer to novax_migrator with inherit false, set true;
grant ai_agent_role to novax_ai with inherit true, set false;

-- Time bounds: a statement, a lock wait and an idle transaction end by themselves. The API's read lane narrows its own to 2 s.
alter role novax_api set statement_timeout = '5s';
alter role novax_api set lock_timeout = '1s';
alter role novax_api set idle_in_transaction_session_timeout = '10s';
alter role novax_worker set statement_timeout = '60s';
alter role novax_worker set lock_timeout = '1s';
alter role novax_worker set idle_in_transaction_session_timeout = '10s';
alter role novax_ai set statement_timeout = '5s';
alter role novax_ai set lock_timeout = '1s';
alter role novax_ai set idle_in_transaction_session_timeout = '10s';
alter role novax_ai set default_transaction_read_only = on;
alter role novax_readonly set statement_timeout = '30s';
alter role novax_readonly set lock_timeout = '1s';
alter role novax_readonly set idle_in_transaction_session_timeout = '10s';
alter role novax_readonly set default_transaction_read_only = on;
alter role novax_migrator set statement_timeout = 0;
alter role novax_migrator set lock_timeout = '1s';
alter role novax_backup set statement_timeout = 0;
alter role novax_backup set lock_timeout = '1s';
alter role novax_backup set default_transaction_read_only = on;
-- Short statements gain nothing from compiling their policies.
alter role novax_api set jit = off;
alter role novax_worker set jit = off;
alter role novax_ai set jit = off;

-- What belongs to this database: who may connect, who may create what. A clone of a template starts with PostgreSQL's defaults instead.
do $bootstrap$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format(
    'grant connect on database %I to novax_migrator, novax_api, novax_worker, novax_ai, novax_readonly, novax_backup',
    current_database()
  );
  execute format('grant create on database %I to novax_owner', current_database());
  -- REFRESH MATERIALIZED VIEW CONCURRENTLY compares through a temporary table of the view's owner. Nobody else gets temporary tables.
  execute format('grant temporary on database %I to novax_definer', current_database());
end
$bootstrap$;

revoke all on schema public from public;
grant usage, create on schema public to novax_owner;
grant usage on schema public to novax_definer, novax_migrator, novax_api, novax_worker, ai_agent_role, novax_readonly, novax_backup;

-- Statistics live apart from the application's tables, where no runtime role looks.
create schema if not exists monitoring;

create extension if not exists vector with schema public;

do $bootstrap$
begin
  if exists (select from pg_catalog.pg_available_extensions where name = 'pg_stat_statements') then
    create extension if not exists pg_stat_statements with schema monitoring;
  end if;
end
$bootstrap$;

-- Nothing is PUBLIC by accident, and a backup reads what later migrations, the migrator's own tables and new partitions add.
alter default privileges for role novax_owner revoke execute on functions from public;
alter default privileges for role novax_definer revoke execute on functions from public;
alter default privileges for role novax_owner grant select on tables to novax_backup;
alter default privileges for role novax_owner grant select on sequences to novax_backup;
alter default privileges for role novax_owner grant usage on schemas to novax_backup;
