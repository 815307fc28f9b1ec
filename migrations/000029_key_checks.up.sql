-- What a call with an API key asks of the database, and how recovery codes are kept.

comment on table public.recovery_codes is 'One-time codes that stand in for a lost factor; they go with it.';
comment on column public.recovery_codes.code_hash is 'Hex SHA-256: a code is random, of 74 bits, so that a slow hash would protect nothing more.';

-- A key of one organization may not learn that its maker is in another: what names app.current_org_id sees that membership alone.
alter policy memberships_select_novax_api on app.memberships
  using (
    user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid)
    and org_id = coalesce((select nullif(current_setting('app.current_org_id', true), '')::uuid), org_id)
  );

set local role novax_definer;

create or replace function private.api_key_by_hash(p_key_hash bytea)
returns table (api_key_id uuid, org_id uuid, user_id uuid, user_status varchar, scopes varchar[], status varchar, expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select k.id, k.org_id, k.creator_id, u.status, k.scopes, k.status, k.expires_at
  from public.api_keys k
  join public.users u on u.id = k.creator_id
  join app.memberships m on m.user_id = k.creator_id and m.org_id = k.org_id
  join public.organizations o on o.id = k.org_id and o.status = 'active'
  where k.key_hash = p_key_hash
$$;
comment on function private.api_key_by_hash is 'The key behind a secret, while its creator is a member of its active organization. The caller decides: active key, active creator, not expired.';

create function private.touch_api_key(p_api_key_id uuid) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update public.api_keys k
  set last_used_at = now()
  where k.id = p_api_key_id and k.creator_id = private.current_user_id()
    and (k.last_used_at is null or k.last_used_at < now() - interval '1 minute')
$$;
comment on function private.touch_api_key is 'Notes that a key of the current person was used, once a minute at most; a creator need not be an admin any more.';

grant execute on function private.touch_api_key to novax_api;

set local role novax_owner;
