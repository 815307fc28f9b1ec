comment on column public.events.status is null;
drop table public.events_dropped;
alter table public.events drop constraint ck_events_status, add constraint ck_events_status check (status in ('pending', 'published', 'failed'));
