-- What leaves the platform towards people and other systems, and the memory that makes retried calls harmless.

create table public.idempotency_keys (
  id uuid primary key default gen_random_uuid(),
  org_id uuid,
  user_id uuid not null constraint fk_idempotency_keys_user references public.users (id) on delete cascade,
  key varchar not null,
  procedure varchar not null,
  request_hash bytea not null,
  status varchar not null default 'in_progress',
  response_status smallint,
  response_body jsonb,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_idempotency_keys_key check (char_length(key) between 1 and 255),
  constraint ck_idempotency_keys_request_hash check (octet_length(request_hash) = 32),
  constraint ck_idempotency_keys_status check (status in ('in_progress', 'completed')),
  constraint ck_idempotency_keys_response check ((status = 'completed') = (response_status is not null))
);
comment on table public.idempotency_keys is 'The answer to a call that its caller may send again: same person, organization and key give the stored answer.';
comment on column public.idempotency_keys.org_id is 'Organization the call was for; null where it names none.';
comment on column public.idempotency_keys.request_hash is 'SHA-256 of the input: the same key with another input is an error.';
create unique index idx_idempotency_keys_user_id_org_id_key on public.idempotency_keys (user_id, org_id, key) nulls not distinct;
create index idx_idempotency_keys_expires_at on public.idempotency_keys (expires_at);

call private.keep_updated_at('public.idempotency_keys');
call private.force_rls('public.idempotency_keys');
call private.add_policies('public.idempotency_keys', 'novax_api', '{select,insert,update,delete}', private.is_self());
-- Sweeping what expired.
call private.add_policies('public.idempotency_keys', 'novax_worker', '{select,delete}', 'true');
grant select, insert, delete on public.idempotency_keys to novax_api;
grant update (status, response_status, response_body, expires_at) on public.idempotency_keys to novax_api;
grant select (id, expires_at), delete on public.idempotency_keys to novax_worker;

create table public.notifications (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_notifications_organization references public.organizations (id) on delete cascade,
  user_id uuid not null constraint fk_notifications_user references public.users (id) on delete cascade,
  kind varchar not null,
  title varchar not null,
  body text,
  data jsonb not null default '{}',
  event_id uuid,
  status varchar not null default 'unread',
  read_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_notifications_kind check (char_length(kind) between 1 and 100),
  constraint ck_notifications_status check (status in ('unread', 'read', 'archived'))
);
comment on table public.notifications is 'Something a person should know, in one organization.';
comment on column public.notifications.event_id is 'Event that caused it; one notification per event and person.';
create unique index idx_notifications_user_id_event_id_kind on public.notifications (user_id, event_id, kind) where event_id is not null;
create index idx_notifications_user_id_status_created_at on public.notifications (user_id, status, created_at desc);
create index idx_notifications_org_id_created_at on public.notifications (org_id, created_at);

call private.keep_updated_at('public.notifications');
call private.force_rls('public.notifications');
call private.add_policies('public.notifications', 'novax_api', '{select,update}', private.is_self() || ' and ' || private.member_of('viewer'));
call private.add_policies('public.notifications', 'novax_worker', '{select,insert,delete}', private.in_current_org());
call private.add_policies('public.notifications', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.notifications to novax_api, novax_readonly;
grant update (status, read_at) on public.notifications to novax_api;
grant select, insert, delete on public.notifications to novax_worker;

create table public.notification_preferences (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_notification_preferences_user references public.users (id) on delete cascade,
  kind varchar not null,
  channel varchar not null,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_notification_preferences_kind check (char_length(kind) between 1 and 100),
  constraint ck_notification_preferences_channel check (channel in ('in_app', 'email', 'push'))
);
comment on table public.notification_preferences is 'What a person wants to hear of, and where. A missing row means yes.';
create unique index idx_notification_preferences_user_id_kind_channel on public.notification_preferences (user_id, kind, channel);

call private.keep_updated_at('public.notification_preferences');
call private.force_rls('public.notification_preferences');
call private.add_policies('public.notification_preferences', 'novax_api', '{select,insert,update,delete}', private.is_self());
call private.add_policies('public.notification_preferences', 'novax_worker', '{select}',
  format('user_id in (select m.user_id from app.memberships m where %s)', private.in_current_org('org_id')));
grant select, insert, update, delete on public.notification_preferences to novax_api;
grant select on public.notification_preferences to novax_worker;

create table public.webhooks (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_webhooks_organization references public.organizations (id) on delete cascade,
  creator_id uuid not null constraint fk_webhooks_creator references public.users (id),
  url varchar not null,
  description varchar,
  event_types varchar[] not null default '{}',
  secret_ciphertext bytea not null,
  key_id varchar not null,
  status varchar not null default 'active',
  failure_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_webhooks_url check (url ~ '^https://' and char_length(url) <= 2048),
  constraint ck_webhooks_status check (status in ('active', 'paused', 'disabled'))
);
comment on table public.webhooks is 'An address of another system that is told of events.';
comment on column public.webhooks.event_types is 'Empty: all.';
comment on column public.webhooks.secret_ciphertext is 'Signing secret, sealed by the application under the key named in key_id.';
create unique index idx_webhooks_org_id_id on public.webhooks (org_id, id);
create index idx_webhooks_creator_id on public.webhooks (creator_id);

call private.keep_updated_at('public.webhooks');
call private.force_rls('public.webhooks');
call private.add_policies('public.webhooks', 'novax_api', '{select,update,delete}', private.member_of('admin'));
call private.add_policies('public.webhooks', 'novax_api', '{insert}', private.member_of('admin') || ' and ' || private.is_self('creator_id'));
call private.add_policies('public.webhooks', 'novax_worker', '{select,update}', private.in_current_org());
call private.add_policies('public.webhooks', 'novax_readonly', '{select}', private.in_current_org());
grant select (id, org_id, creator_id, url, description, event_types, key_id, status, failure_count, created_at, updated_at)
  on public.webhooks to novax_api, novax_readonly;
grant insert, delete on public.webhooks to novax_api;
grant update (url, description, event_types, secret_ciphertext, key_id, status) on public.webhooks to novax_api;
grant select on public.webhooks to novax_worker;
grant update (status, failure_count) on public.webhooks to novax_worker;

create table public.webhook_deliveries (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  webhook_id uuid not null,
  event_id uuid not null,
  event_type varchar not null,
  status varchar not null default 'pending',
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  response_status smallint,
  response_ms integer,
  last_error text,
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (id, created_at),
  constraint fk_webhook_deliveries_webhook foreign key (org_id, webhook_id) references public.webhooks (org_id, id) on delete cascade,
  constraint ck_webhook_deliveries_status check (status in ('pending', 'delivered', 'failed'))
) partition by range (created_at);
comment on table public.webhook_deliveries is 'One event owed to one webhook, and how its delivery went.';
create table public.webhook_deliveries_default partition of public.webhook_deliveries default;
create index idx_webhook_deliveries_org_id_webhook_id_created_at on public.webhook_deliveries (org_id, webhook_id, created_at);
create index idx_webhook_deliveries_status_next_attempt_at on public.webhook_deliveries (status, next_attempt_at) where status = 'pending';
create index idx_webhook_deliveries_event_id on public.webhook_deliveries (event_id);

call private.keep_updated_at('public.webhook_deliveries');
call private.force_rls('public.webhook_deliveries');
call private.force_rls('public.webhook_deliveries_default');
call private.add_policies('public.webhook_deliveries', 'novax_api', '{select,update}', private.member_of('admin'));
call private.add_policies('public.webhook_deliveries', 'novax_worker', '{select,insert,update}', private.in_current_org());
call private.add_policies('public.webhook_deliveries', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.webhook_deliveries to novax_api, novax_readonly;
grant update (status, next_attempt_at) on public.webhook_deliveries to novax_api;
grant select, insert, update on public.webhook_deliveries to novax_worker;

select private.ensure_partitions();
