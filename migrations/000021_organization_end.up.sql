-- A deleted organization has no members: everything in it is out of sight at once, and no read pays for asking.

set local role novax_definer;

create function private.end_memberships() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.status = 'deleted' then
    delete from app.memberships where org_id = new.id;
  else
    insert into app.memberships (user_id, org_id, role)
    select m.user_id, m.org_id, m.role from public.org_members m where m.org_id = new.id
    on conflict (user_id, org_id) do update set role = excluded.role;
  end if;
  return null;
end
$$;
comment on function private.end_memberships is 'Takes the memberships that policies read away with a deleted organization, and brings them back with a restored one.';
grant execute on function private.end_memberships to novax_owner;
set local role novax_owner;

-- Deferred to the commit, so that the transaction that deletes the organization can still read what it did.
create constraint trigger end_memberships after update of status on public.organizations
  deferrable initially deferred for each row
  when ((old.status = 'deleted') is distinct from (new.status = 'deleted'))
  execute function private.end_memberships();
