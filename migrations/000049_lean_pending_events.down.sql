drop index public.idx_events_pending_aggregate_id_id;
drop index public.idx_events_published_created_at;
drop index public.idx_events_published_event_id;
drop index public.idx_events_published_aggregate_id_id;
drop index public.idx_events_published_org_id_id;
create index idx_events_status_created_at on public.events (status, created_at);
create index idx_events_event_id on public.events (event_id);
create index idx_events_aggregate_id_id on public.events (aggregate_id, id);
create index idx_events_org_id_id on public.events (org_id, id);
