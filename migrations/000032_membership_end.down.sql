drop trigger end_membership on public.org_members;
set local role novax_definer;
drop function private.end_membership();
set local role novax_owner;
