drop function private.search_documents;
