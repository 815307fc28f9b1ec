drop table public.audit_seals;
drop table public.audit_log;
drop function private.refuse_change;
