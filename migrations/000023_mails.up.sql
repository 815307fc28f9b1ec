-- Mails that are owed: the queue is this table, so a mail exists if and only if the transaction that asked for it committed.

create table public.mails (
  id uuid primary key default gen_random_uuid(),
  kind varchar not null,
  email varchar not null,
  email_normalized varchar not null,
  user_id uuid constraint fk_mails_user references public.users (id) on delete cascade,
  invitation_id uuid constraint fk_mails_invitation references public.invitations (id) on delete cascade,
  status varchar not null default 'pending',
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  last_error varchar,
  request_id varchar,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_mails_kind check (
    kind in ('verify-email', 'reset-password', 'invitation', 'password-changed', 'second-factor-changed', 'account-linked')
  ),
  constraint ck_mails_email check (char_length(email) between 3 and 254),
  constraint ck_mails_status check (status in ('pending', 'sent', 'dropped', 'failed')),
  constraint ck_mails_invitation check ((kind = 'invitation') = (invitation_id is not null))
);
comment on table public.mails is 'Mails asked for and what became of them. One-time secrets are made by whoever sends the mail and stand nowhere in it here.';
comment on column public.mails.user_id is 'The person it is about; null where nobody may know yet whether there is one (reset-password) and for invitations.';
comment on column public.mails.status is 'dropped: there was nobody to write to, or enough was written already; failed: given up after the last attempt.';
comment on column public.mails.next_attempt_at is 'When it may be tried (again); moved ahead by whoever is at it, as a lease.';
create index idx_mails_next_attempt_at on public.mails (next_attempt_at) where status = 'pending';
create index idx_mails_updated_at on public.mails (updated_at) where status <> 'pending';
create index idx_mails_user_id on public.mails (user_id);
create index idx_mails_invitation_id on public.mails (invitation_id);

call private.keep_updated_at('public.mails');
call private.force_rls('public.mails');
-- Mails have no reader but the worker that sends them; the API may only ask for one.
call private.add_policies('public.mails', 'novax_worker', '{select,update,delete}', 'true');
grant select, delete on public.mails to novax_worker;
grant update (status, attempts, next_attempt_at, last_error) on public.mails to novax_worker;
grant insert on public.mails to novax_definer;

set local role novax_definer;

create function private.queue_mail(
  p_id uuid,
  p_kind varchar,
  p_email varchar,
  p_email_normalized varchar,
  p_user_id uuid,
  p_invitation_id uuid,
  p_request_id varchar
)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_kind = 'invitation' then
    if not exists (
      select from public.invitations i
      join app.memberships m on m.org_id = i.org_id
      where i.id = p_invitation_id and i.email_normalized = p_email_normalized
        and m.user_id = private.current_user_id() and m.role in ('owner', 'admin')
    ) then
      raise exception 'no invitation of the current user''s organization' using errcode = 'insufficient_privilege';
    end if;
  elsif private.current_user_id() is not null then
    perform private.require_self(p_user_id);
  end if;
  insert into public.mails (id, kind, email, email_normalized, user_id, invitation_id, request_id)
  values (coalesce(p_id, gen_random_uuid()), p_kind, p_email, p_email_normalized, p_user_id, p_invitation_id, p_request_id);
end
$$;
comment on function private.queue_mail is 'Asks for a mail: about oneself, to whom an admin invited, or (signed out) to an address that may be nobody''s.';
grant execute on function private.queue_mail to novax_api;

set local role novax_owner;
