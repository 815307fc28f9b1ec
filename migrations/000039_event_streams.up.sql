-- Which stream the outbox publishes into: a stream that was lost and made anew is told by its identity, and refilled from the outbox.

create table public.event_streams (
  id uuid primary key default gen_random_uuid(),
  name varchar not null,
  identity varchar not null,
  consumed_seq bigint not null default 0,
  since timestamptz not null default '-infinity',
  seen_at timestamptz not null default now(),
  owes_refill boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_event_streams_name check (char_length(name) between 1 and 255),
  constraint ck_event_streams_identity check (char_length(identity) between 1 and 255),
  constraint ck_event_streams_consumed_seq check (consumed_seq >= 0)
);
comment on table public.event_streams is 'Streams that the outbox publishes into, as last seen. When a stream has another identity, events published behind consumed_seq become pending again.';
comment on column public.event_streams.identity is 'The stream''s time of creation, as its server says.';
comment on column public.event_streams.consumed_seq is 'Up to this sequence every durable consumer was done with every event.';
comment on column public.event_streams.since is 'What was published before went into an earlier stream.';
comment on column public.event_streams.seen_at is 'When consumed_seq was noted.';
comment on column public.event_streams.owes_refill is 'The identity is new and the events of the old stream are not pending again yet.';
create unique index idx_event_streams_name on public.event_streams (name);

call private.keep_updated_at('public.event_streams');
call private.force_rls('public.event_streams');
call private.add_policies('public.event_streams', 'novax_worker', '{select,insert,update}', 'true');
grant select, insert, update on public.event_streams to novax_worker;
