-- What the platform holds about a person, handed out to them, and taken away for good; and the list of those who are gone, for restores.

create table public.erasures (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null constraint fk_erasures_user references public.users (id),
  erased_at timestamptz not null default now(),
  recorded_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.erasures is 'People who were erased. Each is written to the blob store too, where no restore of this database can bring them back from.';
comment on column public.erasures.recorded_at is 'When it was written there; null until then.';
create unique index idx_erasures_user_id on public.erasures (user_id);
create index idx_erasures_erased_at on public.erasures (erased_at) where recorded_at is null;

call private.keep_updated_at('public.erasures');
call private.force_rls('public.erasures');

grant select, insert, update on public.erasures to novax_definer;
grant update on public.organizations to novax_definer;
grant update on public.person_keys to novax_definer;
grant select, delete on public.totp_factors, public.recovery_codes to novax_definer;
grant select, delete on public.notification_preferences, public.notifications, public.idempotency_keys to novax_definer;
grant delete on public.refresh_tokens, public.one_time_tokens, public.mails, public.org_members to novax_definer;

set local role novax_definer;

create function private.export_person(p_section varchar, p_after varchar, p_limit integer)
returns table (place varchar, item jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_me uuid := private.current_user_id();
  v_after uuid := '00000000-0000-0000-0000-000000000000';
  v_address varchar;
begin
  perform private.require_self(v_me);
  select u.email_normalized into v_address from public.users u where u.id = v_me and u.status = 'active';
  if not found then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  if p_section <> 'auditTrail' and p_after <> '' then
    v_after := p_after::uuid;
  end if;

  case p_section
  when 'account' then
    return query select u.id::varchar, jsonb_build_object(
      'id', u.id, 'email', u.email, 'emailVerifiedAt', u.email_verified_at, 'username', u.username, 'status', u.status,
      'hasPassword', u.password_hash <> '!', 'profileMetadata', u.profile_metadata, 'createdAt', u.created_at, 'updatedAt', u.updated_at)
    from public.users u where u.id = v_me;
  when 'sessions' then
    return query select s.id::varchar, jsonb_build_object(
      'id', s.id, 'ipAddress', host(s.ip_address), 'userAgent', s.user_agent, 'createdAt', s.created_at, 'lastSeenAt', s.last_seen_at,
      'expiresAt', least(s.idle_expires_at, s.absolute_expires_at), 'revokedAt', s.revoked_at, 'revokedReason', s.revoked_reason)
    from public.sessions s where s.user_id = v_me and s.id > v_after order by s.id limit p_limit;
  when 'linkedAccounts' then
    return query select a.id::varchar, jsonb_build_object(
      'id', a.id, 'provider', a.provider, 'subject', a.subject, 'email', a.email, 'createdAt', a.created_at, 'lastUsedAt', a.last_used_at)
    from public.oauth_accounts a where a.user_id = v_me and a.id > v_after order by a.id limit p_limit;
  when 'factors' then
    return query select f.id::varchar, jsonb_build_object(
      'id', f.id, 'kind', 'totp', 'status', f.status, 'confirmedAt', f.confirmed_at, 'createdAt', f.created_at,
      'recoveryCodesLeft', (select count(*) from public.recovery_codes c where c.user_id = v_me and c.used_at is null))
    from public.totp_factors f where f.user_id = v_me and f.id > v_after order by f.id limit p_limit;
  when 'apiKeys' then
    return query select k.id::varchar, jsonb_build_object(
      'id', k.id, 'organizationId', k.org_id, 'name', k.name, 'prefix', k.prefix, 'scopes', k.scopes, 'status', k.status,
      'createdAt', k.created_at, 'expiresAt', k.expires_at, 'lastUsedAt', k.last_used_at, 'revokedAt', k.revoked_at)
    from public.api_keys k where k.creator_id = v_me and k.id > v_after order by k.id limit p_limit;
  when 'memberships' then
    return query select m.id::varchar, jsonb_build_object(
      'id', m.id, 'organizationId', m.org_id, 'organizationName', o.name, 'organizationSlug', o.slug, 'role', m.role, 'joinedAt', m.joined_at)
    from public.org_members m
    join public.organizations o on o.id = m.org_id
    where m.user_id = v_me and o.status <> 'deleted' and m.id > v_after order by m.id limit p_limit;
  when 'invitations' then
    return query select i.id::varchar, jsonb_build_object(
      'id', i.id, 'organizationId', i.org_id, 'organizationName', o.name, 'email', i.email, 'role', i.role, 'status', i.status,
      'createdAt', i.created_at, 'expiresAt', i.expires_at, 'acceptedAt', i.accepted_at)
    from public.invitations i
    join public.organizations o on o.id = i.org_id
    where (i.email_normalized = v_address or i.accepted_by_id = v_me) and i.id > v_after order by i.id limit p_limit;
  -- What they wrote belongs to the organization: the words to those who are still in it, the fact to everybody who wrote.
  when 'documents' then
    return query select d.id::varchar, jsonb_build_object(
      'id', d.id, 'organizationId', d.org_id, 'title', d.title, 'status', d.status, 'version', d.version, 'createdAt', d.created_at,
      'updatedAt', d.updated_at, 'content', case when m.user_id is not null and d.status <> 'deleted' then d.content end)
    from public.documents d
    left join app.memberships m on m.org_id = d.org_id and m.user_id = v_me
    where d.author_id = v_me and d.id > v_after order by d.id limit p_limit;
  when 'documentVersions' then
    return query select v.id::varchar, jsonb_build_object(
      'id', v.id, 'organizationId', v.org_id, 'documentId', v.document_id, 'version', v.version, 'title', v.title, 'writtenAt', v.written_at,
      'content', case when m.user_id is not null and d.status <> 'deleted' then v.content end)
    from public.document_versions v
    join public.documents d on d.org_id = v.org_id and d.id = v.document_id
    left join app.memberships m on m.org_id = v.org_id and m.user_id = v_me
    where v.author_id = v_me and v.id > v_after order by v.id limit p_limit;
  when 'tasks' then
    return query select t.id::varchar, jsonb_build_object(
      'id', t.id, 'organizationId', t.org_id, 'title', t.title, 'status', t.status, 'priority', t.priority, 'dueDate', t.due_date,
      'assignedToMe', t.assignee_id is not distinct from v_me, 'createdByMe', t.creator_id = v_me, 'createdAt', t.created_at,
      'description', case when m.user_id is not null and t.creator_id = v_me then t.description end)
    from public.tasks t
    left join app.memberships m on m.org_id = t.org_id and m.user_id = v_me
    where (t.creator_id = v_me or t.assignee_id = v_me) and t.id > v_after order by t.id limit p_limit;
  when 'comments' then
    return query select c.id::varchar, jsonb_build_object(
      'id', c.id, 'organizationId', c.org_id, 'documentId', c.document_id, 'taskId', c.task_id, 'status', c.status, 'createdAt', c.created_at,
      'body', case when m.user_id is not null and c.status <> 'deleted' then c.body end)
    from public.comments c
    left join app.memberships m on m.org_id = c.org_id and m.user_id = v_me
    where c.author_id = v_me and c.id > v_after order by c.id limit p_limit;
  when 'attachments' then
    return query select a.id::varchar, jsonb_build_object(
      'id', a.id, 'organizationId', a.org_id, 'fileName', a.file_name, 'mediaType', a.media_type, 'sizeBytes', a.size_bytes,
      'status', a.status, 'createdAt', a.created_at,
      'extractedText', case when m.user_id is not null then a.extracted_text end)
    from public.attachments a
    left join app.memberships m on m.org_id = a.org_id and m.user_id = v_me
    where a.uploader_id = v_me and a.id > v_after order by a.id limit p_limit;
  when 'notifications' then
    return query select n.id::varchar, jsonb_build_object(
      'id', n.id, 'organizationId', n.org_id, 'kind', n.kind, 'status', n.status, 'createdAt', n.created_at, 'readAt', n.read_at,
      'title', n.title, 'body', case when m.user_id is not null then n.body end)
    from public.notifications n
    left join app.memberships m on m.org_id = n.org_id and m.user_id = v_me
    where n.user_id = v_me and n.id > v_after order by n.id limit p_limit;
  when 'notificationPreferences' then
    return query select p.id::varchar, jsonb_build_object('id', p.id, 'kind', p.kind, 'channel', p.channel, 'enabled', p.enabled)
    from public.notification_preferences p where p.user_id = v_me and p.id > v_after order by p.id limit p_limit;
  when 'mails' then
    return query select l.id::varchar, jsonb_build_object(
      'id', l.id, 'kind', l.kind, 'email', l.email, 'status', l.status, 'createdAt', l.created_at)
    from public.mails l where (l.user_id = v_me or l.email_normalized = v_address) and l.id > v_after order by l.id limit p_limit;
  -- Values only of rows about the person: those of an organization's things may tell of others, and are the organization's.
  when 'auditTrail' then
    return query select a.id::varchar, jsonb_build_object(
      'id', a.id, 'organizationId', a.org_id, 'byMe', a.actor_id is not distinct from v_me, 'action', a.action,
      'entityType', a.entity_type, 'entityId', a.entity_id, 'createdAt', a.created_at,
      'before', case when a.org_id is null then a.old_value end, 'after', case when a.org_id is null then a.new_value end,
      'network', case when a.actor_id = v_me then a.ip_address::text end,
      'address', case when a.actor_id = v_me and a.sealed ? 'ip' then jsonb_build_object('$sealed', a.sealed -> 'ip', 'person', v_me) end)
    from public.audit_log a
    where a.id in (
      select b.id from public.audit_log b where b.actor_id = v_me
      union all
      select b.id from public.audit_log b where b.entity_type = 'users' and b.entity_id = v_me
    ) and a.id > case when p_after = '' then 0 else p_after::bigint end
    order by a.id limit p_limit;
  else
    raise exception 'no section %', p_section using errcode = 'invalid_parameter_value';
  end case;
end
$$;
comment on function private.export_person is 'What the platform holds about the current user, one page of one section: no secrets, no hashes, nobody else''s data.';

create function private.erase_person(p_user_id uuid, p_request_id varchar default null)
returns table (outcome varchar, organizations varchar[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_user public.users;
  v_email varchar := 'erased-' || p_user_id || '@erased.invalid';
  v_owned varchar[];
  v_organization public.organizations;
begin
  perform private.require_self(p_user_id);
  select u.* into v_user from public.users u where u.id = p_user_id and u.status <> 'deleted' for update;
  if not found then
    return query select 'unknown'::varchar, null::varchar[];
    return;
  end if;
  -- Held, so that nobody joins between the question and the answer.
  perform from public.organizations o where o.owner_id = p_user_id and o.status <> 'deleted' order by o.id for update;
  select array_agg(o.name order by o.name) into v_owned
  from public.organizations o
  where o.owner_id = p_user_id and o.status <> 'deleted'
    and exists (select from public.org_members m where m.org_id = o.id and m.user_id <> p_user_id);
  if v_owned is not null then
    return query select 'owns'::varchar, v_owned;
    return;
  end if;

  for v_organization in
    update public.organizations o set status = 'deleted', version = o.version + 1
    where o.owner_id = p_user_id and o.status <> 'deleted'
    returning o.*
  loop
    insert into public.audit_log (org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, request_id)
    values (v_organization.id, 'user', p_user_id, 'delete', 'organizations', v_organization.id, jsonb_build_object('reason', 'its only member was erased'), p_request_id);
    insert into public.events (event_id, org_id, event_type, aggregate_type, aggregate_id, aggregate_version, schema_version, payload, actor_type, actor_id, request_id)
    values (
      gen_random_uuid(), v_organization.id, 'organization.deleted', 'organization', v_organization.id, v_organization.version, 1,
      jsonb_build_object('organizationId', v_organization.id), 'user', p_user_id, p_request_id
    );
  end loop;

  -- Before the address is gone: a membership that ends withdraws the offers that stand to it. An owner stays named in what was deleted.
  delete from public.org_members m
  where m.user_id = p_user_id
    and not exists (select from public.organizations o where o.id = m.org_id and o.owner_id = p_user_id);
  update public.api_keys k set status = 'revoked', revoked_at = now() where k.creator_id = p_user_id and k.status = 'active';
  update public.invitations i set status = 'revoked' where i.inviter_id = p_user_id and i.status = 'pending';
  delete from public.mails l
  where l.user_id = p_user_id or l.email_normalized = v_user.email_normalized
    or l.invitation_id in (select i.id from public.invitations i where i.accepted_by_id = p_user_id);
  update public.invitations i
  set email = v_email, email_normalized = v_email, status = case when i.status = 'pending' then 'revoked' else i.status end
  where i.email_normalized = v_user.email_normalized or i.accepted_by_id = p_user_id;

  update public.users u
  set status = 'deleted', email = v_email, email_normalized = v_email, email_verified_at = null, password_hash = '!', profile_metadata = '{}',
      username = 'erased-' || right(p_user_id::text, 12), username_normalized = 'erased-' || right(p_user_id::text, 12)
  where u.id = p_user_id;
  -- The trigger on the status has ended them; where from and with what goes as well.
  delete from public.refresh_tokens t where t.session_id in (select s.id from public.sessions s where s.user_id = p_user_id);
  update public.sessions s
  set ip_address = null, user_agent = null, revoked_at = coalesce(s.revoked_at, clock_timestamp()), revoked_reason = coalesce(s.revoked_reason, 'user_deleted')
  where s.user_id = p_user_id;
  delete from public.oauth_flows f where f.link_user_id = p_user_id;
  delete from public.oauth_accounts a where a.user_id = p_user_id;
  delete from public.totp_factors f where f.user_id = p_user_id;
  delete from public.recovery_codes c where c.user_id = p_user_id;
  delete from public.one_time_tokens t where t.user_id = p_user_id;
  delete from public.notification_preferences p where p.user_id = p_user_id;
  delete from public.notifications n where n.user_id = p_user_id;
  delete from public.idempotency_keys k where k.user_id = p_user_id;

  update public.person_keys k set wrapped_key = null, destroyed_at = now() where k.user_id = p_user_id and k.destroyed_at is null;
  -- Whoever had no key gets none any more.
  insert into public.person_keys (user_id, key_id, destroyed_at) values (p_user_id, 'none', now()) on conflict (user_id) do nothing;
  insert into public.erasures (user_id) values (p_user_id) on conflict (user_id) do nothing;
  return query select 'erased'::varchar, null::varchar[];
end
$$;
comment on function private.erase_person is 'Erases oneself: erased; owns (and what: organizations with other members must be handed over first); or unknown. What one wrote stays, with an author who has no name.';

create function private.replay_erasure(p_user_id uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_organization record;
  v_outcome varchar;
begin
  perform set_config('app.current_user_id', p_user_id::text, true);
  -- Before they were erased they had handed over; the data is from before that.
  for v_organization in
    select o.id, s.user_id as successor_id
    from public.organizations o
    join lateral (
      select m.user_id from public.org_members m where m.org_id = o.id and m.user_id <> p_user_id
      order by array_position(array['owner', 'admin', 'member', 'viewer'], m.role::text), m.joined_at, m.user_id limit 1
    ) s on true
    where o.owner_id = p_user_id and o.status <> 'deleted'
  loop
    update public.org_members m set role = 'owner', version = m.version + 1 where m.org_id = v_organization.id and m.user_id = v_organization.successor_id;
    update public.organizations o set owner_id = v_organization.successor_id, version = o.version + 1 where o.id = v_organization.id;
  end loop;
  select e.outcome into v_outcome from private.erase_person(p_user_id) e;
  if v_outcome = 'erased' then
    perform private.audit_system('system', null, 'delete', 'users', p_user_id, null, jsonb_build_object('reason', 'was erased before the restore'));
  end if;
  perform set_config('app.current_user_id', '', true);
  return v_outcome = 'erased';
end
$$;
comment on function private.replay_erasure is 'After a restore: erases somebody again whom the data still has; what they owned goes to its senior member. For the superuser who restores; no role may call it.';

create function private.unrecorded_erasures(p_limit integer)
returns table (user_id uuid, erased_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select e.user_id, e.erased_at from public.erasures e where e.recorded_at is null order by e.erased_at, e.user_id limit p_limit
$$;
comment on function private.unrecorded_erasures is 'People erased whom the list outside the database does not name yet.';

create function private.mark_erasure_recorded(p_user_id uuid) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ update public.erasures set recorded_at = now() where user_id = p_user_id and recorded_at is null $$;
comment on function private.mark_erasure_recorded is 'Notes that the list outside the database names this person.';

grant execute on function private.export_person, private.erase_person to novax_api;
grant execute on function private.unrecorded_erasures, private.mark_erasure_recorded to novax_worker;

set local role novax_owner;
