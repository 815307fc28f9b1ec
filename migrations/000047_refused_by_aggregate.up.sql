-- Refused events are found by their time.
drop index concurrently public.idx_events_pending_refused_aggregate_id_id;
