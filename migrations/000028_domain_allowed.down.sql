drop function private.domain_allowed;
