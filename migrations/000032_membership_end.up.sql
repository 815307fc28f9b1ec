-- Whoever stops being a member leaves no key behind, and no open offer to come back.

set local role novax_definer;

create function private.end_membership() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.api_keys k set status = 'revoked', revoked_at = now()
  where k.org_id = old.org_id and k.creator_id = old.user_id and k.status = 'active';
  update public.invitations i set status = 'revoked'
  from public.users u
  where u.id = old.user_id and i.org_id = old.org_id and i.email_normalized = u.email_normalized and i.status = 'pending';
  return null;
end
$$;
comment on function private.end_membership is 'Whoever stops being a member, however it comes about, loses the keys they made there and any offer to come back that still stands.';
grant execute on function private.end_membership to novax_owner;

set local role novax_owner;

create trigger end_membership after delete on public.org_members
  for each row execute function private.end_membership();
