drop table public.document_versions;
drop table public.documents;
drop function private.set_ai_updated_at;
drop function private.keep_document_version;
drop function private.mark_document_editor;
drop function private.index_document;
