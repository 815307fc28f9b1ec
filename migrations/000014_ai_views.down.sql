drop function ai.replace_embeddings;
drop function private.refresh_ai_views;
drop view ai.mv_ai_task_intelligence;
drop view ai.mv_ai_document_context;
drop materialized view private.mv_ai_task_intelligence;
drop materialized view private.mv_ai_document_context;
