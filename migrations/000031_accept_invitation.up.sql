-- Joining by invitation answers all that the record needs, proves the address and keeps the stronger role.

grant update (role, version) on public.org_members to novax_definer;

set local role novax_definer;

create function private.invitation_organization(p_token_hash bytea) returns uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select i.org_id from public.invitations i where i.token_hash = p_token_hash $$;
comment on function private.invitation_organization is 'The organization a token was made for, so that its holder can act in it; null for no token of ours.';

drop function private.accept_invitation(bytea, uuid);
create function private.accept_invitation(p_token_hash bytea, p_user_id uuid)
returns table (
  outcome varchar, invitation_id uuid, org_id uuid, member_id uuid, role varchar, previous_role varchar, version integer, verified boolean
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_weakest_first constant varchar[] := '{viewer,member,admin,owner}';
  v_invitation public.invitations;
  v_member public.org_members;
  v_previous_role varchar;
  v_joined boolean;
  v_verified boolean;
begin
  perform private.require_self(p_user_id);
  select i.* into v_invitation from public.invitations i where i.token_hash = p_token_hash for update;
  -- Whoever holds the mail holds the token; it is still meant for one address, and for as long as the organization lets that address in.
  if not found
    or not exists (
      select from public.users u
      where u.id = p_user_id and u.status = 'active' and u.email_normalized = v_invitation.email_normalized
    )
    or not exists (
      select from public.organizations o
      where o.id = v_invitation.org_id and o.status = 'active'
        and private.domain_allowed(o.allowed_domains, v_invitation.email_normalized)
    ) then
    return;
  end if;
  if v_invitation.status = 'accepted' and v_invitation.accepted_by_id = p_user_id then
    return query
      select 'repeated'::varchar, v_invitation.id, m.org_id, m.id, m.role, m.role, m.version, false
      from public.org_members m where m.org_id = v_invitation.org_id and m.user_id = p_user_id;
    return;
  end if;
  if v_invitation.status <> 'pending' or v_invitation.expires_at <= clock_timestamp() then
    return;
  end if;
  insert into public.org_members (org_id, user_id, role) values (v_invitation.org_id, p_user_id, v_invitation.role)
  on conflict (org_id, user_id) do nothing;
  v_joined := found;
  select m.* into strict v_member from public.org_members m where m.org_id = v_invitation.org_id and m.user_id = p_user_id for update;
  v_previous_role := v_member.role;
  if array_position(v_weakest_first, v_invitation.role) > array_position(v_weakest_first, v_member.role) then
    update public.org_members m set role = v_invitation.role, version = m.version + 1 where m.id = v_member.id returning m.* into v_member;
  end if;
  update public.invitations i set status = 'accepted', accepted_at = clock_timestamp(), accepted_by_id = p_user_id where i.id = v_invitation.id;
  -- The token came by mail to this very address.
  update public.users u set email_verified_at = clock_timestamp() where u.id = p_user_id and u.email_verified_at is null;
  v_verified := found;
  return query
    select case when v_joined then 'joined' when v_previous_role <> v_member.role then 'raised' else 'member' end::varchar,
      v_invitation.id, v_member.org_id, v_member.id, v_member.role, v_previous_role, v_member.version, v_verified;
end
$$;
comment on function private.accept_invitation is 'Redeems an invitation for oneself: joined, raised (a member who had a weaker role), member (nothing to gain) or repeated. No row for a token that is unknown, withdrawn, used, overdue, or meant for another address, and while the organization is not active.';
grant execute on function private.invitation_organization, private.accept_invitation to novax_api;

set local role novax_owner;
