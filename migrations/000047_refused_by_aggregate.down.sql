create index concurrently idx_events_pending_refused_aggregate_id_id on public.events_pending (aggregate_id, id) where last_error is not null;
