drop index concurrently public.idx_sessions_revoked_at;
