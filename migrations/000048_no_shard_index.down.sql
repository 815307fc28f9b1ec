create index concurrently idx_events_pending_shard_id on public.events_pending (shard, id);
