-- What is derived, held against what it is derived from: functions that name the rows in which a projection differs from its tables, and those that mend what no job mends.

-- search_vector is written by the trigger that keeps it; naming language is what makes that trigger run.
grant update (language, content_hash) on public.documents to novax_definer;

set local role novax_definer;

create function private.memberships_difference(p_org_id uuid)
returns table (kind varchar, org_id uuid, id uuid)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case when a.user_id is null then 'missing' when m.user_id is null then 'extra' else 'stale' end::varchar,
         coalesce(m.org_id, a.org_id), coalesce(m.user_id, a.user_id)
  from (
    select t.org_id, t.user_id, t.role from public.org_members t
    join public.organizations o on o.id = t.org_id and o.status <> 'deleted'
    where p_org_id is null or t.org_id = p_org_id
  ) m
  full join (select t.* from app.memberships t where p_org_id is null or t.org_id = p_org_id) a on a.org_id = m.org_id and a.user_id = m.user_id
  where a.role is distinct from m.role
$$;
comment on function private.memberships_difference is 'Where app.memberships is not the copy of org_members, of organizations that are not deleted, that it should be; id is the user''s.';

create function private.mend_memberships(p_org_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- Writers stand in line behind whoever waits for this lock: better to give up and come again.
set lock_timeout = '1s'
as $$
begin
  -- Every change of a member writes here too: after this none is half done, and readers do not wait.
  lock table app.memberships in share row exclusive mode;
  delete from app.memberships a
  where (p_org_id is null or a.org_id = p_org_id) and not exists (
    select from public.org_members m join public.organizations o on o.id = m.org_id and o.status <> 'deleted'
    where m.org_id = a.org_id and m.user_id = a.user_id
  );
  insert into app.memberships as a (user_id, org_id, role)
  select m.user_id, m.org_id, m.role from public.org_members m
  join public.organizations o on o.id = m.org_id and o.status <> 'deleted'
  where p_org_id is null or m.org_id = p_org_id
  on conflict (user_id, org_id) do update set role = excluded.role where a.role <> excluded.role;
end
$$;
comment on function private.mend_memberships is 'Makes app.memberships what private.memberships_difference says it should be. Fails with 55P03 when a lock is not free within a second.';

create function private.document_texts_difference(p_org_id uuid)
returns table (kind varchar, org_id uuid, id uuid)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case when d.search_vector is null or d.content_hash is null then 'missing' else 'stale' end::varchar, d.org_id, d.id
  from public.documents d
  where (p_org_id is null or d.org_id = p_org_id)
    and (
      d.content_hash is distinct from sha256(convert_to(d.title, 'UTF8') || '\x00'::bytea || convert_to(d.content, 'UTF8'))
      -- As private.index_document has it.
      or d.search_vector is distinct from
        setweight(to_tsvector(d.language::regconfig, d.title), 'A') || setweight(to_tsvector(d.language::regconfig, left(d.content, 250000)), 'B')
    )
$$;
comment on function private.document_texts_difference is 'Documents whose search_vector or content_hash is not of their title and content.';

create function private.mend_document_texts(p_ids uuid[]) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update public.documents d
  set language = d.language, content_hash = sha256(convert_to(d.title, 'UTF8') || '\x00'::bytea || convert_to(d.content, 'UTF8'))
  where d.id = any(p_ids)
$$;
comment on function private.mend_document_texts is 'Derives search_vector and content_hash of these documents anew; touches neither version nor updated_at.';

create function private.embedding_counts_difference(p_org_id uuid)
returns table (kind varchar, org_id uuid, id uuid)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case when s.org_id is null then 'missing' else 'stale' end::varchar, o.id, o.id
  from public.organizations o
  left join public.org_stats s on s.org_id = o.id
  left join (select e.org_id, count(*) as n from public.ai_embeddings e group by e.org_id) e on e.org_id = o.id
  where (p_org_id is null or o.id = p_org_id) and coalesce(s.embedding_count, 0) <> coalesce(e.n, 0)
$$;
comment on function private.embedding_counts_difference is 'Organizations whose count of vectors in org_stats is not that of ai_embeddings.';

create function private.recount_embeddings(p_org_id uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.org_stats (org_id) values (p_org_id) on conflict do nothing;
  -- Whoever adds vectors meanwhile waits here with its part of the count, which the next statement does not see yet.
  perform from public.org_stats s where s.org_id = p_org_id for update;
  update public.org_stats s set embedding_count = (select count(*) from public.ai_embeddings e where e.org_id = p_org_id) where s.org_id = p_org_id;
end
$$;
comment on function private.recount_embeddings is 'Sets an organization''s count of vectors to how many there are.';

create function private.embeddings_difference(p_model_id smallint, p_org_id uuid)
returns table (kind varchar, org_id uuid, id uuid, fingerprint varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case when v.n = 0 or not v.mean then 'missing' else 'stale' end::varchar, d.org_id, d.id, left(encode(d.content_hash, 'hex'), 32)
  from public.documents d
  join public.projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
  join public.organizations o on o.id = d.org_id and o.status <> 'deleted'
  cross join lateral (
    select count(*) as n, coalesce(bool_or(e.chunk_no = 0), false) as mean, bool_and(e.content_hash = d.content_hash) as fresh, max(e.chunk_no) as last
    from public.ai_embeddings e where e.org_id = d.org_id and e.document_id = d.id and e.model_id = p_model_id
  ) v
  where d.status in ('draft', 'active') and d.content_hash is not null and (p_org_id is null or d.org_id = p_org_id)
    -- Younger ones are on their way through the event stream.
    and d.updated_at < now() - interval '30 seconds'
    -- Chunks are numbered without a gap.
    and (v.n = 0 or not v.mean or not v.fresh or v.last <> v.n - 1)
$$;
comment on function private.embeddings_difference is 'Documents without all vectors of the model and their present text.';

create function private.summaries_difference(p_org_id uuid)
returns table (kind varchar, org_id uuid, id uuid, fingerprint varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case when d.ai_summary is null then 'missing' else 'stale' end::varchar, d.org_id, d.id, left(encode(d.content_hash, 'hex'), 32)
  from public.documents d
  join public.projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
  join public.organizations o on o.id = d.org_id and o.status <> 'deleted'
  where d.status in ('draft', 'active') and d.content_hash is not null and (p_org_id is null or d.org_id = p_org_id)
    and d.updated_at < now() - interval '30 seconds'
    and (d.ai_summary is null or d.ai_metadata ->> 'summary_of' is distinct from encode(d.content_hash, 'hex'))
$$;
comment on function private.summaries_difference is 'Documents without a summary of their present text.';

create function private.indexable_documents(p_org_id uuid)
returns table (org_id uuid, id uuid, project_id uuid, status varchar, version integer, updated_ms bigint, text_hash varchar, settled boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select d.org_id, d.id, d.project_id, d.status, d.version, floor(extract(epoch from d.updated_at) * 1000)::bigint,
         encode(sha256(convert_to(d.title, 'UTF8') || '\x00'::bytea || convert_to(d.content, 'UTF8')), 'hex'),
         d.updated_at < now() - interval '30 seconds'
  from public.documents d
  where p_org_id is null or d.org_id = p_org_id
$$;
comment on function private.indexable_documents is 'What the full-text engine should hold of each document, or hold no more; settled when the event stream has had time to bring it.';

create function private.view_difference(p_view varchar, p_org_id uuid)
returns table (kind varchar, org_id uuid, id uuid)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_view is null or p_view not in ('mv_ai_document_context', 'mv_ai_task_intelligence') then
    raise exception 'unknown view' using errcode = 'invalid_parameter_value';
  end if;
  return query execute format(
    $query$
      select case when v.id is null then 'missing' when t.id is null then 'extra' else 'stale' end::varchar, coalesce(t.org_id, v.org_id), coalesce(t.id, v.id)
      from (%s) t full join private.%I v on v.id = t.id
      where ($1 is null or coalesce(t.org_id, v.org_id) = $1) and (t.id is null or v.id is null or row(t.*) is distinct from row(v.*))
    $query$,
    rtrim(pg_get_viewdef(format('private.%I', p_view)::regclass), ';'), p_view
  ) using p_org_id;
end
$$;
comment on function private.view_difference is 'Rows in which a materialized view is not what its own query answers now.';

create function private.erased_people()
returns table (id uuid, settled boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select e.user_id, e.erased_at < now() - interval '5 minutes' from public.erasures e $$;
comment on function private.erased_people is 'Everybody whom the list outside the database should name; settled when there was time to write it.';

create function private.owe_erasure_records(p_ids uuid[]) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ update public.erasures set recorded_at = null where user_id = any(p_ids) $$;
comment on function private.owe_erasure_records is 'Has these people written to the list outside the database again.';

grant execute on function
  private.erased_people, private.owe_erasure_records, private.memberships_difference, private.mend_memberships, private.document_texts_difference, private.mend_document_texts,
  private.embedding_counts_difference, private.recount_embeddings, private.embeddings_difference, private.summaries_difference,
  private.indexable_documents, private.view_difference to novax_worker;

set local role novax_owner;
