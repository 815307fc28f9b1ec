create index concurrently idx_documents_updated_at on public.documents (updated_at);
