-- Measurements, retention, and the records of the platform's own housekeeping.

create table public.usage_samples (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  metric varchar not null,
  value double precision not null,
  labels jsonb not null default '{}',
  sampled_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (id, sampled_at),
  constraint ck_usage_samples_metric check (char_length(metric) between 1 and 100)
) partition by range (sampled_at);
comment on table public.usage_samples is 'What an organization used, over time. No runtime role reads it: private.usage_for_current_org does. May be a hypertable.';
create table public.usage_samples_default partition of public.usage_samples default;
create index idx_usage_samples_org_id_metric_sampled_at on public.usage_samples (org_id, metric, sampled_at);

call private.force_rls('public.usage_samples');
call private.force_rls('public.usage_samples_default');
call private.add_policies('public.usage_samples', 'novax_worker', '{insert}', private.in_current_org());
grant insert on public.usage_samples to novax_worker;
grant select on public.usage_samples to novax_definer;

create table public.metric_samples (
  id uuid not null default gen_random_uuid(),
  metric varchar not null,
  value double precision not null,
  labels jsonb not null default '{}',
  sampled_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (id, sampled_at),
  constraint ck_metric_samples_metric check (char_length(metric) between 1 and 100)
) partition by range (sampled_at);
comment on table public.metric_samples is 'Figures of the platform itself, over time; nothing of any tenant. May be a hypertable.';
create table public.metric_samples_default partition of public.metric_samples default;
create index idx_metric_samples_metric_sampled_at on public.metric_samples (metric, sampled_at);

call private.force_rls('public.metric_samples');
call private.force_rls('public.metric_samples_default');
call private.add_policies('public.metric_samples', 'novax_worker', '{insert}', 'true');
grant insert on public.metric_samples to novax_worker;

create table public.retention_policies (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_retention_policies_organization references public.organizations (id) on delete cascade,
  entity_type varchar not null,
  retain_days integer not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_retention_policies_entity_type check (entity_type in ('documents', 'document_versions', 'projects', 'comments', 'attachments', 'notifications')),
  constraint ck_retention_policies_retain_days check (retain_days between 1 and 36500)
);
comment on table public.retention_policies is 'How long an organization keeps what is deleted or superseded, by kind, before the purge.';
create unique index idx_retention_policies_org_id_entity_type on public.retention_policies (org_id, entity_type);

call private.keep_updated_at('public.retention_policies');
call private.force_rls('public.retention_policies');
call private.add_policies('public.retention_policies', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.retention_policies', 'novax_api', '{insert,update,delete}', private.member_of('admin'));
call private.add_policies('public.retention_policies', 'novax_worker', '{select}', private.in_current_org());
call private.add_policies('public.retention_policies', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert, delete on public.retention_policies to novax_api;
grant update (retain_days) on public.retention_policies to novax_api;
grant select on public.retention_policies to novax_worker, novax_readonly;

create table public.legal_holds (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_legal_holds_organization references public.organizations (id) on delete restrict,
  entity_type varchar not null,
  entity_id uuid,
  reason varchar not null,
  creator_id uuid not null constraint fk_legal_holds_creator references public.users (id),
  status varchar not null default 'active',
  released_at timestamptz,
  released_by_id uuid constraint fk_legal_holds_released_by references public.users (id),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_legal_holds_entity_type check (entity_type in ('organizations', 'projects', 'documents', 'tasks', 'comments', 'attachments')),
  constraint ck_legal_holds_status check (status in ('active', 'released')),
  constraint ck_legal_holds_released check ((status = 'released') = (released_at is not null))
);
comment on table public.legal_holds is 'What the purge must leave alone, whatever the retention policy says.';
comment on column public.legal_holds.entity_id is 'Null holds every row of the kind.';
create index idx_legal_holds_org_id_entity_type_entity_id on public.legal_holds (org_id, entity_type, entity_id);
create index idx_legal_holds_creator_id on public.legal_holds (creator_id);
create index idx_legal_holds_released_by_id on public.legal_holds (released_by_id);

call private.keep_updated_at('public.legal_holds');
call private.force_rls('public.legal_holds');
call private.add_policies('public.legal_holds', 'novax_api', '{select}', private.member_of('admin'));
call private.add_policies('public.legal_holds', 'novax_api', '{update}', private.member_of('owner'));
call private.add_policies('public.legal_holds', 'novax_api', '{insert}', private.member_of('owner') || ' and ' || private.is_self('creator_id'));
call private.add_policies('public.legal_holds', 'novax_worker', '{select}', private.in_current_org());
call private.add_policies('public.legal_holds', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert on public.legal_holds to novax_api;
grant update (status, released_at, released_by_id) on public.legal_holds to novax_api;
grant select on public.legal_holds to novax_worker, novax_readonly;

create table public.backup_runs (
  id uuid primary key default gen_random_uuid(),
  kind varchar not null,
  status varchar not null default 'running',
  location varchar,
  size_bytes bigint,
  sha256 bytea,
  manifest jsonb not null default '{}',
  error text,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  verified_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_backup_runs_kind check (kind in ('logical', 'base', 'wal', 'drill')),
  constraint ck_backup_runs_status check (status in ('running', 'succeeded', 'failed', 'pruned'))
);
comment on table public.backup_runs is 'Backups and restore drills, with their outcome. Not a tenant table.';
create index idx_backup_runs_kind_status_started_at on public.backup_runs (kind, status, started_at);

call private.keep_updated_at('public.backup_runs');
call private.force_rls('public.backup_runs');
call private.add_policies('public.backup_runs', 'novax_worker', '{select,insert,update,delete}', 'true');
call private.add_policies('public.backup_runs', 'novax_readonly', '{select}', 'true');
grant select, insert, update, delete on public.backup_runs to novax_worker;
grant select on public.backup_runs to novax_readonly;

create table public.background_migrations (
  id uuid primary key default gen_random_uuid(),
  name varchar not null,
  status varchar not null default 'pending',
  progress jsonb not null default '{}',
  batch_size integer not null default 1000,
  rows_done bigint not null default 0,
  rows_total bigint,
  attempts integer not null default 0,
  error text,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_background_migrations_status check (status in ('pending', 'running', 'paused', 'succeeded', 'failed')),
  constraint ck_background_migrations_batch_size check (batch_size between 1 and 100000)
);
comment on table public.background_migrations is 'Backfills too long for a migration, done in batches by the worker. Not a tenant table.';
comment on column public.background_migrations.progress is 'Where the next batch begins.';
create unique index idx_background_migrations_name on public.background_migrations (name);

call private.keep_updated_at('public.background_migrations');
call private.force_rls('public.background_migrations');
call private.add_policies('public.background_migrations', 'novax_owner', '{insert}', 'true');
call private.add_policies('public.background_migrations', 'novax_worker', '{select,update}', 'true');
call private.add_policies('public.background_migrations', 'novax_readonly', '{select}', 'true');
grant select on public.background_migrations to novax_worker, novax_readonly;
grant update (status, progress, rows_done, rows_total, attempts, error, started_at, finished_at) on public.background_migrations to novax_worker;

select private.ensure_partitions();
