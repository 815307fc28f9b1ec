-- Which key an action went through; the person behind it is the actor as before.

alter table public.audit_log add column api_key_id uuid;
comment on column public.audit_log.api_key_id is 'The API key that was used, where one was. No foreign key: the record outlives the key.';
-- Both roles send the same statement; only the API ever has a key to name.
grant insert (api_key_id) on public.audit_log to novax_api, novax_worker;
