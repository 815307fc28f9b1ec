create index concurrently idx_sessions_revoked_at on public.sessions (revoked_at) where revoked_at is not null;
