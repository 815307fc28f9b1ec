drop table public.background_migrations;
drop table public.backup_runs;
drop table public.legal_holds;
drop table public.retention_policies;
drop table public.metric_samples;
drop table public.usage_samples;
