-- The outbox, the consumers' inbox, and what was given up.

create table public.events (
  id bigint generated always as identity,
  event_id uuid not null default gen_random_uuid(),
  org_id uuid,
  event_type varchar not null,
  aggregate_type varchar not null,
  aggregate_id uuid not null,
  aggregate_version integer not null default 0,
  schema_version smallint not null default 1,
  payload jsonb not null,
  actor_type varchar not null,
  actor_id uuid,
  request_id varchar,
  traceparent varchar,
  causation_id uuid,
  -- Every relay reads its own shards: an aggregate's events stay in one, hence in order.
  shard smallint not null generated always as ((uuid_hash_extended(aggregate_id, 0) & 7)::smallint) stored,
  status varchar not null default 'pending',
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  last_error text,
  stream_seq bigint,
  occurred_at timestamptz not null default now(),
  published_at timestamptz,
  created_at timestamptz not null default now(),
  -- A partitioned table's key must contain the partition columns of every level.
  primary key (id, status, created_at),
  constraint ck_events_event_type check (event_type ~ '^[a-z_]+\.[a-z_]+$' and char_length(event_type) <= 255),
  constraint ck_events_aggregate_type check (char_length(aggregate_type) between 1 and 100),
  constraint ck_events_actor_type check (actor_type in ('user', 'api_key', 'ai', 'system')),
  constraint ck_events_status check (status in ('pending', 'published', 'failed')),
  constraint ck_events_attempts check (attempts >= 0)
) partition by list (status);
comment on table public.events is 'Transactional outbox and ledger of domain events: written in the transaction of the change, published by the relay, kept at least 30 days.';
comment on column public.events.id is 'Orders the events of one aggregate, because the row is inserted after the aggregate''s row is locked. Not an order over aggregates.';
comment on column public.events.event_id is 'UUIDv7 that names the event everywhere outside this table, as Nats-Msg-Id too.';
comment on column public.events.org_id is 'Null for events about people. No foreign key: the record outlives the organization.';
comment on column public.events.causation_id is 'event_id of the event that led to this one.';
comment on column public.events.shard is 'Hash of aggregate_id, 0 to 7.';
comment on column public.events.stream_seq is 'Sequence number that JetStream acknowledged.';

create table public.events_pending partition of public.events for values in ('pending')
  -- Rows leave as fast as they come: vacuum by count, at full speed, or the claim wades through dead rows.
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
create table public.events_failed partition of public.events for values in ('failed');
create table public.events_published partition of public.events for values in ('published') partition by range (created_at);
create table public.events_published_default partition of public.events_published default;

create index idx_events_status_created_at on public.events (status, created_at);
create index idx_events_event_id on public.events (event_id);
create index idx_events_aggregate_id_id on public.events (aggregate_id, id);
create index idx_events_org_id_id on public.events (org_id, id);
create index idx_events_pending_shard_id on public.events_pending (shard, id);
-- The same event twice in the outbox is an error of the writer.
create unique index idx_events_pending_event_id on public.events_pending (event_id);

call private.force_rls('public.events');
call private.force_rls('public.events_pending');
call private.force_rls('public.events_failed');
call private.force_rls('public.events_published');
call private.force_rls('public.events_published_default');
-- By app.current_org_id, never by membership: leaving an organization must be recordable.
call private.add_policies('public.events', 'novax_api', '{insert}',
  private.in_current_org() || ' and actor_type in (''user'', ''api_key'', ''ai'') and ' || private.is_self('actor_id'));
-- The worker relays everyone's events, but adds only its organization's, or none's when it works for none.
call private.add_policies('public.events', 'novax_worker', '{select,update,delete}', 'true');
call private.add_policies('public.events', 'novax_worker', '{insert}',
  'org_id is not distinct from (select nullif(current_setting(''app.current_org_id'', true), '''')::uuid)');
call private.add_policies('public.events', 'novax_readonly', '{select}', private.in_current_org());
-- A writer starts the life of an event; the relay's columns are the relay's.
grant insert (event_id, org_id, event_type, aggregate_type, aggregate_id, aggregate_version, schema_version, payload, actor_type, actor_id,
              request_id, traceparent, causation_id, occurred_at) on public.events to novax_api;
grant select, insert, delete on public.events to novax_worker;
grant update (status, attempts, next_attempt_at, last_error, published_at, stream_seq) on public.events to novax_worker;
grant select on public.events to novax_readonly;
grant insert on public.events to novax_definer;

create table public.inbox (
  consumer varchar not null,
  event_id uuid not null,
  occurred_at timestamptz not null,
  org_id uuid,
  aggregate_id uuid,
  aggregate_version integer,
  created_at timestamptz not null default now(),
  primary key (consumer, event_id, occurred_at),
  constraint ck_inbox_consumer check (char_length(consumer) between 1 and 100)
) partition by range (occurred_at);
comment on table public.inbox is 'Events a consumer has applied, written in the effect''s own transaction: insert … on conflict do nothing; no row inserted means done before.';
comment on column public.inbox.occurred_at is 'The event''s own time as its envelope has it: a redelivery carries the same, so the key meets the first row whatever the month.';
create table public.inbox_default partition of public.inbox default;
create index idx_inbox_consumer_aggregate_id_aggregate_version on public.inbox (consumer, aggregate_id, aggregate_version);

call private.force_rls('public.inbox');
call private.force_rls('public.inbox_default');
call private.add_policies('public.inbox', 'novax_worker', '{select,insert,delete}', 'true');
grant select, insert, delete on public.inbox to novax_worker;

create table public.dead_letters (
  id uuid primary key default gen_random_uuid(),
  org_id uuid,
  source varchar not null,
  name varchar not null,
  dedupe_key varchar not null,
  event_id uuid,
  payload jsonb not null,
  headers jsonb not null default '{}',
  error text not null,
  attempts integer not null default 0,
  status varchar not null default 'pending',
  resolved_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_dead_letters_source check (source in ('outbox', 'consumer', 'job')),
  constraint ck_dead_letters_status check (status in ('pending', 'replayed', 'dropped'))
);
comment on table public.dead_letters is 'Work that failed for good: an event that cannot be published, a message or a job that used up its attempts. Waits for a person to replay or drop it.';
comment on column public.dead_letters.name is 'Consumer or job name.';
comment on column public.dead_letters.dedupe_key is 'What makes the work one: the job id or the event id.';
create unique index idx_dead_letters_source_name_dedupe_key on public.dead_letters (source, name, dedupe_key) where status = 'pending';
create index idx_dead_letters_status_created_at on public.dead_letters (status, created_at);
create index idx_dead_letters_event_id on public.dead_letters (event_id);

call private.keep_updated_at('public.dead_letters');
call private.force_rls('public.dead_letters');
call private.add_policies('public.dead_letters', 'novax_worker', '{select,insert,update,delete}', 'true');
grant select, insert, update, delete on public.dead_letters to novax_worker;

select private.ensure_partitions();
