drop function private.ensure_embedding_model;
drop table public.org_stats;
drop table public.ai_embeddings;
drop function private.count_embeddings;
drop table public.embedding_models;
