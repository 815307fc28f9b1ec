alter table public.audit_log drop column api_key_id;
