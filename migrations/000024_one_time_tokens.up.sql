-- Secrets that go out by mail and are good for one use, and what they open: a confirmed address, a new password, an invitation.

create table public.one_time_tokens (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_one_time_tokens_user references public.users (id) on delete cascade,
  mail_id uuid not null constraint fk_one_time_tokens_mail references public.mails (id) on delete cascade,
  purpose varchar not null,
  email_normalized varchar not null,
  token_hash bytea not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_one_time_tokens_purpose check (purpose in ('verify-email', 'reset-password')),
  constraint ck_one_time_tokens_token_hash check (octet_length(token_hash) = 32)
);
comment on table public.one_time_tokens is 'Secrets that were mailed, by their hashes; they go with the mail they came in.';
comment on column public.one_time_tokens.token_hash is 'SHA-256 of the secret; whoever sends the mail makes it and forgets it.';
comment on column public.one_time_tokens.email_normalized is 'The address that the secret proves: it opens nothing once the account has another.';
comment on column public.one_time_tokens.used_at is 'When it was used, or ended by the use of another; it opens nothing from then on.';
create unique index idx_one_time_tokens_token_hash on public.one_time_tokens (token_hash);
create index idx_one_time_tokens_user_id_created_at on public.one_time_tokens (user_id, created_at);
create index idx_one_time_tokens_mail_id on public.one_time_tokens (mail_id);

-- No runtime role reads or writes this table: the functions below do.
call private.keep_updated_at('public.one_time_tokens');
call private.force_rls('public.one_time_tokens');
grant select, insert, update on public.one_time_tokens to novax_definer;
grant select on public.mails to novax_definer;

set local role novax_definer;

create function private.issue_mail_token(p_mail_id uuid, p_token_hash bytea, p_ttl interval)
returns table (refused varchar, email varchar, recipient_name varchar, organization_name varchar, inviter_name varchar, role varchar, expires_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_mail public.mails;
  v_user public.users;
  v_expires_at timestamptz := clock_timestamp() + p_ttl;
begin
  select m.* into v_mail from public.mails m where m.id = p_mail_id and m.status = 'pending';
  if not found then
    return query select 'not pending'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;

  if v_mail.kind = 'invitation' then
    return query
      update public.invitations i set token_hash = p_token_hash
      from public.organizations o, public.users inviter
      where i.id = v_mail.invitation_id and i.status = 'pending' and i.expires_at > clock_timestamp()
        and o.id = i.org_id and o.status = 'active' and inviter.id = i.inviter_id
      returning null::varchar, i.email, null::varchar, o.name, inviter.username, i.role, i.expires_at;
    if not found then
      return query select 'no pending invitation'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    end if;
    return;
  end if;

  select u.* into v_user from public.users u
  where u.status = 'active' and (u.id = v_mail.user_id or (v_mail.user_id is null and u.email_normalized = v_mail.email_normalized));
  if not found then
    return query select 'no such account'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  -- A notice needs no secret, and goes where the account's mail went when it was asked for.
  if v_mail.kind not in ('verify-email', 'reset-password') then
    return query select null::varchar, v_mail.email, v_user.username, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  if v_user.email_normalized <> v_mail.email_normalized or (v_mail.kind = 'verify-email' and v_user.email_verified_at is not null) then
    return query select 'nothing to confirm'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  -- Whoever knows an address can ask for mails to it. Three in half their life (an hour at most) are
  -- enough: one that works for as long again lies in the box.
  if (
    select count(distinct t.mail_id) from public.one_time_tokens t
    where t.user_id = v_user.id and t.purpose = v_mail.kind and t.used_at is null and t.mail_id <> v_mail.id
      and t.created_at > clock_timestamp() - least(p_ttl / 2, interval '1 hour')
  ) >= 3 then
    return query select 'enough mails already'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  insert into public.one_time_tokens (user_id, mail_id, purpose, email_normalized, token_hash, expires_at, created_at)
  values (v_user.id, v_mail.id, v_mail.kind, v_user.email_normalized, p_token_hash, v_expires_at, clock_timestamp());
  -- To the address that the account has, never to the one that was typed.
  return query select null::varchar, v_user.email, v_user.username, null::varchar, null::varchar, null::varchar, v_expires_at;
end
$$;
comment on function private.issue_mail_token is 'For a mail about to be sent: stores the hash of its secret and tells what the mail says, or in refused why nobody gets it.';
grant execute on function private.issue_mail_token to novax_worker;

create function private.verify_email(p_token_hash bytea) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_user public.users;
begin
  -- Person before token, here and in reset_password, so that two links of one person cannot wait for each other.
  select u.* into v_user from public.users u
  where u.status = 'active'
    and u.id = (select t.user_id from public.one_time_tokens t where t.token_hash = p_token_hash and t.purpose = 'verify-email')
  for update;
  if not found then
    return null;
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where token_hash = p_token_hash and used_at is null and expires_at > clock_timestamp() and email_normalized = v_user.email_normalized;
  if not found then
    return null;
  end if;
  update public.users set email_verified_at = clock_timestamp() where id = v_user.id;
  return v_user.id;
end
$$;
comment on function private.verify_email is 'Confirms the address that a secret was mailed to, once; the person, or null for a secret that is unknown, used or too old.';

create function private.reset_token_owner(p_token_hash bytea)
returns table (user_id uuid, email varchar, username varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select u.id, u.email, u.username
  from public.one_time_tokens t
  join public.users u on u.id = t.user_id
  where t.token_hash = p_token_hash and t.purpose = 'reset-password' and t.used_at is null and t.expires_at > clock_timestamp()
    and t.email_normalized = u.email_normalized and u.status = 'active'
$$;
comment on function private.reset_token_owner is 'Whose password a mailed secret may replace, so that a new one can be judged before the secret is used up.';

create function private.end_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason varchar) returns setof bytea
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_session record;
begin
  for v_session in
    select s.id, s.sid_hash from public.sessions s
    where s.user_id = p_user_id and s.revoked_at is null and s.id is distinct from p_keep_session_id
    order by s.id
  loop
    if private.end_session(v_session.id, p_reason) then
      return next v_session.sid_hash;
    end if;
  end loop;
end
$$;
comment on function private.end_other_sessions is 'Ends the sessions of a person, but one when it is named; answers their hashes. For the functions of this file; no role may call it.';

create function private.reset_password(p_token_hash bytea, p_password_hash varchar)
returns table (user_id uuid, email varchar, ended_sessions bytea[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_user public.users;
begin
  select u.* into v_user from public.users u
  where u.status = 'active'
    and u.id = (select t.user_id from public.one_time_tokens t where t.token_hash = p_token_hash and t.purpose = 'reset-password')
  for update;
  if not found then
    return;
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where token_hash = p_token_hash and used_at is null and expires_at > clock_timestamp() and email_normalized = v_user.email_normalized;
  if not found then
    return;
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where user_id = v_user.id and purpose = 'reset-password' and used_at is null;
  -- The mail arrived, so the address is this person's.
  update public.users
  set password_hash = p_password_hash, email_verified_at = coalesce(email_verified_at, clock_timestamp())
  where id = v_user.id;
  return query
    select v_user.id, v_user.email, array(select private.end_other_sessions(v_user.id, null, 'password_reset'));
end
$$;
comment on function private.reset_password is 'Trades a mailed secret for a new password, once, and ends every session; no row for a secret that is unknown, used or too old.';

create function private.replace_password(p_user_id uuid, p_password_hash varchar, p_keep_session_id uuid) returns setof bytea
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_self(p_user_id);
  update public.users set password_hash = p_password_hash where id = p_user_id and status = 'active';
  if not found then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where user_id = p_user_id and purpose = 'reset-password' and used_at is null;
  return query select private.end_other_sessions(p_user_id, p_keep_session_id, 'password_changed');
end
$$;
comment on function private.replace_password is 'A new password for oneself: ends every other session, whose hashes it answers, and every mailed secret that would set another.';

create function private.confirm_password(p_user_id uuid, p_verified_hash varchar, p_new_hash varchar) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_self(p_user_id);
  -- Held until the session is there: a reset that comes between would not see it and let it live.
  perform from public.users u where u.id = p_user_id and u.status = 'active' and u.password_hash = p_verified_hash for no key update;
  if not found then
    return false;
  end if;
  if p_new_hash is not null then
    update public.users set password_hash = p_new_hash where id = p_user_id;
  end if;
  return true;
end
$$;
comment on function private.confirm_password is 'True while the password that was verified is still the person''s, until the end of the transaction; stores it hashed anew when a new hash is given.';

grant execute on function
  private.verify_email, private.reset_token_owner, private.reset_password, private.replace_password, private.confirm_password to novax_api;

set local role novax_owner;
