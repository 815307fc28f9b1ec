drop table public.api_keys;
drop table public.invitations;
drop policy users_select_novax_readonly on public.users;
drop policy users_select_novax_worker on public.users;
-- One statement: their policies and keys name each other.
drop table app.memberships, public.org_members, public.organizations;
drop function private.check_owner;
drop function private.sync_membership;
revoke select on public.users from novax_definer;
