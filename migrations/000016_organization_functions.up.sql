-- Organizations before the caller is a member, and the names of those who are.

grant insert on public.organizations to novax_definer;
grant insert on public.org_members to novax_definer;
grant select, update on public.invitations to novax_definer;

set local role novax_definer;

create function private.create_organization(p_org_id uuid, p_name varchar, p_slug varchar, p_user_id uuid, p_settings jsonb default '{}')
returns table (
  id uuid, name varchar, slug varchar, settings jsonb, owner_id uuid, status varchar, version integer, created_at timestamptz, updated_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_id uuid := coalesce(p_org_id, gen_random_uuid());
begin
  perform private.require_self(p_user_id);
  if not exists (select from public.users u where u.id = p_user_id and u.status = 'active') then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  return query
    insert into public.organizations as o (id, name, slug, owner_id, settings)
    values (v_id, p_name, p_slug, p_user_id, coalesce(p_settings, '{}'))
    returning o.id, o.name, o.slug, o.settings, o.owner_id, o.status, o.version, o.created_at, o.updated_at;
  insert into public.org_members (org_id, user_id, role) values (v_id, p_user_id, 'owner');
  insert into public.org_stats (org_id) values (v_id);
end
$$;
comment on function private.create_organization is 'An organization and its first owner, oneself. A taken slug raises unique_violation on idx_organizations_slug.';

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

create function private.co_members(p_org_id uuid)
returns table (user_id uuid, username varchar, email varchar, role varchar, status varchar, joined_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select m.user_id, u.username, u.email, m.role, u.status, m.joined_at
  from public.org_members m
  join public.users u on u.id = m.user_id
  where m.org_id = p_org_id
    and m.org_id = coalesce((select nullif(current_setting('app.current_org_id', true), '')::uuid), m.org_id)
    and exists (
      select from app.memberships mine
      where mine.user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid) and mine.org_id = p_org_id
    )
  order by m.joined_at, m.user_id
$$;
comment on function private.co_members is 'The members of an organization one belongs to; nothing for anyone else.';

create function private.organization_ids() returns table (org_id uuid)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select o.id from public.organizations o where o.status <> 'deleted' order by o.id $$;
comment on function private.organization_ids is 'For schedules that visit every organization, one at a time, with app.current_org_id set.';

grant execute on function private.create_organization, private.accept_invitation, private.co_members to novax_api;
grant execute on function private.organization_ids to novax_worker;

set local role novax_owner;
