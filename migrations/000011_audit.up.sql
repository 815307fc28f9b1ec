-- The audit trail: insert only, for everyone.

create table public.audit_log (
  id bigint generated always as identity,
  org_id uuid,
  actor_type varchar not null,
  actor_id uuid,
  action varchar not null,
  entity_type varchar not null,
  entity_id uuid not null,
  old_value jsonb,
  new_value jsonb,
  ip_address inet,
  request_id varchar,
  created_at timestamptz not null default now(),
  primary key (id, created_at),
  constraint ck_audit_log_actor_type check (actor_type in ('user', 'api_key', 'ai', 'system')),
  constraint ck_audit_log_actor check (actor_id is not null or actor_type in ('ai', 'system')),
  constraint ck_audit_log_action check (action in ('create', 'update', 'delete', 'access')),
  constraint ck_audit_log_entity_type check (char_length(entity_type) between 1 and 100)
) partition by range (created_at);
comment on table public.audit_log is 'Who did what to what, and when. Rows are never changed; they leave only by detaching a month that was archived and verified.';
comment on column public.audit_log.org_id is 'Null for what concerns a person and no organization. No foreign key: the record outlives the organization.';
comment on column public.audit_log.actor_id is 'The person, also behind an API key or an AI that acts for them; null where nobody is.';
comment on column public.audit_log.entity_type is 'Name of the table.';
comment on column public.audit_log.old_value is 'Changed fields before; secrets left out, personal fields sealed with the person''s key.';
comment on column public.audit_log.new_value is 'Changed fields after; the same rules.';
create table public.audit_log_default partition of public.audit_log default;
create index idx_audit_log_entity_type_entity_id_created_at on public.audit_log (entity_type, entity_id, created_at);
create index idx_audit_log_actor_id_created_at on public.audit_log (actor_id, created_at);
create index idx_audit_log_org_id_created_at_id on public.audit_log (org_id, created_at, id);
create index idx_audit_log_created_at on public.audit_log using brin (created_at);

create table public.audit_seals (
  id uuid primary key default gen_random_uuid(),
  org_id uuid,
  chain varchar generated always as (coalesce(org_id::text, 'system')) stored,
  seal_no bigint not null,
  first_audit_id bigint not null,
  last_audit_id bigint not null,
  row_count integer not null,
  previous_hash bytea not null,
  hash bytea not null,
  signature bytea not null,
  key_id varchar not null,
  anchored_at timestamptz,
  created_at timestamptz not null default now(),
  constraint ck_audit_seals_range check (last_audit_id >= first_audit_id and row_count > 0 and seal_no > 0),
  constraint ck_audit_seals_hash check (octet_length(previous_hash) = 32 and octet_length(hash) = 32)
);
comment on table public.audit_seals is 'Batches of audit rows sealed into one hash chain per organization (and one for rows without), heads signed and anchored outside the database.';
comment on column public.audit_seals.hash is 'SHA-256 over previous_hash and the hashes of the batch''s rows.';
comment on column public.audit_seals.anchored_at is 'When the head was written to the store outside the database.';
create unique index idx_audit_seals_chain_seal_no on public.audit_seals (chain, seal_no);
create index idx_audit_seals_org_id_created_at on public.audit_seals (org_id, created_at);

set local role novax_definer;
create function private.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;
comment on function private.refuse_change is 'Stops UPDATE, DELETE and TRUNCATE whatever the grants say.';
grant execute on function private.refuse_change to novax_owner;
set local role novax_owner;

-- The row trigger reaches every partition; the statement trigger refuses even what would touch no row.
create trigger refuse_row_change before update or delete on public.audit_log
  for each row execute function private.refuse_change();
create trigger refuse_change before update or delete or truncate on public.audit_log
  for each statement execute function private.refuse_change();
create trigger refuse_change before update or delete or truncate on public.audit_log_default
  for each statement execute function private.refuse_change();

call private.force_rls('public.audit_log');
call private.force_rls('public.audit_log_default');
-- Insert by app.current_org_id and as oneself, never by membership; read by those who answer for the organization.
call private.add_policies('public.audit_log', 'novax_api', '{insert}',
  private.in_current_org() || ' and actor_type in (''user'', ''api_key'', ''ai'') and ' || private.is_self('actor_id'));
call private.add_policies('public.audit_log', 'novax_api', '{select}', private.member_of('admin'));
call private.add_policies('public.audit_log', 'novax_worker', '{insert}',
  private.in_current_org() || ' and actor_type in (''ai'', ''system'')');
call private.add_policies('public.audit_log', 'novax_worker', '{select}', private.in_current_org());
call private.add_policies('public.audit_log', 'novax_readonly', '{select}', private.in_current_org());
grant insert (org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, new_value, ip_address, request_id)
  on public.audit_log to novax_api, novax_worker;
grant select on public.audit_log to novax_api, novax_worker, novax_readonly;
grant insert on public.audit_log to novax_definer;

call private.force_rls('public.audit_seals');
call private.add_policies('public.audit_seals', 'novax_api', '{select}', private.member_of('admin'));
call private.add_policies('public.audit_seals', 'novax_worker', '{select,insert,update}',
  'org_id is not distinct from (select nullif(current_setting(''app.current_org_id'', true), '''')::uuid)');
call private.add_policies('public.audit_seals', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.audit_seals to novax_api, novax_worker, novax_readonly;
grant insert on public.audit_seals to novax_worker;
grant update (anchored_at) on public.audit_seals to novax_worker;

select private.ensure_partitions();
