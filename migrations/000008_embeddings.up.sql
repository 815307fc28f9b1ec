-- Embedding models, the vectors themselves (hash-partitioned by organization), and the count that chooses how they are searched.

create table public.embedding_models (
  id smallint primary key,
  name varchar not null,
  provider varchar not null,
  dims smallint not null,
  similarity_threshold real,
  active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_embedding_models_provider check (provider in ('local', 'openai')),
  constraint ck_embedding_models_dims check (dims between 1 and 1536),
  constraint ck_embedding_models_similarity_threshold check (similarity_threshold between -1 and 1)
);
comment on table public.embedding_models is 'Models whose vectors are stored; vectors of different models are never compared. Not a tenant table: rows come through private.ensure_embedding_model.';
comment on column public.embedding_models.id is 'Small and stable: statements carry it as a literal, or a generic plan could not use the model''s partial index.';
comment on column public.embedding_models.provider is 'local: inside the process; openai: any endpoint that speaks that protocol.';
comment on column public.embedding_models.dims is 'Dimensions the model gives; shorter vectors are padded with zeros to 1536, which leaves the cosine as it is.';
comment on column public.embedding_models.similarity_threshold is 'Cosine similarity below which a hit is noise, by calibration; null ranks without a cut.';
create unique index idx_embedding_models_name on public.embedding_models (name);

call private.keep_updated_at('public.embedding_models');
call private.force_rls('public.embedding_models');
call private.add_policies('public.embedding_models', 'novax_owner', '{select,insert,update}', 'true');
call private.add_policies('public.embedding_models', 'novax_api', '{select}', 'true');
call private.add_policies('public.embedding_models', 'novax_worker', '{select}', 'true');
call private.add_policies('public.embedding_models', 'ai_agent_role', '{select}', 'true');
call private.add_policies('public.embedding_models', 'novax_readonly', '{select}', 'true');
grant select on public.embedding_models to novax_api, novax_worker, ai_agent_role, novax_readonly, novax_definer;

create table public.ai_embeddings (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  document_id uuid,
  task_id uuid,
  comment_id uuid,
  attachment_id uuid,
  source_id uuid generated always as (coalesce(document_id, task_id, comment_id, attachment_id)) stored,
  source_type varchar generated always as (
    case
      when document_id is not null then 'document'
      when task_id is not null then 'task'
      when comment_id is not null then 'comment'
      when attachment_id is not null then 'attachment'
    end
  ) stored,
  model_id smallint not null constraint fk_ai_embeddings_embedding_model references public.embedding_models (id),
  dims smallint not null,
  chunk_no integer not null default 0,
  char_from integer not null,
  char_to integer not null,
  content_hash bytea not null,
  embedding public.vector(1536) storage plain not null,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint fk_ai_embeddings_document foreign key (org_id, document_id) references public.documents (org_id, id) on delete cascade,
  constraint fk_ai_embeddings_task foreign key (org_id, task_id) references public.tasks (org_id, id) on delete cascade,
  constraint fk_ai_embeddings_comment foreign key (org_id, comment_id) references public.comments (org_id, id) on delete cascade,
  constraint fk_ai_embeddings_attachment foreign key (org_id, attachment_id) references public.attachments (org_id, id) on delete cascade,
  constraint ck_ai_embeddings_source check (num_nonnulls(document_id, task_id, comment_id, attachment_id) = 1),
  constraint ck_ai_embeddings_source_type check (source_type in ('document', 'task', 'comment', 'attachment')),
  constraint ck_ai_embeddings_dims check (dims between 1 and 1536),
  constraint ck_ai_embeddings_chunk_no check (chunk_no >= 0),
  constraint ck_ai_embeddings_char_range check (char_from >= 0 and char_to >= char_from)
) partition by hash (org_id);
comment on table public.ai_embeddings is 'Vectors of the text of documents, tasks, comments and attachments. Rows are replaced, never updated.';
comment on column public.ai_embeddings.source_id is 'The one of document_id, task_id, comment_id, attachment_id that is set.';
comment on column public.ai_embeddings.chunk_no is '0 is the mean of the source''s chunks and stands for the whole; 1 and up are the chunks.';
comment on column public.ai_embeddings.char_from is 'First character of the chunk in its source; the text itself is not repeated here, so that a row fits a page.';
comment on column public.ai_embeddings.char_to is 'One past the last character of the chunk.';
comment on column public.ai_embeddings.content_hash is 'SHA-256 of the text that was embedded.';
comment on column public.ai_embeddings.embedding is 'Padded with zeros to 1536. Stored plain: an exact scan of an organization is three times as fast as through TOAST.';

create table public.ai_embeddings_p0 partition of public.ai_embeddings for values with (modulus 8, remainder 0);
create table public.ai_embeddings_p1 partition of public.ai_embeddings for values with (modulus 8, remainder 1);
create table public.ai_embeddings_p2 partition of public.ai_embeddings for values with (modulus 8, remainder 2);
create table public.ai_embeddings_p3 partition of public.ai_embeddings for values with (modulus 8, remainder 3);
create table public.ai_embeddings_p4 partition of public.ai_embeddings for values with (modulus 8, remainder 4);
create table public.ai_embeddings_p5 partition of public.ai_embeddings for values with (modulus 8, remainder 5);
create table public.ai_embeddings_p6 partition of public.ai_embeddings for values with (modulus 8, remainder 6);
create table public.ai_embeddings_p7 partition of public.ai_embeddings for values with (modulus 8, remainder 7);

-- Its full name (… source_type, model_id, chunk_no) would be cut at 63 bytes.
create unique index idx_ai_embeddings_org_id_source_id_model_id_chunk_no
  on public.ai_embeddings (org_id, source_id, source_type, model_id, chunk_no);
create index idx_ai_embeddings_source_id_source_type on public.ai_embeddings (source_id, source_type);
create index idx_ai_embeddings_org_id_document_id on public.ai_embeddings (org_id, document_id) where document_id is not null;
create index idx_ai_embeddings_org_id_task_id on public.ai_embeddings (org_id, task_id) where task_id is not null;
create index idx_ai_embeddings_org_id_comment_id on public.ai_embeddings (org_id, comment_id) where comment_id is not null;
create index idx_ai_embeddings_org_id_attachment_id on public.ai_embeddings (org_id, attachment_id) where attachment_id is not null;
create index idx_ai_embeddings_model_id on public.ai_embeddings (model_id);

call private.force_rls('public.ai_embeddings');
call private.force_rls('public.ai_embeddings_p0');
call private.force_rls('public.ai_embeddings_p1');
call private.force_rls('public.ai_embeddings_p2');
call private.force_rls('public.ai_embeddings_p3');
call private.force_rls('public.ai_embeddings_p4');
call private.force_rls('public.ai_embeddings_p5');
call private.force_rls('public.ai_embeddings_p6');
call private.force_rls('public.ai_embeddings_p7');
call private.add_policies('public.ai_embeddings', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.ai_embeddings', 'novax_worker', '{select,insert,delete}', private.in_current_org());
call private.add_policies('public.ai_embeddings', 'ai_agent_role', '{select,insert}', private.in_current_org());
call private.add_policies('public.ai_embeddings', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.ai_embeddings to novax_api, novax_readonly;
grant select, insert, delete on public.ai_embeddings to novax_worker;
grant select, insert on public.ai_embeddings to ai_agent_role;
grant select, insert, delete on public.ai_embeddings to novax_definer;

create table public.org_stats (
  org_id uuid primary key constraint fk_org_stats_organization references public.organizations (id) on delete cascade,
  embedding_count bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_org_stats_embedding_count check (embedding_count >= 0)
);
comment on table public.org_stats is 'Counts per organization, exact, kept by trigger.';
comment on column public.org_stats.embedding_count is 'Rows in ai_embeddings. Below about 2000 an exact scan beats the HNSW index; the application chooses by this.';

call private.keep_updated_at('public.org_stats');
call private.force_rls('public.org_stats');
call private.add_policies('public.org_stats', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.org_stats', 'novax_worker', '{select}', private.in_current_org());
call private.add_policies('public.org_stats', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.org_stats to novax_api, novax_worker, novax_readonly;
grant select, insert, update on public.org_stats to novax_definer;

set local role novax_definer;

create function private.count_embeddings() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into public.org_stats as s (org_id, embedding_count)
    select org_id, count(*) from changed group by org_id order by org_id
    on conflict (org_id) do update set embedding_count = s.embedding_count + excluded.embedding_count;
  else
    update public.org_stats s set embedding_count = s.embedding_count - gone.n
    from (select org_id, count(*) as n from changed group by org_id order by org_id) gone
    where s.org_id = gone.org_id;
  end if;
  return null;
end
$$;
comment on function private.count_embeddings is 'Adds what one statement inserted, subtracts what it deleted: one update per statement and organization.';
grant execute on function private.count_embeddings to novax_owner;
set local role novax_owner;

create trigger count_inserted after insert on public.ai_embeddings
  referencing new table as changed for each statement execute function private.count_embeddings();
create trigger count_deleted after delete on public.ai_embeddings
  referencing old table as changed for each statement execute function private.count_embeddings();

create function private.ensure_embedding_model(p_name varchar, p_provider varchar, p_dims smallint, p_threshold real default null)
returns smallint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_model public.embedding_models;
  v_partition integer;
begin
  select * into v_model from public.embedding_models where name = p_name;
  if not found then
    -- Two processes that meet a new model together agree on one id.
    perform pg_advisory_xact_lock(hashtextextended('private.ensure_embedding_model', 0));
    select * into v_model from public.embedding_models where name = p_name;
  end if;
  if not found then
    insert into public.embedding_models (id, name, provider, dims, similarity_threshold)
    select coalesce(max(id), 0) + 1, p_name, p_provider, p_dims, p_threshold from public.embedding_models
    returning * into v_model;
    for v_partition in 0..7 loop
      execute format(
        'create index %I on public.%I using hnsw ((embedding::public.halfvec(1536)) public.halfvec_cosine_ops)'
        || ' with (m = 16, ef_construction = 64) where model_id = %s',
        format('idx_ai_embeddings_p%s_embedding_model_%s', v_partition, v_model.id),
        format('ai_embeddings_p%s', v_partition),
        v_model.id
      );
    end loop;
  end if;
  if v_model.dims <> p_dims then
    raise exception 'model % is registered with % dimensions, not %', p_name, v_model.dims, p_dims using errcode = 'check_violation';
  end if;
  return v_model.id;
end
$$;
comment on function private.ensure_embedding_model is 'Id of the model of this name; a new one is registered and gets its partial HNSW index on every partition (empty, hence instant). A known name with other dimensions is refused.';
grant execute on function private.ensure_embedding_model to novax_worker;

-- The two that exist from the start: the bundled offline model, and the one the specification names.
select private.ensure_embedding_model('local-use-lite-en-1', 'local', 512::smallint);
select private.ensure_embedding_model('text-embedding-3-small', 'openai', 1536::smallint);
