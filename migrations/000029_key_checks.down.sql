set local role novax_definer;

drop function private.touch_api_key;

create or replace function private.api_key_by_hash(p_key_hash bytea)
returns table (api_key_id uuid, org_id uuid, user_id uuid, user_status varchar, scopes varchar[], status varchar, expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.id, k.org_id, k.creator_id, u.status, k.scopes, k.status, k.expires_at
  from public.api_keys k
  join public.users u on u.id = k.creator_id
  where k.key_hash = p_key_hash
$$;
comment on function private.api_key_by_hash is 'The key behind a secret. The caller decides: active key, active creator, not expired.';

set local role novax_owner;

alter policy memberships_select_novax_api on app.memberships
  using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

comment on column public.recovery_codes.code_hash is null;
comment on table public.recovery_codes is 'One-time codes that stand in for a lost factor; hashed like passwords.';
