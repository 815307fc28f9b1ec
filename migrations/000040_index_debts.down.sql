set local role novax_definer;
drop function private.owed_documents(smallint, boolean, interval, integer);
create function private.owed_documents(p_model_id smallint, p_since interval, p_limit integer)
returns table (job varchar, org_id uuid, document_id uuid, fingerprint varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select work.job, d.org_id, d.id, left(encode(d.content_hash, 'hex'), 32)
  from public.documents d
  join public.projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
  join public.organizations o on o.id = d.org_id and o.status <> 'deleted'
  cross join (values ('embed-document'::varchar), ('summarize-document'::varchar)) work (job)
  where d.status in ('draft', 'active') and d.content_hash is not null
    -- Younger ones are on their way through the event stream.
    and d.updated_at < now() - interval '30 seconds'
    and (p_since is null or d.updated_at > now() - p_since)
    and case work.job
      when 'embed-document' then not exists (
        select from public.ai_embeddings e
        where e.org_id = d.org_id and e.document_id = d.id and e.model_id = p_model_id and e.chunk_no = 0 and e.content_hash = d.content_hash
      )
      else d.ai_metadata ->> 'summary_of' is distinct from encode(d.content_hash, 'hex')
    end
    -- What failed for good waits for a person.
    and not exists (
      select from public.dead_letters l
      where l.source = 'job' and l.name = work.job and l.status = 'pending' and l.payload ->> 'documentId' = d.id::text
    )
  order by d.updated_at
  limit p_limit
$$;
comment on function private.owed_documents is 'Documents whose present text has no vectors of the model, or no summary, oldest first; p_since looks only at those changed that recently, null at all.';
grant execute on function private.owed_documents to novax_worker;
set local role novax_owner;
revoke update (indexed_version, indexed_at) on public.documents from novax_worker;
alter table public.documents drop column indexed_at, drop column indexed_version;
