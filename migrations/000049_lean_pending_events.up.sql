-- What waits in the outbox is little and goes at once, so looking for one of it may read it all, and every commit paid for four indexes of it. They stay
-- over the published events, which are many and asked for by person, organization and time. One the relay needs: which event of an aggregate is its first.
-- The product has no installed base: the tables are small wherever this runs.
-- squawk-ignore require-concurrent-index-deletion
drop index public.idx_events_status_created_at;
-- squawk-ignore require-concurrent-index-deletion
drop index public.idx_events_event_id;
-- squawk-ignore require-concurrent-index-deletion
drop index public.idx_events_aggregate_id_id;
-- squawk-ignore require-concurrent-index-deletion
drop index public.idx_events_org_id_id;
-- squawk-ignore require-concurrent-index-creation
create index idx_events_published_created_at on public.events_published (created_at);
-- squawk-ignore require-concurrent-index-creation
create index idx_events_published_event_id on public.events_published (event_id);
-- squawk-ignore require-concurrent-index-creation
create index idx_events_published_aggregate_id_id on public.events_published (aggregate_id, id);
-- squawk-ignore require-concurrent-index-creation
create index idx_events_published_org_id_id on public.events_published (org_id, id);
-- squawk-ignore require-concurrent-index-creation
create index idx_events_pending_aggregate_id_id on public.events_pending (aggregate_id, id);
