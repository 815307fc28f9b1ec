-- The relay asks of every claim which events were refused and must wait. In the order of their time only this index can answer, whatever the
-- statistics say of a table that is empty at one moment and full at the next; it is empty in ordinary times, so the answer costs nothing.
create index concurrently idx_events_pending_next_attempt_at on public.events_pending (next_attempt_at) where last_error is not null;
