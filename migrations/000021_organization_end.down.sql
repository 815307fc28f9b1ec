drop trigger end_memberships on public.organizations;
set local role novax_definer;
drop function private.end_memberships();
set local role novax_owner;
