-- What goes by itself: what expired, and what was deleted long enough ago. Files of attachments follow their rows, by a list that no crash can lose.

-- The product has no installed base: the tables are small wherever this runs.
-- squawk-ignore require-concurrent-index-creation
create index idx_sessions_absolute_expires_at on public.sessions (absolute_expires_at);
-- squawk-ignore require-concurrent-index-creation
create index idx_refresh_tokens_expires_at on public.refresh_tokens (expires_at);
-- squawk-ignore require-concurrent-index-creation
create index idx_one_time_tokens_expires_at on public.one_time_tokens (expires_at);
-- squawk-ignore require-concurrent-index-creation
create index idx_invitations_expires_at on public.invitations (expires_at) where status = 'pending';
-- squawk-ignore require-concurrent-index-creation
create index idx_organizations_id on public.organizations (id) where status = 'deleted';
-- squawk-ignore require-concurrent-index-creation
create index idx_projects_org_id on public.projects (org_id) where status = 'deleted';
-- squawk-ignore require-concurrent-index-creation
create index idx_documents_org_id on public.documents (org_id) where status = 'deleted';
-- squawk-ignore require-concurrent-index-creation
create index idx_comments_org_id on public.comments (org_id) where status = 'deleted';
-- squawk-ignore require-concurrent-index-creation
create index idx_attachments_org_id on public.attachments (org_id) where status = 'deleted';

create table public.blob_removals (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null,
  storage_key varchar not null,
  created_at timestamptz not null default now(),
  constraint ck_blob_removals_storage_key check (char_length(storage_key) between 1 and 1024)
);
comment on table public.blob_removals is 'Stored files whose attachment is gone: removed from the store, and then from here. org_id is no foreign key: the file outlives the organization.';
create index idx_blob_removals_org_id on public.blob_removals (org_id);
create index idx_blob_removals_created_at on public.blob_removals (created_at);
call private.force_rls('public.blob_removals');
grant select, insert, delete on public.blob_removals to novax_definer;

grant delete on public.sessions, public.organizations, public.legal_holds to novax_definer;
grant select on public.legal_holds to novax_definer;
-- Rows to be swept are locked first.
grant update on public.idempotency_keys to novax_definer;

set local role novax_definer;

create function private.owe_blob_removal() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.blob_removals (org_id, storage_key) values (old.org_id, old.storage_key);
  return null;
end
$$;
comment on function private.owe_blob_removal is 'Lists the file of an attachment that is deleted, by whatever way, for removal from the store.';
grant execute on function private.owe_blob_removal to novax_owner;

create function private.owed_blob_removals(p_limit integer)
returns table (id uuid, storage_key varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select b.id, b.storage_key from public.blob_removals b order by b.created_at, b.id limit p_limit $$;
comment on function private.owed_blob_removals is 'Files to be removed from the store, the oldest debts first.';

create function private.mark_blob_removed(p_id uuid) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ delete from public.blob_removals b where b.id = p_id $$;
comment on function private.mark_blob_removed is 'Notes that the store has a file no more.';

create function private.sweep(p_table varchar, p_limit integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows integer;
begin
  -- Ended sessions and tokens are kept for 30 days, for whoever looks into an incident.
  case p_table
    when 'sessions' then
      -- Their refresh tokens go with them.
      delete from public.sessions where id in (
        select s.id from public.sessions s
        where s.absolute_expires_at < now() - interval '30 days' or s.revoked_at < now() - interval '30 days'
        limit p_limit for update skip locked
      );
    when 'refresh_tokens' then
      delete from public.refresh_tokens where id in (
        select t.id from public.refresh_tokens t where t.expires_at < now() - interval '30 days' limit p_limit for update skip locked
      );
    when 'one_time_tokens' then
      delete from public.one_time_tokens where id in (
        select t.id from public.one_time_tokens t where t.expires_at < now() - interval '30 days' limit p_limit for update skip locked
      );
    when 'oauth_flows' then
      delete from public.oauth_flows where id in (
        select f.id from public.oauth_flows f where f.expires_at < now() limit p_limit for update skip locked
      );
    when 'idempotency_keys' then
      delete from public.idempotency_keys where id in (
        select k.id from public.idempotency_keys k where k.expires_at < now() limit p_limit for update skip locked
      );
    when 'invitations' then
      with swept as (
        update public.invitations set status = 'expired' where id in (
          select i.id from public.invitations i where i.status = 'pending' and i.expires_at < now() limit p_limit for update skip locked
        )
        returning id, org_id
      )
      insert into public.audit_log (org_id, actor_type, action, entity_type, entity_id, old_value, new_value)
      select s.org_id, 'system', 'update', 'invitations', s.id, '{"status": "pending"}', '{"status": "expired"}' from swept s;
    else
      raise exception 'nothing of % expires', p_table using errcode = 'invalid_parameter_value';
  end case;
  get diagnostics v_rows = row_count;
  return v_rows;
end
$$;
comment on function private.sweep is 'Removes up to that many expired rows of one table (invitations are marked instead) and says how many. Several at once share the work.';

create function private.organizations_with_deleted(p_after uuid, p_limit integer)
returns table (org_id uuid)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select u.org_id from (
    select o.id as org_id from public.organizations o where o.status = 'deleted'
    union select p.org_id from public.projects p where p.status = 'deleted'
    union select d.org_id from public.documents d where d.status = 'deleted'
    union select c.org_id from public.comments c where c.status = 'deleted'
    union select a.org_id from public.attachments a where a.status = 'deleted'
  ) u
  where u.org_id > p_after
  order by u.org_id limit p_limit
$$;
comment on function private.organizations_with_deleted is 'Organizations in which something waits for its purge, held or not, by id.';

create function private.purge_organization(p_retain_days integer) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
begin
  perform from public.organizations o
  where o.id = v_org_id and o.status = 'deleted' and o.updated_at < now() - make_interval(days => p_retain_days) for update;
  if not found
    or exists (select from public.projects p where p.org_id = v_org_id)
    or exists (select from public.legal_holds h where h.org_id = v_org_id and h.status = 'active') then
    return false;
  end if;
  -- Released ones; that they were there stands in the trail.
  delete from public.legal_holds h where h.org_id = v_org_id;
  delete from public.organizations o where o.id = v_org_id;
  return true;
end
$$;
comment on function private.purge_organization is 'Removes app.current_org_id for good once it has been deleted for so many days, is empty and nothing holds it; says whether it did.';

grant execute on function
  private.owed_blob_removals, private.mark_blob_removed, private.sweep, private.organizations_with_deleted, private.purge_organization to novax_worker;

set local role novax_owner;

create trigger owe_blob_removal after delete on public.attachments
  for each row execute function private.owe_blob_removal();

-- Asked by the purge under its own rights: holds of the current organization are all it sees.
create function private.is_held(
  p_project_id uuid,
  p_document_id uuid default null,
  p_task_id uuid default null,
  p_comment_id uuid default null,
  p_attachment_id uuid default null
)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from public.legal_holds h
    where h.status = 'active' and h.org_id = nullif(current_setting('app.current_org_id', true), '')::uuid
      and case h.entity_type
        when 'organizations' then true
        when 'projects' then coalesce(h.entity_id, p_project_id) = p_project_id
        when 'documents' then coalesce(h.entity_id, p_document_id) = p_document_id
        when 'tasks' then coalesce(h.entity_id, p_task_id) = p_task_id
        when 'comments' then coalesce(h.entity_id, p_comment_id) = p_comment_id
        when 'attachments' then coalesce(h.entity_id, p_attachment_id) = p_attachment_id
      end
  )
$$;
comment on function private.is_held is 'Whether a legal hold of app.current_org_id covers a row: itself, all of its kind, or what it is in. Null for what it is not in.';
grant execute on function private.is_held to novax_worker;
