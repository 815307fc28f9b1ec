drop table public.ai_proposals;
drop table public.ai_runs;
