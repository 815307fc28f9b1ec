-- The relay asks of every event whether one before it was refused. Without this index, empty in ordinary times, each claim reads the whole backlog to find none.
create index concurrently idx_events_pending_refused_aggregate_id_id on public.events_pending (aggregate_id, id) where last_error is not null;
