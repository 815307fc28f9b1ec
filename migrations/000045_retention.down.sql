-- To the tables' owner, whom policies bind, the table looks empty.
grant delete on public.retention_policies to novax_definer;

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
  ) u
  where u.org_id > p_after
  order by u.org_id limit p_limit
$$;
comment on function private.organizations_with_deleted is 'Organizations in which something waits for its purge, held or not, by id.';

create or replace function private.purge_organization(p_retain_days integer) returns boolean
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

delete from public.retention_policies where entity_type = 'organizations';

set local role novax_owner;

comment on table public.retention_policies is 'How long an organization keeps what is deleted or superseded, by kind, before the purge.';
alter table public.retention_policies drop constraint ck_retention_policies_entity_type, add constraint ck_retention_policies_entity_type
  check (entity_type in ('documents', 'document_versions', 'projects', 'comments', 'attachments', 'notifications'));
drop index public.idx_document_versions_org_id_created_at;
revoke select, delete on public.retention_policies from novax_definer;
