-- Documents and their earlier versions.

create table public.documents (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null,
  project_id uuid not null,
  author_id uuid not null constraint fk_documents_author references public.users (id),
  editor_id uuid constraint fk_documents_editor references public.users (id),
  title varchar not null,
  content text not null default '',
  content_format varchar not null default 'markdown',
  status varchar not null default 'active',
  language varchar not null,
  search_vector tsvector,
  content_hash bytea,
  ai_summary jsonb,
  ai_metadata jsonb not null default '{}',
  ai_updated_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint fk_documents_project foreign key (org_id, project_id) references public.projects (org_id, id) on delete cascade,
  constraint ck_documents_title check (char_length(title) between 1 and 500),
  constraint ck_documents_content_format check (content_format in ('markdown', 'plain', 'rich_text')),
  constraint ck_documents_status check (status in ('draft', 'active', 'archived', 'deleted')),
  constraint ck_documents_language check (language in ('simple', 'english', 'indonesian')),
  constraint ck_documents_version check (version >= 1)
);
comment on table public.documents is 'A written text of a project.';
comment on column public.documents.author_id is 'Who created the document.';
comment on column public.documents.editor_id is 'Who last changed title, content or status; null until someone has. Set by trigger.';
comment on column public.documents.language is 'Text search configuration; left out on insert, it is the project''s.';
comment on column public.documents.search_vector is 'Title (weight A) and content (weight B), kept by trigger. Reached through private.search_documents: under row-level security the operator @@ cannot use its index.';
comment on column public.documents.content_hash is 'SHA-256 of what is embedded, set by the application, so that unchanged text is not embedded again.';
comment on column public.documents.ai_summary is 'summary, key_topics, sentiment, complexity_score, generated_at, model, confidence.';
comment on column public.documents.ai_metadata is 'Open facts an AI noted, by key.';
comment on column public.documents.ai_updated_at is 'When an ai_ column last changed. Such a change touches neither updated_at nor version.';
comment on column public.documents.version is 'Optimistic lock: the application raises it with title, content or status.';
create index idx_documents_search_vector on public.documents using gin (search_vector);
create unique index idx_documents_org_id_id on public.documents (org_id, id);
create index idx_documents_project_id on public.documents (project_id);
create index idx_documents_project_id_status_created_at on public.documents (project_id, status, created_at);
create index idx_documents_org_id_project_id_created_at_id on public.documents (org_id, project_id, created_at desc, id desc);
create index idx_documents_author_id on public.documents (author_id);
create index idx_documents_editor_id on public.documents (editor_id);

create table public.document_versions (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null,
  document_id uuid not null,
  version integer not null,
  author_id uuid not null constraint fk_document_versions_author references public.users (id),
  title varchar not null,
  content text not null,
  content_format varchar not null,
  status varchar not null,
  written_at timestamptz not null,
  created_at timestamptz not null default now(),
  constraint fk_document_versions_document foreign key (org_id, document_id) references public.documents (org_id, id) on delete cascade,
  constraint ck_document_versions_content_format check (content_format in ('markdown', 'plain', 'rich_text')),
  constraint ck_document_versions_status check (status in ('draft', 'active', 'archived', 'deleted'))
);
comment on table public.document_versions is 'What a document was before each change of its version, kept by trigger. The current version is in documents alone.';
comment on column public.document_versions.author_id is 'Who wrote this version.';
comment on column public.document_versions.written_at is 'When this version was saved; created_at is when it was replaced.';
create unique index idx_document_versions_document_id_version on public.document_versions (document_id, version);
create index idx_document_versions_org_id_document_id on public.document_versions (org_id, document_id);
create index idx_document_versions_author_id on public.document_versions (author_id);

grant select on public.documents to novax_definer;
grant select, insert on public.document_versions to novax_definer;

set local role novax_definer;

create function private.index_document() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.language is null then
    new.language := coalesce((select p.language from public.projects p where p.org_id = new.org_id and p.id = new.project_id), 'english');
  end if;
  -- A tsvector holds at most 1 MiB of lexemes; a quarter of a million characters stay below it whatever they are.
  new.search_vector :=
    setweight(to_tsvector(new.language::regconfig, coalesce(new.title, '')), 'A')
    || setweight(to_tsvector(new.language::regconfig, left(coalesce(new.content, ''), 250000)), 'B');
  return new;
end
$$;
comment on function private.index_document is 'Fills documents.search_vector in the document''s language, and the language from its project.';

create function private.mark_document_editor() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.editor_id := coalesce(nullif(current_setting('app.current_user_id', true), '')::uuid, new.editor_id);
  return new;
end
$$;
comment on function private.mark_document_editor is 'Records who changed a document, where a person did.';

create function private.keep_document_version() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.document_versions (org_id, document_id, version, author_id, title, content, content_format, status, written_at)
  values (old.org_id, old.id, old.version, coalesce(old.editor_id, old.author_id), old.title, old.content, old.content_format, old.status, old.updated_at);
  return null;
end
$$;
comment on function private.keep_document_version is 'Stores what a document was whenever its version changes.';

create function private.set_ai_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.ai_updated_at := now();
  return new;
end
$$;
comment on function private.set_ai_updated_at is 'Keeps ai_updated_at of the row whose ai_ columns changed.';

grant execute on function private.index_document, private.mark_document_editor, private.keep_document_version, private.set_ai_updated_at
  to novax_owner;
set local role novax_owner;

create trigger index_document before insert or update of title, content, language on public.documents
  for each row execute function private.index_document();
create trigger mark_document_editor before update on public.documents
  for each row when ((old.title, old.content, old.status) is distinct from (new.title, new.content, new.status))
  execute function private.mark_document_editor();
create trigger keep_document_version after update on public.documents
  for each row when (old.version is distinct from new.version)
  execute function private.keep_document_version();
create trigger set_ai_updated_at before update of ai_summary, ai_metadata on public.documents
  for each row when ((old.ai_summary, old.ai_metadata) is distinct from (new.ai_summary, new.ai_metadata))
  execute function private.set_ai_updated_at();
-- Not for what the AI writes, nor for the bookkeeping of what it has read: a person's next save must not meet a newer row.
create trigger set_updated_at before update on public.documents
  for each row when (
    (old.org_id, old.project_id, old.author_id, old.title, old.content, old.content_format, old.status, old.language, old.version)
    is distinct from
    (new.org_id, new.project_id, new.author_id, new.title, new.content, new.content_format, new.status, new.language, new.version)
  )
  execute function private.set_updated_at();

call private.force_rls('public.documents');
call private.add_policies('public.documents', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.documents', 'novax_api', '{insert}', private.member_of('member') || ' and ' || private.is_self('author_id'));
call private.add_policies('public.documents', 'novax_api', '{update}', private.member_of('member'));
call private.add_policies('public.documents', 'novax_worker', '{select,update,delete}', private.in_current_org());
call private.add_policies('public.documents', 'ai_agent_role', '{select,update}', private.in_current_org());
call private.add_policies('public.documents', 'novax_readonly', '{select}', private.in_current_org());
-- People delete softly, by status; the purge is the worker's.
grant select, insert on public.documents to novax_api;
grant update (project_id, title, content, content_format, status, language, content_hash, version) on public.documents to novax_api;
grant select, delete on public.documents to novax_worker;
grant update (ai_summary, ai_metadata, ai_updated_at, content_hash) on public.documents to novax_worker;
grant select (id, org_id, project_id, title, content, content_format, status, language, ai_summary, ai_metadata, ai_updated_at, version, created_at, updated_at)
  on public.documents to ai_agent_role;
grant update (ai_summary, ai_metadata) on public.documents to ai_agent_role;
grant select on public.documents to novax_readonly;

call private.force_rls('public.document_versions');
call private.add_policies('public.document_versions', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.document_versions', 'novax_worker', '{select,delete}', private.in_current_org());
call private.add_policies('public.document_versions', 'novax_readonly', '{select}', private.in_current_org());
grant select on public.document_versions to novax_api, novax_readonly;
grant select, delete on public.document_versions to novax_worker;
