-- Retention policies for the rest of what they name: earlier versions and notifications, and the organization itself once it is deleted.

grant select on public.retention_policies to novax_definer;

-- The product has no installed base: the tables are small wherever this runs.
-- squawk-ignore require-concurrent-index-creation
create index idx_document_versions_org_id_created_at on public.document_versions (org_id, created_at);
-- squawk-ignore constraint-missing-not-valid
alter table public.retention_policies drop constraint ck_retention_policies_entity_type, add constraint ck_retention_policies_entity_type
  check (entity_type in ('organizations', 'documents', 'document_versions', 'projects', 'comments', 'attachments', 'notifications'));
comment on table public.retention_policies is 'How long an organization keeps what is deleted or superseded, by kind, before the purge. Without a policy: 30 days for what is deleted, for good what is superseded and notifications.';

set local role novax_definer;

create or replace function private.organizations_with_deleted(p_after uuid, p_limit integer)
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
    union select r.org_id from public.retention_policies r where case r.entity_type
      when 'document_versions' then exists (
        select from public.document_versions v where v.org_id = r.org_id and v.created_at < now() - make_interval(days => r.retain_days)
      )
      when 'notifications' then exists (
        select from public.notifications n where n.org_id = r.org_id and n.created_at < now() - make_interval(days => r.retain_days)
      )
    end
  ) u
  where u.org_id > p_after
  order by u.org_id limit p_limit
$$;

create or replace function private.purge_organization(p_retain_days integer) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
begin
  perform from public.organizations o
  where o.id = v_org_id and o.status = 'deleted' and o.updated_at < now() - make_interval(days => coalesce(
    (select r.retain_days from public.retention_policies r where r.org_id = o.id and r.entity_type = 'organizations'), p_retain_days
  )) for update;
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
comment on function private.purge_organization is 'Removes app.current_org_id for good once it has been deleted for as many days as its policy says, or else so many, is empty and nothing holds it; says whether it did.';

set local role novax_owner;
