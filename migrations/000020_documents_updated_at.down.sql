drop index concurrently public.idx_documents_updated_at;
