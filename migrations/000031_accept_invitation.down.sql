set local role novax_definer;
drop function private.accept_invitation(bytea, uuid);
create function private.accept_invitation(p_token_hash bytea, p_user_id uuid)
returns table (outcome varchar, org_id uuid, role varchar)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_invitation public.invitations;
begin
  perform private.require_self(p_user_id);
  select i.* into v_invitation from public.invitations i where i.token_hash = p_token_hash for update;
  if not found then
    return query select 'unknown'::varchar, null::uuid, null::varchar;
    return;
  end if;
  -- Whoever holds the mail holds the token; it is still meant for one address.
  if v_invitation.status <> 'pending' or v_invitation.expires_at <= clock_timestamp()
    or not exists (
      select from public.users u
      where u.id = p_user_id and u.status = 'active' and u.email_normalized = v_invitation.email_normalized
    )
    or not exists (select from public.organizations o where o.id = v_invitation.org_id and o.status = 'active') then
    return query select 'expired'::varchar, null::uuid, null::varchar;
    return;
  end if;
  insert into public.org_members (org_id, user_id, role) values (v_invitation.org_id, p_user_id, v_invitation.role)
  on conflict (org_id, user_id) do nothing;
  update public.invitations set status = 'accepted', accepted_at = clock_timestamp(), accepted_by_id = p_user_id where id = v_invitation.id;
  return query select 'accepted'::varchar, m.org_id, m.role from public.org_members m where m.org_id = v_invitation.org_id and m.user_id = p_user_id;
end
$$;
comment on function private.accept_invitation is 'Redeems an invitation for oneself, once: accepted, expired (also: withdrawn, used, meant for another address) or unknown.';
grant execute on function private.accept_invitation to novax_api;
drop function private.invitation_organization(bytea);
set local role novax_owner;

revoke update (role, version) on public.org_members from novax_definer;
