-- A claim walks the ids of all shards; nothing asks by shard, and every insert paid for this.
drop index concurrently public.idx_events_pending_shard_id;
