drop function private.organization_ids;
drop function private.co_members;
drop function private.accept_invitation;
drop function private.create_organization;
revoke select, update on public.invitations from novax_definer;
revoke insert on public.org_members from novax_definer;
revoke insert on public.organizations from novax_definer;
