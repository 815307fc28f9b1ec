drop function private.usage_for_current_org;
drop function private.event_system;
drop function private.audit_system;
drop function private.require_actor;
