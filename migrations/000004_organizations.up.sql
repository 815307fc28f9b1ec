-- Organizations, their members, and app.memberships: the slim copy of the membership that every policy reads.

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name varchar not null,
  slug varchar not null,
  settings jsonb not null default '{}',
  owner_id uuid not null constraint fk_organizations_owner references public.users (id),
  status varchar not null default 'active',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_organizations_name check (char_length(name) between 1 and 200),
  constraint ck_organizations_slug check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  constraint ck_organizations_status check (status in ('active', 'suspended', 'deleted'))
);
comment on table public.organizations is 'A tenant. Everything with an org_id belongs to exactly one.';
comment on column public.organizations.owner_id is 'The accountable owner; always a member with role owner (checked at commit).';
comment on column public.organizations.settings is 'Configuration of the organization, by key.';
create unique index idx_organizations_slug on public.organizations (slug) where status <> 'deleted';
create index idx_organizations_owner_id on public.organizations (owner_id);

create table public.org_members (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_org_members_organization references public.organizations (id) on delete cascade,
  user_id uuid not null constraint fk_org_members_user references public.users (id),
  role varchar not null default 'member',
  joined_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_org_members_role check (role in ('owner', 'admin', 'member', 'viewer'))
);
comment on table public.org_members is 'Who belongs to which organization, and as what. The truth behind app.memberships.';
create unique index idx_org_members_org_id_user_id on public.org_members (org_id, user_id);
create unique index idx_org_members_user_id_org_id on public.org_members (user_id, org_id);

create table app.memberships (
  user_id uuid not null,
  org_id uuid not null,
  role varchar not null,
  primary key (user_id, org_id),
  -- The trigger below writes this table; the key only makes an orphan impossible.
  constraint fk_memberships_org_member foreign key (org_id, user_id)
    references public.org_members (org_id, user_id) on delete cascade deferrable initially deferred,
  constraint ck_memberships_role check (role in ('owner', 'admin', 'member', 'viewer'))
);
comment on table app.memberships is 'Copy of org_members that policies read: kept by trigger, written by nobody else. A policy that read org_members itself would recurse.';
create index idx_memberships_org_id_user_id on app.memberships (org_id, user_id);

grant select, insert, update, delete on app.memberships to novax_definer;
grant select on public.org_members, public.organizations, public.users to novax_definer;

set local role novax_definer;

create function private.sync_membership() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' and (tg_op = 'DELETE' or (old.user_id, old.org_id) is distinct from (new.user_id, new.org_id)) then
    delete from app.memberships where user_id = old.user_id and org_id = old.org_id;
  end if;
  if tg_op <> 'DELETE' then
    insert into app.memberships (user_id, org_id, role) values (new.user_id, new.org_id, new.role)
    on conflict (user_id, org_id) do update set role = excluded.role;
  end if;
  return null;
end
$$;
comment on function private.sync_membership is 'Keeps app.memberships equal to org_members; runs as novax_definer because callers may not write it.';

create function private.check_owner() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid;
begin
  if tg_table_name = 'organizations' then
    v_org_id := new.id;
  elsif tg_op = 'DELETE' then
    v_org_id := old.org_id;
  else
    v_org_id := new.org_id;
  end if;
  if exists (
    select from public.organizations o
    where o.id = v_org_id
      and not exists (
        select from public.org_members m where m.org_id = o.id and m.user_id = o.owner_id and m.role = 'owner'
      )
  ) then
    raise exception 'organization % would be left without its owner', v_org_id
      using errcode = 'check_violation', constraint = 'ck_organizations_owner_is_member', table = 'organizations', schema = 'public';
  end if;
  return null;
end
$$;
comment on function private.check_owner is 'At commit: owner_id of an organization is one of its members and has role owner, so there is always at least one.';

grant execute on function private.sync_membership, private.check_owner to novax_owner;
set local role novax_owner;

create trigger sync_membership after insert or update of org_id, user_id, role or delete on public.org_members
  for each row execute function private.sync_membership();
create constraint trigger check_owner after insert or update of owner_id on public.organizations
  deferrable initially deferred for each row execute function private.check_owner();
create constraint trigger check_owner after update of org_id, user_id, role or delete on public.org_members
  deferrable initially deferred for each row execute function private.check_owner();

call private.keep_updated_at('public.organizations');
call private.keep_updated_at('public.org_members');

call private.force_rls('app.memberships');
call private.add_policies('app.memberships', 'novax_api', '{select}', private.is_self());
call private.add_policies('app.memberships', 'novax_worker', '{select}', private.in_current_org());
grant select on app.memberships to novax_api, novax_worker;

-- A row of organizations is made by private.create_organization, together with its first owner; only an owner deletes it (softly).
call private.force_rls('public.organizations');
call private.add_policies('public.organizations', 'novax_api', '{select}', private.member_of('viewer', 'id'));
call private.add_policies('public.organizations', 'novax_api', '{update}', private.member_of('admin', 'id'),
  format('%s and (status <> ''deleted'' or %s)', private.member_of('admin', 'id'), private.member_of('owner', 'id')));
call private.add_policies('public.organizations', 'novax_worker', '{select}', private.in_current_org('id'));
call private.add_policies('public.organizations', 'novax_readonly', '{select}', private.in_current_org('id'));
grant select on public.organizations to novax_api, novax_worker, novax_readonly;
grant update (name, slug, settings, owner_id, status, version) on public.organizations to novax_api;

-- An admin manages everyone but owners; only an owner makes or unmakes an owner; anyone may leave.
call private.force_rls('public.org_members');
call private.add_policies('public.org_members', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.org_members', 'novax_api', '{insert,update}',
  format('(%s and role <> ''owner'') or %s', private.member_of('admin'), private.member_of('owner')));
call private.add_policies('public.org_members', 'novax_api', '{delete}',
  format('(%s and role <> ''owner'') or %s or %s', private.member_of('admin'), private.member_of('owner'), private.is_self()));
call private.add_policies('public.org_members', 'novax_worker', '{select}', private.in_current_org());
call private.add_policies('public.org_members', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.org_members to novax_api, novax_worker, novax_readonly;
grant insert, delete on public.org_members to novax_api;
grant update (role) on public.org_members to novax_api;

-- With memberships in place, the worker and support see the people of the organization they work for.
call private.add_policies('public.users', 'novax_worker', '{select}',
  format('id in (select m.user_id from app.memberships m where %s)', private.in_current_org('org_id')));
call private.add_policies('public.users', 'novax_readonly', '{select}',
  format('id in (select m.user_id from public.org_members m where %s)', private.in_current_org('org_id')));

create table public.invitations (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_invitations_organization references public.organizations (id) on delete cascade,
  inviter_id uuid not null constraint fk_invitations_inviter references public.users (id),
  email varchar not null,
  email_normalized varchar not null,
  role varchar not null default 'member',
  token_hash bytea not null,
  status varchar not null default 'pending',
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by_id uuid constraint fk_invitations_accepted_by references public.users (id),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- Ownership is handed over, never mailed.
  constraint ck_invitations_role check (role in ('admin', 'member', 'viewer')),
  constraint ck_invitations_status check (status in ('pending', 'accepted', 'revoked', 'expired')),
  constraint ck_invitations_token_hash check (octet_length(token_hash) = 32)
);
comment on table public.invitations is 'An offer of membership, redeemed through private.accept_invitation by whoever holds its token.';
create unique index idx_invitations_token_hash on public.invitations (token_hash);
create unique index idx_invitations_org_id_email_normalized on public.invitations (org_id, email_normalized) where status = 'pending';
create index idx_invitations_org_id_created_at on public.invitations (org_id, created_at);
create index idx_invitations_inviter_id on public.invitations (inviter_id);
create index idx_invitations_accepted_by_id on public.invitations (accepted_by_id);

call private.keep_updated_at('public.invitations');
call private.force_rls('public.invitations');
call private.add_policies('public.invitations', 'novax_api', '{select,update}', private.member_of('admin'));
call private.add_policies('public.invitations', 'novax_api', '{insert}', private.member_of('admin') || ' and ' || private.is_self('inviter_id'));
call private.add_policies('public.invitations', 'novax_worker', '{select,update}', private.in_current_org());
grant select (id, org_id, inviter_id, email, email_normalized, role, status, expires_at, accepted_at, accepted_by_id, created_at, updated_at)
  on public.invitations to novax_api, novax_worker;
grant insert on public.invitations to novax_api;
grant update (status) on public.invitations to novax_api, novax_worker;

create table public.api_keys (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_api_keys_organization references public.organizations (id) on delete cascade,
  creator_id uuid not null constraint fk_api_keys_creator references public.users (id),
  name varchar not null,
  prefix varchar not null,
  key_hash bytea not null,
  scopes varchar[] not null default '{}',
  status varchar not null default 'active',
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_api_keys_name check (char_length(name) between 1 and 100),
  constraint ck_api_keys_key_hash check (octet_length(key_hash) = 32),
  constraint ck_api_keys_status check (status in ('active', 'revoked'))
);
comment on table public.api_keys is 'A key acts as its creator, inside its own organization, within its scopes.';
comment on column public.api_keys.key_hash is 'SHA-256 of the key; found through private.api_key_by_hash.';
comment on column public.api_keys.prefix is 'First characters of the key, so that a person can tell their keys apart.';
create unique index idx_api_keys_key_hash on public.api_keys (key_hash);
create index idx_api_keys_org_id_created_at on public.api_keys (org_id, created_at);
create index idx_api_keys_creator_id on public.api_keys (creator_id);

call private.keep_updated_at('public.api_keys');
call private.force_rls('public.api_keys');
call private.add_policies('public.api_keys', 'novax_api', '{select,update}', private.member_of('admin'));
call private.add_policies('public.api_keys', 'novax_api', '{insert}', private.member_of('admin') || ' and ' || private.is_self('creator_id'));
call private.add_policies('public.api_keys', 'novax_readonly', '{select}', private.in_current_org());
grant select (id, org_id, creator_id, name, prefix, scopes, status, expires_at, last_used_at, revoked_at, created_at, updated_at)
  on public.api_keys to novax_api, novax_readonly;
grant insert on public.api_keys to novax_api;
grant update (name, status, revoked_at) on public.api_keys to novax_api;
