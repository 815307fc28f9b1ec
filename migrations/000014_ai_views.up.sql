-- What the AI reads: materialized views in private, and views of the same names in ai that show one organization.

grant select on public.organizations, public.users, public.projects, public.documents, public.tasks to novax_definer;

set local role novax_definer;

create materialized view private.mv_ai_document_context as
select
  d.id,
  d.org_id,
  d.project_id,
  d.title,
  d.content,
  d.content_format,
  d.status,
  d.language,
  d.ai_summary,
  d.ai_metadata,
  d.search_vector,
  p.name as project_name,
  p.ai_context as project_context,
  o.name as org_name,
  u.username as author,
  d.version,
  d.created_at,
  d.updated_at
from public.documents d
join public.projects p on p.org_id = d.org_id and p.id = d.project_id
join public.organizations o on o.id = d.org_id
join public.users u on u.id = d.author_id
where d.status <> 'deleted' and p.status <> 'deleted' and o.status <> 'deleted';
comment on materialized view private.mv_ai_document_context is 'One row per document with its surroundings, of every organization: read through ai.mv_ai_document_context only.';
-- The view above was made in this transaction: nobody reads it yet.
-- squawk-ignore require-concurrent-index-creation
create unique index idx_mv_ai_document_context_id on private.mv_ai_document_context (id);
-- The view above was made in this transaction: nobody reads it yet.
-- squawk-ignore require-concurrent-index-creation
create index idx_mv_ai_document_context_org_id_project_id on private.mv_ai_document_context (org_id, project_id);

create materialized view private.mv_ai_task_intelligence as
select
  t.id,
  t.org_id,
  t.project_id,
  t.title,
  t.description,
  t.priority,
  t.status,
  t.ai_metadata,
  t.due_date,
  p.name as project_name,
  p.ai_context as project_context,
  o.name as org_name,
  a.username as assignee,
  c.username as creator,
  t.version,
  t.created_at,
  t.updated_at
from public.tasks t
join public.projects p on p.org_id = t.org_id and p.id = t.project_id
join public.organizations o on o.id = t.org_id
join public.users c on c.id = t.creator_id
left join public.users a on a.id = t.assignee_id
where t.status <> 'done' and p.status <> 'deleted' and o.status <> 'deleted';
comment on materialized view private.mv_ai_task_intelligence is 'One row per open task with its surroundings, of every organization: read through ai.mv_ai_task_intelligence only.';
-- The view above was made in this transaction: nobody reads it yet.
-- squawk-ignore require-concurrent-index-creation
create unique index idx_mv_ai_task_intelligence_id on private.mv_ai_task_intelligence (id);
-- The view above was made in this transaction: nobody reads it yet.
-- squawk-ignore require-concurrent-index-creation
create index idx_mv_ai_task_intelligence_org_id_due_date on private.mv_ai_task_intelligence (org_id, due_date);

-- Run with their owner's rights, hence the filter inside and the barrier around it. The vector and the clock are read now, not at the refresh.
create view ai.mv_ai_document_context with (security_barrier = true) as
select c.*, e.embedding, e.model_id as embedding_model_id
from private.mv_ai_document_context c
left join lateral (
  select v.embedding, v.model_id
  from public.ai_embeddings v
  where v.org_id = c.org_id and v.source_id = c.id and v.source_type = 'document' and v.chunk_no = 0
  order by v.created_at desc, v.model_id
  limit 1
) e on true
where c.org_id = (select nullif(current_setting('app.current_org_id', true), '')::uuid);
comment on view ai.mv_ai_document_context is 'Documents of app.current_org_id as of the last refresh, with the vector that stands for each and the model it came from.';

create view ai.mv_ai_task_intelligence with (security_barrier = true) as
select
  t.*,
  case
    when t.due_date < now() then 'overdue'
    when t.due_date < now() + interval '24 hours' then 'urgent'
    when t.due_date < now() + interval '7 days' then 'upcoming'
    else 'scheduled'
  end as urgency_level
from private.mv_ai_task_intelligence t
where t.org_id = (select nullif(current_setting('app.current_org_id', true), '')::uuid);
comment on view ai.mv_ai_task_intelligence is 'Open tasks of app.current_org_id as of the last refresh; urgency_level is of this moment.';

grant select on ai.mv_ai_document_context, ai.mv_ai_task_intelligence to ai_agent_role, novax_worker, novax_readonly;

-- PostgreSQL 17 lets a role refresh what it does not own; before that, the function below is the way.
do $maintain$
begin
  if current_setting('server_version_num')::integer >= 170000 then
    execute 'grant maintain on private.mv_ai_document_context, private.mv_ai_task_intelligence to novax_worker';
  end if;
end
$maintain$;

create function private.refresh_ai_views() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  refresh materialized view concurrently private.mv_ai_document_context;
  refresh materialized view concurrently private.mv_ai_task_intelligence;
end
$$;
comment on function private.refresh_ai_views is 'Refreshes both without blocking readers; works where MAINTAIN does not exist.';
grant execute on function private.refresh_ai_views to novax_worker;

create function ai.replace_embeddings(
  p_source_type varchar,
  p_source_id uuid,
  p_model_id smallint,
  p_chunks jsonb
)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
  v_count integer;
begin
  if v_org_id is null then
    raise exception 'app.current_org_id is not set' using errcode = 'insufficient_privilege';
  end if;
  if p_source_type not in ('document', 'task', 'comment', 'attachment') then
    raise exception 'unknown source type' using errcode = 'invalid_parameter_value';
  end if;
  -- The composite foreign keys refuse a source of another organization.
  delete from public.ai_embeddings
  where org_id = v_org_id and source_id = p_source_id and source_type = p_source_type and model_id = p_model_id;
  insert into public.ai_embeddings
    (org_id, document_id, task_id, comment_id, attachment_id, model_id, dims, chunk_no, char_from, char_to, content_hash, embedding, metadata)
  select
    v_org_id,
    case when p_source_type = 'document' then p_source_id end,
    case when p_source_type = 'task' then p_source_id end,
    case when p_source_type = 'comment' then p_source_id end,
    case when p_source_type = 'attachment' then p_source_id end,
    p_model_id,
    c.dims,
    c.chunk_no,
    c.char_from,
    c.char_to,
    decode(c.content_hash, 'hex'),
    c.embedding::text::public.vector(1536),
    coalesce(c.metadata, '{}')
  from jsonb_to_recordset(p_chunks) as c (
    chunk_no integer, char_from integer, char_to integer, dims smallint, content_hash text, embedding jsonb, metadata jsonb
  );
  get diagnostics v_count = row_count;
  return v_count;
end
$$;
comment on function ai.replace_embeddings is 'Replaces all vectors of one source and model in app.current_org_id; p_chunks is an array of {chunk_no, char_from, char_to, dims, content_hash (hex), embedding (1536 numbers), metadata}. Returns how many were stored.';
grant execute on function ai.replace_embeddings to ai_agent_role, novax_worker;

set local role novax_owner;
