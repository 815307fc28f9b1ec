-- The schema as the migrations leave it: generated from the catalogues, compared by a test, never edited and never run.

create schema ai;
alter schema ai owner to novax_owner;
comment on schema ai is 'The AI''s window: views and functions bound to the organization named by app.current_org_id.';
grant create, usage on schema ai to novax_definer;
grant usage on schema ai to ai_agent_role;
grant usage on schema ai to novax_backup;
grant usage on schema ai to novax_readonly;
grant usage on schema ai to novax_worker;

create schema app;
alter schema app owner to novax_owner;
comment on schema app is 'What row-level security reads: who belongs to which organization.';
grant usage on schema app to novax_api;
grant usage on schema app to novax_backup;
grant usage on schema app to novax_definer;
grant usage on schema app to novax_worker;

create schema monitoring;
alter schema monitoring owner to superuser;

create schema private;
alter schema private owner to novax_owner;
comment on schema private is 'Functions that act with more rights than their caller, the materialized views, and migration-time procedures. No tables of tenants.';
grant create, usage on schema private to novax_definer;
grant usage on schema private to novax_api;
grant usage on schema private to novax_backup;
grant usage on schema private to novax_migrator;
grant usage on schema private to novax_worker;

create schema public;
alter schema public owner to pg_database_owner;
comment on schema public is 'standard public schema';
grant create, usage on schema public to novax_owner;
grant usage on schema public to ai_agent_role;
grant usage on schema public to novax_api;
grant usage on schema public to novax_backup;
grant usage on schema public to novax_definer;
grant usage on schema public to novax_migrator;
grant usage on schema public to novax_readonly;
grant usage on schema public to novax_worker;

create view ai.mv_ai_document_context with (security_barrier=true) as
 SELECT c.id,
    c.org_id,
    c.project_id,
    c.title,
    c.content,
    c.content_format,
    c.status,
    c.language,
    c.ai_summary,
    c.ai_metadata,
    c.search_vector,
    c.project_name,
    c.project_context,
    c.org_name,
    c.author,
    c.version,
    c.created_at,
    c.updated_at,
    e.embedding,
    e.model_id AS embedding_model_id
   FROM (private.mv_ai_document_context c
     LEFT JOIN LATERAL ( SELECT v.embedding,
            v.model_id
           FROM public.ai_embeddings v
          WHERE ((v.org_id = c.org_id) AND (v.source_id = c.id) AND ((v.source_type)::text = 'document'::text) AND (v.chunk_no = 0))
          ORDER BY v.created_at DESC, v.model_id
         LIMIT 1) e ON (true))
  WHERE (c.org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"));
alter view ai.mv_ai_document_context owner to novax_definer;
comment on view ai.mv_ai_document_context is 'Documents of app.current_org_id as of the last refresh, with the vector that stands for each and the model it came from.';
grant select on view ai.mv_ai_document_context to ai_agent_role;
grant select on view ai.mv_ai_document_context to novax_readonly;
grant select on view ai.mv_ai_document_context to novax_worker;

create view ai.mv_ai_task_intelligence with (security_barrier=true) as
 SELECT id,
    org_id,
    project_id,
    title,
    description,
    priority,
    status,
    ai_metadata,
    due_date,
    project_name,
    project_context,
    org_name,
    assignee,
    creator,
    version,
    created_at,
    updated_at,
        CASE
            WHEN (due_date < now()) THEN 'overdue'::text
            WHEN (due_date < (now() + '24:00:00'::interval)) THEN 'urgent'::text
            WHEN (due_date < (now() + '7 days'::interval)) THEN 'upcoming'::text
            ELSE 'scheduled'::text
        END AS urgency_level
   FROM private.mv_ai_task_intelligence t
  WHERE (org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"));
alter view ai.mv_ai_task_intelligence owner to novax_definer;
comment on view ai.mv_ai_task_intelligence is 'Open tasks of app.current_org_id as of the last refresh; urgency_level is of this moment.';
grant select on view ai.mv_ai_task_intelligence to ai_agent_role;
grant select on view ai.mv_ai_task_intelligence to novax_readonly;
grant select on view ai.mv_ai_task_intelligence to novax_worker;

create table app.memberships (
  user_id uuid not null,
  org_id uuid not null,
  role character varying not null,
  constraint memberships_pkey PRIMARY KEY (user_id, org_id),
  constraint fk_memberships_org_member FOREIGN KEY (org_id, user_id) REFERENCES public.org_members(org_id, user_id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  constraint ck_memberships_role CHECK (((role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying, 'viewer'::character varying])::text[])))
);
alter table app.memberships owner to novax_owner;
comment on table app.memberships is 'Copy of org_members that policies read: kept by trigger, written by nobody else. A policy that read org_members itself would recurse.';
grant delete, insert, select, update on table app.memberships to novax_definer;
grant select on table app.memberships to novax_api;
grant select on table app.memberships to novax_backup;
grant select on table app.memberships to novax_worker;
alter table app.memberships enable row level security;
alter table app.memberships force row level security;
CREATE INDEX idx_memberships_org_id_user_id ON app.memberships USING btree (org_id, user_id);
create policy memberships_select_novax_api on app.memberships as permissive for select to novax_api
  using (((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), org_id))));
create policy memberships_select_novax_worker on app.memberships as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create materialized view private.mv_ai_document_context as
 SELECT d.id,
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
    p.name AS project_name,
    p.ai_context AS project_context,
    o.name AS org_name,
    u.username AS author,
    d.version,
    d.created_at,
    d.updated_at
   FROM (((public.documents d
     JOIN public.projects p ON (((p.org_id = d.org_id) AND (p.id = d.project_id))))
     JOIN public.organizations o ON ((o.id = d.org_id)))
     JOIN public.users u ON ((u.id = d.author_id)))
  WHERE (((d.status)::text <> 'deleted'::text) AND ((p.status)::text <> 'deleted'::text) AND ((o.status)::text <> 'deleted'::text));
alter materialized view private.mv_ai_document_context owner to novax_definer;
comment on materialized view private.mv_ai_document_context is 'One row per document with its surroundings, of every organization: read through ai.mv_ai_document_context only.';
grant maintain on materialized view private.mv_ai_document_context to novax_worker;
CREATE UNIQUE INDEX idx_mv_ai_document_context_id ON private.mv_ai_document_context USING btree (id);
CREATE INDEX idx_mv_ai_document_context_org_id_project_id ON private.mv_ai_document_context USING btree (org_id, project_id);

create materialized view private.mv_ai_task_intelligence as
 SELECT t.id,
    t.org_id,
    t.project_id,
    t.title,
    t.description,
    t.priority,
    t.status,
    t.ai_metadata,
    t.due_date,
    p.name AS project_name,
    p.ai_context AS project_context,
    o.name AS org_name,
    a.username AS assignee,
    c.username AS creator,
    t.version,
    t.created_at,
    t.updated_at
   FROM ((((public.tasks t
     JOIN public.projects p ON (((p.org_id = t.org_id) AND (p.id = t.project_id))))
     JOIN public.organizations o ON ((o.id = t.org_id)))
     JOIN public.users c ON ((c.id = t.creator_id)))
     LEFT JOIN public.users a ON ((a.id = t.assignee_id)))
  WHERE (((t.status)::text <> 'done'::text) AND ((p.status)::text <> 'deleted'::text) AND ((o.status)::text <> 'deleted'::text));
alter materialized view private.mv_ai_task_intelligence owner to novax_definer;
comment on materialized view private.mv_ai_task_intelligence is 'One row per open task with its surroundings, of every organization: read through ai.mv_ai_task_intelligence only.';
grant maintain on materialized view private.mv_ai_task_intelligence to novax_worker;
CREATE UNIQUE INDEX idx_mv_ai_task_intelligence_id ON private.mv_ai_task_intelligence USING btree (id);
CREATE INDEX idx_mv_ai_task_intelligence_org_id_due_date ON private.mv_ai_task_intelligence USING btree (org_id, due_date);

create table public.ai_embeddings (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  document_id uuid,
  task_id uuid,
  comment_id uuid,
  attachment_id uuid,
  source_id uuid generated always as (COALESCE(document_id, task_id, comment_id, attachment_id)) stored,
  source_type character varying generated always as (
CASE
    WHEN (document_id IS NOT NULL) THEN 'document'::text
    WHEN (task_id IS NOT NULL) THEN 'task'::text
    WHEN (comment_id IS NOT NULL) THEN 'comment'::text
    WHEN (attachment_id IS NOT NULL) THEN 'attachment'::text
    ELSE NULL::text
END) stored,
  model_id smallint not null,
  dims smallint not null,
  chunk_no integer default 0 not null,
  char_from integer not null,
  char_to integer not null,
  content_hash bytea not null,
  embedding public.vector(1536) storage plain not null,
  metadata jsonb default '{}'::jsonb not null,
  created_at timestamp with time zone default now() not null,
  constraint ai_embeddings_pkey PRIMARY KEY (org_id, id),
  constraint fk_ai_embeddings_attachment FOREIGN KEY (org_id, attachment_id) REFERENCES public.attachments(org_id, id) ON DELETE CASCADE,
  constraint fk_ai_embeddings_comment FOREIGN KEY (org_id, comment_id) REFERENCES public.comments(org_id, id) ON DELETE CASCADE,
  constraint fk_ai_embeddings_document FOREIGN KEY (org_id, document_id) REFERENCES public.documents(org_id, id) ON DELETE CASCADE,
  constraint fk_ai_embeddings_embedding_model FOREIGN KEY (model_id) REFERENCES public.embedding_models(id),
  constraint fk_ai_embeddings_task FOREIGN KEY (org_id, task_id) REFERENCES public.tasks(org_id, id) ON DELETE CASCADE,
  constraint ck_ai_embeddings_char_range CHECK (((char_from >= 0) AND (char_to >= char_from))),
  constraint ck_ai_embeddings_chunk_no CHECK ((chunk_no >= 0)),
  constraint ck_ai_embeddings_dims CHECK (((dims >= 1) AND (dims <= 1536))),
  constraint ck_ai_embeddings_source CHECK ((num_nonnulls(document_id, task_id, comment_id, attachment_id) = 1)),
  constraint ck_ai_embeddings_source_type CHECK (((source_type)::text = ANY ((ARRAY['document'::character varying, 'task'::character varying, 'comment'::character varying, 'attachment'::character varying])::text[])))
) partition by HASH (org_id);
alter table public.ai_embeddings owner to novax_owner;
comment on table public.ai_embeddings is 'Vectors of the text of documents, tasks, comments and attachments. Rows are replaced, never updated.';
grant delete, insert, select on table public.ai_embeddings to novax_definer;
grant delete, insert, select on table public.ai_embeddings to novax_worker;
grant insert, select on table public.ai_embeddings to ai_agent_role;
grant select on table public.ai_embeddings to novax_api;
grant select on table public.ai_embeddings to novax_backup;
grant select on table public.ai_embeddings to novax_readonly;
alter table public.ai_embeddings enable row level security;
alter table public.ai_embeddings force row level security;
comment on column public.ai_embeddings.source_id is 'The one of document_id, task_id, comment_id, attachment_id that is set.';
comment on column public.ai_embeddings.chunk_no is '0 is the mean of the source''s chunks and stands for the whole; 1 and up are the chunks.';
comment on column public.ai_embeddings.char_from is 'First character of the chunk in its source; the text itself is not repeated here, so that a row fits a page.';
comment on column public.ai_embeddings.char_to is 'One past the last character of the chunk.';
comment on column public.ai_embeddings.content_hash is 'SHA-256 of the text that was embedded.';
comment on column public.ai_embeddings.embedding is 'Padded with zeros to 1536. Stored plain: an exact scan of an organization is three times as fast as through TOAST.';
CREATE INDEX idx_ai_embeddings_model_id ON ONLY public.ai_embeddings USING btree (model_id);
CREATE INDEX idx_ai_embeddings_org_id_attachment_id ON ONLY public.ai_embeddings USING btree (org_id, attachment_id) WHERE (attachment_id IS NOT NULL);
CREATE INDEX idx_ai_embeddings_org_id_comment_id ON ONLY public.ai_embeddings USING btree (org_id, comment_id) WHERE (comment_id IS NOT NULL);
CREATE INDEX idx_ai_embeddings_org_id_document_id ON ONLY public.ai_embeddings USING btree (org_id, document_id) WHERE (document_id IS NOT NULL);
CREATE UNIQUE INDEX idx_ai_embeddings_org_id_source_id_model_id_chunk_no ON ONLY public.ai_embeddings USING btree (org_id, source_id, source_type, model_id, chunk_no);
CREATE INDEX idx_ai_embeddings_org_id_task_id ON ONLY public.ai_embeddings USING btree (org_id, task_id) WHERE (task_id IS NOT NULL);
CREATE INDEX idx_ai_embeddings_source_id_source_type ON ONLY public.ai_embeddings USING btree (source_id, source_type);
CREATE TRIGGER count_deleted AFTER DELETE ON public.ai_embeddings REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION private.count_embeddings();
CREATE TRIGGER count_inserted AFTER INSERT ON public.ai_embeddings REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION private.count_embeddings();
create policy ai_embeddings_delete_novax_worker on public.ai_embeddings as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_embeddings_insert_ai_agent_role on public.ai_embeddings as permissive for insert to ai_agent_role
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_embeddings_insert_novax_worker on public.ai_embeddings as permissive for insert to novax_worker
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_embeddings_select_ai_agent_role on public.ai_embeddings as permissive for select to ai_agent_role
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_embeddings_select_novax_api on public.ai_embeddings as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy ai_embeddings_select_novax_readonly on public.ai_embeddings as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_embeddings_select_novax_worker on public.ai_embeddings as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
-- partition public.ai_embeddings_p0 FOR VALUES WITH (modulus 8, remainder 0); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p0_embedding_model_1 ON public.ai_embeddings_p0 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p0_embedding_model_2 ON public.ai_embeddings_p0 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p1 FOR VALUES WITH (modulus 8, remainder 1); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p1_embedding_model_1 ON public.ai_embeddings_p1 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p1_embedding_model_2 ON public.ai_embeddings_p1 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p2 FOR VALUES WITH (modulus 8, remainder 2); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p2_embedding_model_1 ON public.ai_embeddings_p2 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p2_embedding_model_2 ON public.ai_embeddings_p2 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p3 FOR VALUES WITH (modulus 8, remainder 3); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p3_embedding_model_1 ON public.ai_embeddings_p3 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p3_embedding_model_2 ON public.ai_embeddings_p3 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p4 FOR VALUES WITH (modulus 8, remainder 4); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p4_embedding_model_1 ON public.ai_embeddings_p4 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p4_embedding_model_2 ON public.ai_embeddings_p4 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p5 FOR VALUES WITH (modulus 8, remainder 5); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p5_embedding_model_1 ON public.ai_embeddings_p5 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p5_embedding_model_2 ON public.ai_embeddings_p5 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p6 FOR VALUES WITH (modulus 8, remainder 6); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p6_embedding_model_1 ON public.ai_embeddings_p6 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p6_embedding_model_2 ON public.ai_embeddings_p6 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)
-- partition public.ai_embeddings_p7 FOR VALUES WITH (modulus 8, remainder 7); owner novax_owner; row security forced; grant select to novax_backup; CREATE INDEX idx_ai_embeddings_p7_embedding_model_1 ON public.ai_embeddings_p7 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 1); CREATE INDEX idx_ai_embeddings_p7_embedding_model_2 ON public.ai_embeddings_p7 USING hnsw (((embedding)::public.halfvec(1536)) public.halfvec_cosine_ops) WITH (m='16', ef_construction='64') WHERE (model_id = 2)

create table public.ai_proposals (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  ai_run_id uuid,
  document_id uuid,
  task_id uuid,
  project_id uuid,
  kind character varying not null,
  proposal jsonb not null,
  rationale text,
  target_version integer,
  status character varying default 'pending'::character varying not null,
  reviewer_id uuid,
  reviewed_at timestamp with time zone,
  expires_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint ai_proposals_pkey PRIMARY KEY (id),
  constraint fk_ai_proposals_ai_run FOREIGN KEY (org_id, ai_run_id) REFERENCES public.ai_runs(org_id, id) ON DELETE SET NULL (ai_run_id),
  constraint fk_ai_proposals_document FOREIGN KEY (org_id, document_id) REFERENCES public.documents(org_id, id) ON DELETE CASCADE,
  constraint fk_ai_proposals_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint fk_ai_proposals_project FOREIGN KEY (org_id, project_id) REFERENCES public.projects(org_id, id) ON DELETE CASCADE,
  constraint fk_ai_proposals_reviewer FOREIGN KEY (reviewer_id) REFERENCES public.users(id),
  constraint fk_ai_proposals_task FOREIGN KEY (org_id, task_id) REFERENCES public.tasks(org_id, id) ON DELETE CASCADE,
  constraint ck_ai_proposals_kind CHECK (((kind)::text = ANY ((ARRAY['update'::character varying, 'create_task'::character varying, 'create_comment'::character varying, 'classify'::character varying])::text[]))),
  constraint ck_ai_proposals_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'accepted'::character varying, 'rejected'::character varying, 'expired'::character varying])::text[]))),
  constraint ck_ai_proposals_target CHECK ((num_nonnulls(document_id, task_id, project_id) = 1))
);
alter table public.ai_proposals owner to novax_owner;
comment on table public.ai_proposals is 'A change the AI suggests. Nothing happens until a person accepts it.';
grant delete, insert, select on table public.ai_proposals to novax_worker;
grant insert, select on table public.ai_proposals to novax_api;
grant select on table public.ai_proposals to novax_backup;
grant select on table public.ai_proposals to novax_readonly;
alter table public.ai_proposals enable row level security;
alter table public.ai_proposals force row level security;
comment on column public.ai_proposals.target_version is 'Version of the target that the proposal was made for.';
grant update (status) on public.ai_proposals to novax_api;
grant update (status) on public.ai_proposals to novax_worker;
grant update (reviewer_id) on public.ai_proposals to novax_api;
grant update (reviewed_at) on public.ai_proposals to novax_api;
CREATE INDEX idx_ai_proposals_org_id_ai_run_id ON public.ai_proposals USING btree (org_id, ai_run_id) WHERE (ai_run_id IS NOT NULL);
CREATE INDEX idx_ai_proposals_org_id_document_id ON public.ai_proposals USING btree (org_id, document_id) WHERE (document_id IS NOT NULL);
CREATE INDEX idx_ai_proposals_org_id_project_id ON public.ai_proposals USING btree (org_id, project_id) WHERE (project_id IS NOT NULL);
CREATE INDEX idx_ai_proposals_org_id_status_created_at ON public.ai_proposals USING btree (org_id, status, created_at);
CREATE INDEX idx_ai_proposals_org_id_task_id ON public.ai_proposals USING btree (org_id, task_id) WHERE (task_id IS NOT NULL);
CREATE INDEX idx_ai_proposals_reviewer_id ON public.ai_proposals USING btree (reviewer_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.ai_proposals FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy ai_proposals_delete_novax_worker on public.ai_proposals as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_proposals_insert_novax_api on public.ai_proposals as permissive for insert to novax_api
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy ai_proposals_insert_novax_worker on public.ai_proposals as permissive for insert to novax_worker
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_proposals_select_novax_api on public.ai_proposals as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy ai_proposals_select_novax_readonly on public.ai_proposals as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_proposals_select_novax_worker on public.ai_proposals as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_proposals_update_novax_api on public.ai_proposals as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy ai_proposals_update_novax_worker on public.ai_proposals as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.ai_runs (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  user_id uuid,
  kind character varying not null,
  model character varying not null,
  status character varying default 'running'::character varying not null,
  input_tokens integer default 0 not null,
  output_tokens integer default 0 not null,
  tool_calls integer default 0 not null,
  cost_micros bigint default 0 not null,
  request_id character varying,
  error text,
  metadata jsonb default '{}'::jsonb not null,
  started_at timestamp with time zone default now() not null,
  finished_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint ai_runs_pkey PRIMARY KEY (id),
  constraint fk_ai_runs_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint fk_ai_runs_user FOREIGN KEY (user_id) REFERENCES public.users(id),
  constraint ck_ai_runs_kind CHECK (((kind)::text = ANY ((ARRAY['ask'::character varying, 'query'::character varying, 'embed'::character varying, 'summarize'::character varying, 'classify'::character varying])::text[]))),
  constraint ck_ai_runs_status CHECK (((status)::text = ANY ((ARRAY['running'::character varying, 'succeeded'::character varying, 'failed'::character varying, 'stopped'::character varying])::text[]))),
  constraint ck_ai_runs_usage CHECK (((input_tokens >= 0) AND (output_tokens >= 0) AND (tool_calls >= 0) AND (cost_micros >= 0)))
);
alter table public.ai_runs owner to novax_owner;
comment on table public.ai_runs is 'One use of a model: what it was for, how it ended and what it consumed.';
grant delete, insert, select, update on table public.ai_runs to novax_worker;
grant insert, select on table public.ai_runs to novax_api;
grant select on table public.ai_runs to novax_backup;
grant select on table public.ai_runs to novax_readonly;
alter table public.ai_runs enable row level security;
alter table public.ai_runs force row level security;
comment on column public.ai_runs.user_id is 'The person who asked; null when the system did.';
grant update (status) on public.ai_runs to novax_api;
grant update (input_tokens) on public.ai_runs to novax_api;
grant update (output_tokens) on public.ai_runs to novax_api;
grant update (tool_calls) on public.ai_runs to novax_api;
comment on column public.ai_runs.cost_micros is 'Millionths of the billing currency.';
grant update (cost_micros) on public.ai_runs to novax_api;
grant update (error) on public.ai_runs to novax_api;
grant update (metadata) on public.ai_runs to novax_api;
grant update (finished_at) on public.ai_runs to novax_api;
CREATE INDEX idx_ai_runs_org_id_created_at ON public.ai_runs USING btree (org_id, created_at);
CREATE UNIQUE INDEX idx_ai_runs_org_id_id ON public.ai_runs USING btree (org_id, id);
CREATE INDEX idx_ai_runs_user_id ON public.ai_runs USING btree (user_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.ai_runs FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy ai_runs_delete_novax_worker on public.ai_runs as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_runs_insert_novax_api on public.ai_runs as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))) AND (user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy ai_runs_insert_novax_worker on public.ai_runs as permissive for insert to novax_worker
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_runs_select_novax_api on public.ai_runs as permissive for select to novax_api
  using (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) OR ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))) AND (user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))));
create policy ai_runs_select_novax_readonly on public.ai_runs as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_runs_select_novax_worker on public.ai_runs as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy ai_runs_update_novax_api on public.ai_runs as permissive for update to novax_api
  using (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))) AND (user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))))
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))) AND (user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy ai_runs_update_novax_worker on public.ai_runs as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.api_keys (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  creator_id uuid not null,
  name character varying not null,
  prefix character varying not null,
  key_hash bytea not null,
  scopes character varying[] default '{}'::character varying[] not null,
  status character varying default 'active'::character varying not null,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint api_keys_pkey PRIMARY KEY (id),
  constraint fk_api_keys_creator FOREIGN KEY (creator_id) REFERENCES public.users(id),
  constraint fk_api_keys_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint ck_api_keys_key_hash CHECK ((octet_length(key_hash) = 32)),
  constraint ck_api_keys_name CHECK (((char_length((name)::text) >= 1) AND (char_length((name)::text) <= 100))),
  constraint ck_api_keys_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'revoked'::character varying])::text[])))
);
alter table public.api_keys owner to novax_owner;
comment on table public.api_keys is 'A key acts as its creator, inside its own organization, within its scopes.';
grant insert on table public.api_keys to novax_api;
grant select on table public.api_keys to novax_backup;
grant select, update on table public.api_keys to novax_definer;
alter table public.api_keys enable row level security;
alter table public.api_keys force row level security;
grant select (id) on public.api_keys to novax_api;
grant select (id) on public.api_keys to novax_readonly;
grant select (org_id) on public.api_keys to novax_api;
grant select (org_id) on public.api_keys to novax_readonly;
grant select (creator_id) on public.api_keys to novax_api;
grant select (creator_id) on public.api_keys to novax_readonly;
grant select (name) on public.api_keys to novax_readonly;
grant select (name), update (name) on public.api_keys to novax_api;
comment on column public.api_keys.prefix is 'First characters of the key, so that a person can tell their keys apart.';
grant select (prefix) on public.api_keys to novax_api;
grant select (prefix) on public.api_keys to novax_readonly;
comment on column public.api_keys.key_hash is 'SHA-256 of the key; found through private.api_key_by_hash.';
grant select (scopes) on public.api_keys to novax_api;
grant select (scopes) on public.api_keys to novax_readonly;
grant select (status) on public.api_keys to novax_readonly;
grant select (status), update (status) on public.api_keys to novax_api;
grant select (expires_at) on public.api_keys to novax_api;
grant select (expires_at) on public.api_keys to novax_readonly;
grant select (last_used_at) on public.api_keys to novax_api;
grant select (last_used_at) on public.api_keys to novax_readonly;
grant select (revoked_at) on public.api_keys to novax_readonly;
grant select (revoked_at), update (revoked_at) on public.api_keys to novax_api;
grant select (created_at) on public.api_keys to novax_api;
grant select (created_at) on public.api_keys to novax_readonly;
grant select (updated_at) on public.api_keys to novax_api;
grant select (updated_at) on public.api_keys to novax_readonly;
CREATE INDEX idx_api_keys_creator_id ON public.api_keys USING btree (creator_id);
CREATE UNIQUE INDEX idx_api_keys_key_hash ON public.api_keys USING btree (key_hash);
CREATE INDEX idx_api_keys_org_id_created_at ON public.api_keys USING btree (org_id, created_at);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.api_keys FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy api_keys_insert_novax_api on public.api_keys as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND (creator_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy api_keys_select_novax_api on public.api_keys as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy api_keys_select_novax_readonly on public.api_keys as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy api_keys_update_novax_api on public.api_keys as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));

create table public.attachments (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  document_id uuid,
  task_id uuid,
  comment_id uuid,
  uploader_id uuid not null,
  file_name character varying not null,
  media_type character varying not null,
  size_bytes bigint not null,
  sha256 bytea,
  storage_key character varying not null,
  extracted_text text,
  status character varying default 'pending'::character varying not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint attachments_pkey PRIMARY KEY (id),
  constraint fk_attachments_comment FOREIGN KEY (org_id, comment_id) REFERENCES public.comments(org_id, id) ON DELETE CASCADE,
  constraint fk_attachments_document FOREIGN KEY (org_id, document_id) REFERENCES public.documents(org_id, id) ON DELETE CASCADE,
  constraint fk_attachments_task FOREIGN KEY (org_id, task_id) REFERENCES public.tasks(org_id, id) ON DELETE CASCADE,
  constraint fk_attachments_uploader FOREIGN KEY (uploader_id) REFERENCES public.users(id),
  constraint ck_attachments_file_name CHECK (((char_length((file_name)::text) >= 1) AND (char_length((file_name)::text) <= 255))),
  constraint ck_attachments_sha256 CHECK ((octet_length(sha256) = 32)),
  constraint ck_attachments_size_bytes CHECK ((size_bytes >= 0)),
  constraint ck_attachments_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'stored'::character varying, 'rejected'::character varying, 'deleted'::character varying])::text[]))),
  constraint ck_attachments_target CHECK ((num_nonnulls(document_id, task_id, comment_id) = 1))
);
alter table public.attachments owner to novax_owner;
comment on table public.attachments is 'A file in object storage that belongs to a document, a task or a comment.';
grant delete, select on table public.attachments to novax_worker;
grant insert, select on table public.attachments to novax_api;
grant select on table public.attachments to novax_backup;
grant select on table public.attachments to novax_definer;
grant select on table public.attachments to novax_readonly;
alter table public.attachments enable row level security;
alter table public.attachments force row level security;
grant update (size_bytes) on public.attachments to novax_api;
grant update (size_bytes) on public.attachments to novax_worker;
grant update (sha256) on public.attachments to novax_api;
grant update (sha256) on public.attachments to novax_worker;
comment on column public.attachments.storage_key is 'Object name in the bucket; begins with the organization''s id.';
comment on column public.attachments.extracted_text is 'Text found in the file, for search and embedding; null when none was looked for.';
grant update (extracted_text) on public.attachments to novax_worker;
grant update (status) on public.attachments to novax_api;
grant update (status) on public.attachments to novax_worker;
CREATE INDEX idx_attachments_org_id ON public.attachments USING btree (org_id) WHERE ((status)::text = 'deleted'::text);
CREATE INDEX idx_attachments_org_id_comment_id ON public.attachments USING btree (org_id, comment_id) WHERE (comment_id IS NOT NULL);
CREATE INDEX idx_attachments_org_id_document_id ON public.attachments USING btree (org_id, document_id) WHERE (document_id IS NOT NULL);
CREATE UNIQUE INDEX idx_attachments_org_id_id ON public.attachments USING btree (org_id, id);
CREATE INDEX idx_attachments_org_id_task_id ON public.attachments USING btree (org_id, task_id) WHERE (task_id IS NOT NULL);
CREATE UNIQUE INDEX idx_attachments_storage_key ON public.attachments USING btree (storage_key);
CREATE INDEX idx_attachments_uploader_id ON public.attachments USING btree (uploader_id);
CREATE TRIGGER owe_blob_removal AFTER DELETE ON public.attachments FOR EACH ROW EXECUTE FUNCTION private.owe_blob_removal();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.attachments FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy attachments_delete_novax_worker on public.attachments as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy attachments_insert_novax_api on public.attachments as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))) AND (uploader_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy attachments_select_novax_api on public.attachments as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy attachments_select_novax_readonly on public.attachments as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy attachments_select_novax_worker on public.attachments as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy attachments_update_novax_api on public.attachments as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy attachments_update_novax_worker on public.attachments as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.audit_horizon (
  id smallint default 1 not null,
  epoch integer default 1 not null,
  next_xact xid8 default '0'::xid8 not null,
  prior_epoch integer,
  prior_xact xid8,
  anchored_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint audit_horizon_pkey PRIMARY KEY (id),
  constraint ck_audit_horizon_prior CHECK (((prior_epoch IS NULL) = (prior_xact IS NULL))),
  constraint ck_audit_horizon_single CHECK ((id = 1))
);
alter table public.audit_horizon owner to novax_owner;
comment on table public.audit_horizon is 'How far the trail is sealed: one row, which only the functions of the seals read and write.';
grant select on table public.audit_horizon to novax_backup;
grant select, update on table public.audit_horizon to novax_definer;
alter table public.audit_horizon enable row level security;
alter table public.audit_horizon force row level security;
comment on column public.audit_horizon.next_xact is 'Every row of this epoch whose transaction is below is under a seal.';
comment on column public.audit_horizon.prior_epoch is 'After a restore: the epoch whose rows from prior_xact on are still to be sealed; null once they are.';
comment on column public.audit_horizon.anchored_at is 'When the heads of all chains were last written to the store outside the database.';
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON public.audit_horizon FOR EACH STATEMENT EXECUTE FUNCTION private.refuse_change();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.audit_horizon FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();

create table public.audit_log (
  id bigint generated always as identity not null,
  org_id uuid,
  actor_type character varying not null,
  actor_id uuid,
  action character varying not null,
  entity_type character varying not null,
  entity_id uuid not null,
  old_value jsonb,
  new_value jsonb,
  ip_address inet,
  request_id character varying,
  created_at timestamp with time zone default now() not null,
  api_key_id uuid,
  xact_id xid8 default pg_current_xact_id() not null,
  epoch integer default 1 not null,
  sealed jsonb,
  constraint audit_log_pkey PRIMARY KEY (id, created_at),
  constraint ck_audit_log_action CHECK (((action)::text = ANY ((ARRAY['create'::character varying, 'update'::character varying, 'delete'::character varying, 'access'::character varying])::text[]))),
  constraint ck_audit_log_actor CHECK (((actor_id IS NOT NULL) OR ((actor_type)::text = ANY ((ARRAY['ai'::character varying, 'system'::character varying])::text[])))),
  constraint ck_audit_log_actor_type CHECK (((actor_type)::text = ANY ((ARRAY['user'::character varying, 'api_key'::character varying, 'ai'::character varying, 'system'::character varying])::text[]))),
  constraint ck_audit_log_entity_type CHECK (((char_length((entity_type)::text) >= 1) AND (char_length((entity_type)::text) <= 100)))
) partition by RANGE (created_at);
alter table public.audit_log owner to novax_owner;
comment on table public.audit_log is 'Who did what to what, and when. Rows are never changed; they leave only by detaching a month that was archived and verified.';
grant insert, select on table public.audit_log to novax_definer;
grant select on table public.audit_log to novax_api;
grant select on table public.audit_log to novax_backup;
grant select on table public.audit_log to novax_readonly;
grant select on table public.audit_log to novax_worker;
alter table public.audit_log enable row level security;
alter table public.audit_log force row level security;
comment on column public.audit_log.org_id is 'Null for what concerns a person and no organization. No foreign key: the record outlives the organization.';
grant insert (org_id) on public.audit_log to novax_api;
grant insert (org_id) on public.audit_log to novax_worker;
grant insert (actor_type) on public.audit_log to novax_api;
grant insert (actor_type) on public.audit_log to novax_worker;
comment on column public.audit_log.actor_id is 'The person, also behind an API key or an AI that acts for them; null where nobody is.';
grant insert (actor_id) on public.audit_log to novax_api;
grant insert (actor_id) on public.audit_log to novax_worker;
grant insert (action) on public.audit_log to novax_api;
grant insert (action) on public.audit_log to novax_worker;
comment on column public.audit_log.entity_type is 'Name of the table.';
grant insert (entity_type) on public.audit_log to novax_api;
grant insert (entity_type) on public.audit_log to novax_worker;
grant insert (entity_id) on public.audit_log to novax_api;
grant insert (entity_id) on public.audit_log to novax_worker;
comment on column public.audit_log.old_value is 'Changed fields before; secrets left out, personal fields sealed with the person''s key.';
grant insert (old_value) on public.audit_log to novax_api;
grant insert (old_value) on public.audit_log to novax_worker;
comment on column public.audit_log.new_value is 'Changed fields after; the same rules.';
grant insert (new_value) on public.audit_log to novax_api;
grant insert (new_value) on public.audit_log to novax_worker;
comment on column public.audit_log.ip_address is 'The caller''s network, 24 bits of an IPv4 address and 48 of an IPv6 one.';
grant insert (ip_address) on public.audit_log to novax_api;
grant insert (ip_address) on public.audit_log to novax_worker;
grant insert (request_id) on public.audit_log to novax_api;
grant insert (request_id) on public.audit_log to novax_worker;
comment on column public.audit_log.api_key_id is 'The API key that was used, where one was. No foreign key: the record outlives the key.';
grant insert (api_key_id) on public.audit_log to novax_api;
grant insert (api_key_id) on public.audit_log to novax_worker;
comment on column public.audit_log.xact_id is 'Transaction that wrote the row; nobody but the default may say it.';
comment on column public.audit_log.epoch is 'Counts the clusters that the trail has lived in: transaction numbers begin anew in each, a restore raises the default.';
comment on column public.audit_log.sealed is 'Values sealed with the actor''s key: ip, the full address. Null where there is none, or nobody to seal it for.';
grant insert (sealed) on public.audit_log to novax_api;
grant insert (sealed) on public.audit_log to novax_worker;
CREATE INDEX idx_audit_log_actor_id_created_at ON ONLY public.audit_log USING btree (actor_id, created_at);
CREATE INDEX idx_audit_log_created_at ON ONLY public.audit_log USING brin (created_at);
CREATE INDEX idx_audit_log_entity_type_entity_id_created_at ON ONLY public.audit_log USING btree (entity_type, entity_id, created_at);
CREATE INDEX idx_audit_log_epoch_xact_id ON ONLY public.audit_log USING btree (epoch, xact_id);
CREATE INDEX idx_audit_log_org_id_created_at_id ON ONLY public.audit_log USING btree (org_id, created_at, id);
CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION private.refuse_change();
CREATE TRIGGER refuse_row_change BEFORE DELETE OR UPDATE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION private.refuse_change();
create policy audit_log_insert_novax_api on public.audit_log as permissive for insert to novax_api
  with check (((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")) AND ((actor_type)::text = ANY ((ARRAY['user'::character varying, 'api_key'::character varying, 'ai'::character varying])::text[])) AND (actor_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy audit_log_insert_novax_worker on public.audit_log as permissive for insert to novax_worker
  with check (((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")) AND ((actor_type)::text = ANY ((ARRAY['ai'::character varying, 'system'::character varying])::text[]))));
create policy audit_log_select_novax_api on public.audit_log as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy audit_log_select_novax_readonly on public.audit_log as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy audit_log_select_novax_worker on public.audit_log as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
-- partition public.audit_log_default DEFAULT; owner novax_owner; row security forced; grant select to novax_backup; CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log_default FOR EACH STATEMENT EXECUTE FUNCTION private.refuse_change()
-- monthly partitions public.audit_log_YYYY_MM, at least 4; owner novax_owner; row security forced; grant select to novax_backup; CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log_YYYY_MM FOR EACH STATEMENT EXECUTE FUNCTION private.refuse_change()

create table public.audit_seals (
  id uuid default gen_random_uuid() not null,
  org_id uuid,
  chain character varying generated always as (COALESCE((org_id)::text, 'system'::text)) stored,
  seal_no bigint not null,
  first_audit_id bigint not null,
  last_audit_id bigint not null,
  row_count integer not null,
  previous_hash bytea not null,
  hash bytea not null,
  signature bytea not null,
  key_id character varying not null,
  anchored_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  epoch integer not null,
  from_xact xid8 not null,
  to_xact xid8 not null,
  row_ids bigint[] not null,
  row_hashes bytea not null,
  constraint audit_seals_pkey PRIMARY KEY (id),
  constraint ck_audit_seals_hash CHECK (((octet_length(previous_hash) = 32) AND (octet_length(hash) = 32))),
  constraint ck_audit_seals_range CHECK (((last_audit_id >= first_audit_id) AND (row_count > 0) AND (seal_no > 0))),
  constraint ck_audit_seals_rows CHECK (((cardinality(row_ids) = row_count) AND (octet_length(row_hashes) = (32 * row_count)) AND (to_xact > from_xact)))
);
alter table public.audit_seals owner to novax_owner;
comment on table public.audit_seals is 'Batches of audit rows sealed into one hash chain per organization (and one for rows without), heads signed and anchored outside the database.';
grant insert, select on table public.audit_seals to novax_definer;
grant select on table public.audit_seals to novax_api;
grant select on table public.audit_seals to novax_backup;
grant select on table public.audit_seals to novax_readonly;
grant select on table public.audit_seals to novax_worker;
alter table public.audit_seals enable row level security;
alter table public.audit_seals force row level security;
comment on column public.audit_seals.hash is 'SHA-256 over previous_hash, the seal''s own fields, and ids and hashes of its rows.';
comment on column public.audit_seals.signature is 'Ed25519 over the hash, by the key named in key_id.';
comment on column public.audit_seals.anchored_at is 'When the head was written to the store outside the database.';
grant update (anchored_at) on public.audit_seals to novax_definer;
comment on column public.audit_seals.epoch is 'Of the rows; from_xact up to but not including to_xact are transactions of that epoch.';
comment on column public.audit_seals.row_ids is 'Ids of the sealed rows, ascending.';
comment on column public.audit_seals.row_hashes is 'Their hashes by private.audit_row_hash, 32 bytes each, in the same order.';
CREATE INDEX idx_audit_seals_chain_epoch_to_xact ON public.audit_seals USING btree (chain, epoch, to_xact);
CREATE UNIQUE INDEX idx_audit_seals_chain_seal_no ON public.audit_seals USING btree (chain, seal_no);
CREATE INDEX idx_audit_seals_org_id_created_at ON public.audit_seals USING btree (org_id, created_at);
CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON public.audit_seals FOR EACH STATEMENT EXECUTE FUNCTION private.refuse_change();
CREATE TRIGGER refuse_update BEFORE UPDATE OF id, org_id, seal_no, first_audit_id, last_audit_id, row_count, previous_hash, hash, signature, key_id, created_at, epoch, from_xact, to_xact, row_ids, row_hashes ON public.audit_seals FOR EACH STATEMENT EXECUTE FUNCTION private.refuse_change();
create policy audit_seals_select_novax_api on public.audit_seals as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy audit_seals_select_novax_readonly on public.audit_seals as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy audit_seals_select_novax_worker on public.audit_seals as permissive for select to novax_worker
  using ((NOT (org_id IS DISTINCT FROM ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"))));

create table public.background_migrations (
  id uuid default gen_random_uuid() not null,
  name character varying not null,
  status character varying default 'pending'::character varying not null,
  progress jsonb default '{}'::jsonb not null,
  batch_size integer default 1000 not null,
  rows_done bigint default 0 not null,
  rows_total bigint,
  attempts integer default 0 not null,
  error text,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint background_migrations_pkey PRIMARY KEY (id),
  constraint ck_background_migrations_batch_size CHECK (((batch_size >= 1) AND (batch_size <= 100000))),
  constraint ck_background_migrations_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'running'::character varying, 'paused'::character varying, 'succeeded'::character varying, 'failed'::character varying])::text[])))
);
alter table public.background_migrations owner to novax_owner;
comment on table public.background_migrations is 'Backfills too long for a migration, done in batches by the worker. Not a tenant table.';
grant select on table public.background_migrations to novax_backup;
grant select on table public.background_migrations to novax_readonly;
grant select on table public.background_migrations to novax_worker;
alter table public.background_migrations enable row level security;
alter table public.background_migrations force row level security;
grant update (status) on public.background_migrations to novax_worker;
comment on column public.background_migrations.progress is 'Where the next batch begins.';
grant update (progress) on public.background_migrations to novax_worker;
grant update (rows_done) on public.background_migrations to novax_worker;
grant update (rows_total) on public.background_migrations to novax_worker;
grant update (attempts) on public.background_migrations to novax_worker;
grant update (error) on public.background_migrations to novax_worker;
grant update (started_at) on public.background_migrations to novax_worker;
grant update (finished_at) on public.background_migrations to novax_worker;
CREATE UNIQUE INDEX idx_background_migrations_name ON public.background_migrations USING btree (name);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.background_migrations FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy background_migrations_insert_novax_owner on public.background_migrations as permissive for insert to novax_owner
  with check (true);
create policy background_migrations_select_novax_readonly on public.background_migrations as permissive for select to novax_readonly
  using (true);
create policy background_migrations_select_novax_worker on public.background_migrations as permissive for select to novax_worker
  using (true);
create policy background_migrations_update_novax_worker on public.background_migrations as permissive for update to novax_worker
  using (true)
  with check (true);

create table public.backup_runs (
  id uuid default gen_random_uuid() not null,
  kind character varying not null,
  status character varying default 'running'::character varying not null,
  location character varying,
  size_bytes bigint,
  sha256 bytea,
  manifest jsonb default '{}'::jsonb not null,
  error text,
  started_at timestamp with time zone default now() not null,
  finished_at timestamp with time zone,
  verified_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint backup_runs_pkey PRIMARY KEY (id),
  constraint ck_backup_runs_kind CHECK (((kind)::text = ANY ((ARRAY['logical'::character varying, 'base'::character varying, 'wal'::character varying, 'drill'::character varying])::text[]))),
  constraint ck_backup_runs_status CHECK (((status)::text = ANY ((ARRAY['running'::character varying, 'succeeded'::character varying, 'failed'::character varying, 'pruned'::character varying])::text[])))
);
alter table public.backup_runs owner to novax_owner;
comment on table public.backup_runs is 'Backups and restore drills, with their outcome. Not a tenant table.';
grant delete, insert, select, update on table public.backup_runs to novax_worker;
grant select on table public.backup_runs to novax_backup;
grant select on table public.backup_runs to novax_readonly;
alter table public.backup_runs enable row level security;
alter table public.backup_runs force row level security;
CREATE INDEX idx_backup_runs_kind_status_started_at ON public.backup_runs USING btree (kind, status, started_at);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.backup_runs FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy backup_runs_delete_novax_worker on public.backup_runs as permissive for delete to novax_worker
  using (true);
create policy backup_runs_insert_novax_worker on public.backup_runs as permissive for insert to novax_worker
  with check (true);
create policy backup_runs_select_novax_readonly on public.backup_runs as permissive for select to novax_readonly
  using (true);
create policy backup_runs_select_novax_worker on public.backup_runs as permissive for select to novax_worker
  using (true);
create policy backup_runs_update_novax_worker on public.backup_runs as permissive for update to novax_worker
  using (true)
  with check (true);

create table public.blob_removals (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  storage_key character varying not null,
  created_at timestamp with time zone default now() not null,
  constraint blob_removals_pkey PRIMARY KEY (id),
  constraint ck_blob_removals_storage_key CHECK (((char_length((storage_key)::text) >= 1) AND (char_length((storage_key)::text) <= 1024)))
);
alter table public.blob_removals owner to novax_owner;
comment on table public.blob_removals is 'Stored files whose attachment is gone: removed from the store, and then from here. org_id is no foreign key: the file outlives the organization.';
grant delete, insert, select on table public.blob_removals to novax_definer;
grant select on table public.blob_removals to novax_backup;
alter table public.blob_removals enable row level security;
alter table public.blob_removals force row level security;
CREATE INDEX idx_blob_removals_created_at ON public.blob_removals USING btree (created_at);
CREATE INDEX idx_blob_removals_org_id ON public.blob_removals USING btree (org_id);

create table public.comments (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  document_id uuid,
  task_id uuid,
  parent_id uuid,
  author_id uuid not null,
  body text not null,
  status character varying default 'active'::character varying not null,
  resolved_at timestamp with time zone,
  resolver_id uuid,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint comments_pkey PRIMARY KEY (id),
  constraint fk_comments_author FOREIGN KEY (author_id) REFERENCES public.users(id),
  constraint fk_comments_document FOREIGN KEY (org_id, document_id) REFERENCES public.documents(org_id, id) ON DELETE CASCADE,
  constraint fk_comments_parent FOREIGN KEY (org_id, parent_id) REFERENCES public.comments(org_id, id) ON DELETE CASCADE,
  constraint fk_comments_resolver FOREIGN KEY (resolver_id) REFERENCES public.users(id),
  constraint fk_comments_task FOREIGN KEY (org_id, task_id) REFERENCES public.tasks(org_id, id) ON DELETE CASCADE,
  constraint ck_comments_body CHECK (((char_length(body) >= 1) AND (char_length(body) <= 20000))),
  constraint ck_comments_resolved CHECK (((resolved_at IS NULL) = (resolver_id IS NULL))),
  constraint ck_comments_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'deleted'::character varying])::text[]))),
  constraint ck_comments_target CHECK ((num_nonnulls(document_id, task_id) = 1))
);
alter table public.comments owner to novax_owner;
comment on table public.comments is 'A remark on a document or a task; replies name their parent.';
grant delete, insert, select on table public.comments to novax_api;
grant delete, select on table public.comments to novax_worker;
grant select on table public.comments to novax_backup;
grant select on table public.comments to novax_definer;
grant select on table public.comments to novax_readonly;
alter table public.comments enable row level security;
alter table public.comments force row level security;
grant update (body) on public.comments to novax_api;
grant update (status) on public.comments to novax_api;
grant update (resolved_at) on public.comments to novax_api;
grant update (resolver_id) on public.comments to novax_api;
grant update (version) on public.comments to novax_api;
CREATE INDEX idx_comments_author_id ON public.comments USING btree (author_id);
CREATE INDEX idx_comments_org_id ON public.comments USING btree (org_id) WHERE ((status)::text = 'deleted'::text);
CREATE INDEX idx_comments_org_id_document_id_created_at ON public.comments USING btree (org_id, document_id, created_at) WHERE (document_id IS NOT NULL);
CREATE UNIQUE INDEX idx_comments_org_id_id ON public.comments USING btree (org_id, id);
CREATE INDEX idx_comments_org_id_parent_id ON public.comments USING btree (org_id, parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX idx_comments_org_id_task_id_created_at ON public.comments USING btree (org_id, task_id, created_at) WHERE (task_id IS NOT NULL);
CREATE INDEX idx_comments_resolver_id ON public.comments USING btree (resolver_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.comments FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy comments_delete_novax_api on public.comments as permissive for delete to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy comments_delete_novax_worker on public.comments as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy comments_insert_novax_api on public.comments as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))) AND (author_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy comments_select_novax_api on public.comments as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy comments_select_novax_readonly on public.comments as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy comments_select_novax_worker on public.comments as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy comments_update_novax_api on public.comments as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));

create table public.dead_letters (
  id uuid default gen_random_uuid() not null,
  org_id uuid,
  source character varying not null,
  name character varying not null,
  dedupe_key character varying not null,
  event_id uuid,
  payload jsonb not null,
  headers jsonb default '{}'::jsonb not null,
  error text not null,
  attempts integer default 0 not null,
  status character varying default 'pending'::character varying not null,
  resolved_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint dead_letters_pkey PRIMARY KEY (id),
  constraint ck_dead_letters_source CHECK (((source)::text = ANY ((ARRAY['outbox'::character varying, 'consumer'::character varying, 'job'::character varying])::text[]))),
  constraint ck_dead_letters_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'replayed'::character varying, 'dropped'::character varying])::text[])))
);
alter table public.dead_letters owner to novax_owner;
comment on table public.dead_letters is 'Work that failed for good: an event that cannot be published, a message or a job that used up its attempts. Waits for a person to replay or drop it.';
grant delete, insert, select, update on table public.dead_letters to novax_worker;
grant select on table public.dead_letters to novax_backup;
grant select on table public.dead_letters to novax_definer;
alter table public.dead_letters enable row level security;
alter table public.dead_letters force row level security;
comment on column public.dead_letters.name is 'Consumer or job name.';
comment on column public.dead_letters.dedupe_key is 'What makes the work one: the job id or the event id.';
CREATE INDEX idx_dead_letters_event_id ON public.dead_letters USING btree (event_id);
CREATE UNIQUE INDEX idx_dead_letters_source_name_dedupe_key ON public.dead_letters USING btree (source, name, dedupe_key) WHERE ((status)::text = 'pending'::text);
CREATE INDEX idx_dead_letters_status_created_at ON public.dead_letters USING btree (status, created_at);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.dead_letters FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy dead_letters_delete_novax_worker on public.dead_letters as permissive for delete to novax_worker
  using (true);
create policy dead_letters_insert_novax_worker on public.dead_letters as permissive for insert to novax_worker
  with check (true);
create policy dead_letters_select_novax_worker on public.dead_letters as permissive for select to novax_worker
  using (true);
create policy dead_letters_update_novax_worker on public.dead_letters as permissive for update to novax_worker
  using (true)
  with check (true);

create table public.document_versions (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  document_id uuid not null,
  version integer not null,
  author_id uuid not null,
  title character varying not null,
  content text not null,
  content_format character varying not null,
  status character varying not null,
  written_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  constraint document_versions_pkey PRIMARY KEY (id),
  constraint fk_document_versions_author FOREIGN KEY (author_id) REFERENCES public.users(id),
  constraint fk_document_versions_document FOREIGN KEY (org_id, document_id) REFERENCES public.documents(org_id, id) ON DELETE CASCADE,
  constraint ck_document_versions_content_format CHECK (((content_format)::text = ANY ((ARRAY['markdown'::character varying, 'plain'::character varying, 'rich_text'::character varying])::text[]))),
  constraint ck_document_versions_status CHECK (((status)::text = ANY ((ARRAY['draft'::character varying, 'active'::character varying, 'archived'::character varying, 'deleted'::character varying])::text[])))
);
alter table public.document_versions owner to novax_owner;
comment on table public.document_versions is 'What a document was before each change of its version, kept by trigger. The current version is in documents alone.';
grant delete, select on table public.document_versions to novax_worker;
grant insert, select on table public.document_versions to novax_definer;
grant select on table public.document_versions to novax_api;
grant select on table public.document_versions to novax_backup;
grant select on table public.document_versions to novax_readonly;
alter table public.document_versions enable row level security;
alter table public.document_versions force row level security;
comment on column public.document_versions.author_id is 'Who wrote this version.';
comment on column public.document_versions.written_at is 'When this version was saved; created_at is when it was replaced.';
CREATE INDEX idx_document_versions_author_id ON public.document_versions USING btree (author_id);
CREATE UNIQUE INDEX idx_document_versions_document_id_version ON public.document_versions USING btree (document_id, version);
CREATE INDEX idx_document_versions_org_id_created_at ON public.document_versions USING btree (org_id, created_at);
CREATE INDEX idx_document_versions_org_id_document_id ON public.document_versions USING btree (org_id, document_id);
create policy document_versions_delete_novax_worker on public.document_versions as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy document_versions_select_novax_api on public.document_versions as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy document_versions_select_novax_readonly on public.document_versions as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy document_versions_select_novax_worker on public.document_versions as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.documents (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  project_id uuid not null,
  author_id uuid not null,
  editor_id uuid,
  title character varying not null,
  content text default ''::text not null,
  content_format character varying default 'markdown'::character varying not null,
  status character varying default 'active'::character varying not null,
  language character varying not null,
  search_vector tsvector,
  content_hash bytea,
  ai_summary jsonb,
  ai_metadata jsonb default '{}'::jsonb not null,
  ai_updated_at timestamp with time zone,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  indexed_version integer,
  indexed_at timestamp with time zone,
  constraint documents_pkey PRIMARY KEY (id),
  constraint fk_documents_author FOREIGN KEY (author_id) REFERENCES public.users(id),
  constraint fk_documents_editor FOREIGN KEY (editor_id) REFERENCES public.users(id),
  constraint fk_documents_project FOREIGN KEY (org_id, project_id) REFERENCES public.projects(org_id, id) ON DELETE CASCADE,
  constraint ck_documents_content_format CHECK (((content_format)::text = ANY ((ARRAY['markdown'::character varying, 'plain'::character varying, 'rich_text'::character varying])::text[]))),
  constraint ck_documents_language CHECK (((language)::text = ANY ((ARRAY['simple'::character varying, 'english'::character varying, 'indonesian'::character varying])::text[]))),
  constraint ck_documents_status CHECK (((status)::text = ANY ((ARRAY['draft'::character varying, 'active'::character varying, 'archived'::character varying, 'deleted'::character varying])::text[]))),
  constraint ck_documents_title CHECK (((char_length((title)::text) >= 1) AND (char_length((title)::text) <= 500))),
  constraint ck_documents_version CHECK ((version >= 1))
);
alter table public.documents owner to novax_owner;
comment on table public.documents is 'A written text of a project.';
grant delete, select on table public.documents to novax_worker;
grant insert, select on table public.documents to novax_api;
grant select on table public.documents to novax_backup;
grant select on table public.documents to novax_definer;
grant select on table public.documents to novax_readonly;
alter table public.documents enable row level security;
alter table public.documents force row level security;
grant select (id) on public.documents to ai_agent_role;
grant select (org_id) on public.documents to ai_agent_role;
grant select (project_id) on public.documents to ai_agent_role;
grant update (project_id) on public.documents to novax_api;
comment on column public.documents.author_id is 'Who created the document.';
comment on column public.documents.editor_id is 'Who last changed title, content or status; null until someone has. Set by trigger.';
grant select (title) on public.documents to ai_agent_role;
grant update (title) on public.documents to novax_api;
grant select (content) on public.documents to ai_agent_role;
grant update (content) on public.documents to novax_api;
grant select (content_format) on public.documents to ai_agent_role;
grant update (content_format) on public.documents to novax_api;
grant select (status) on public.documents to ai_agent_role;
grant update (status) on public.documents to novax_api;
comment on column public.documents.language is 'Text search configuration; left out on insert, it is the project''s.';
grant select (language) on public.documents to ai_agent_role;
grant update (language) on public.documents to novax_api;
grant update (language) on public.documents to novax_definer;
comment on column public.documents.search_vector is 'Title (weight A) and content (weight B), kept by trigger. Reached through private.search_documents: under row-level security the operator @@ cannot use its index.';
comment on column public.documents.content_hash is 'SHA-256 of what is embedded, set by the application, so that unchanged text is not embedded again.';
grant update (content_hash) on public.documents to novax_api;
grant update (content_hash) on public.documents to novax_definer;
grant update (content_hash) on public.documents to novax_worker;
comment on column public.documents.ai_summary is 'summary, key_topics, sentiment, complexity_score, generated_at, model, confidence.';
grant select (ai_summary), update (ai_summary) on public.documents to ai_agent_role;
grant update (ai_summary) on public.documents to novax_worker;
comment on column public.documents.ai_metadata is 'Open facts an AI noted, by key.';
grant select (ai_metadata), update (ai_metadata) on public.documents to ai_agent_role;
grant update (ai_metadata) on public.documents to novax_worker;
comment on column public.documents.ai_updated_at is 'When an ai_ column last changed. Such a change touches neither updated_at nor version.';
grant select (ai_updated_at) on public.documents to ai_agent_role;
grant update (ai_updated_at) on public.documents to novax_worker;
comment on column public.documents.version is 'Optimistic lock: the application raises it with title, content or status.';
grant select (version) on public.documents to ai_agent_role;
grant update (version) on public.documents to novax_api;
grant select (created_at) on public.documents to ai_agent_role;
grant select (updated_at) on public.documents to ai_agent_role;
comment on column public.documents.indexed_version is 'Version that the full-text engine has taken in or removed; null when it was told of none. Set it to null to have the document indexed again. No index holds it: its writes stay on their page.';
grant update (indexed_version) on public.documents to novax_worker;
comment on column public.documents.indexed_at is 'When the engine last confirmed a version. Such a change touches neither updated_at nor version.';
grant update (indexed_at) on public.documents to novax_worker;
CREATE INDEX idx_documents_author_id ON public.documents USING btree (author_id);
CREATE INDEX idx_documents_editor_id ON public.documents USING btree (editor_id);
CREATE INDEX idx_documents_org_id ON public.documents USING btree (org_id) WHERE ((status)::text = 'deleted'::text);
CREATE UNIQUE INDEX idx_documents_org_id_id ON public.documents USING btree (org_id, id);
CREATE INDEX idx_documents_org_id_project_id_created_at_id ON public.documents USING btree (org_id, project_id, created_at DESC, id DESC);
CREATE INDEX idx_documents_project_id ON public.documents USING btree (project_id);
CREATE INDEX idx_documents_project_id_status_created_at ON public.documents USING btree (project_id, status, created_at);
CREATE INDEX idx_documents_search_vector ON public.documents USING gin (search_vector);
CREATE INDEX idx_documents_updated_at ON public.documents USING btree (updated_at);
CREATE TRIGGER index_document BEFORE INSERT OR UPDATE OF title, content, language ON public.documents FOR EACH ROW EXECUTE FUNCTION private.index_document();
CREATE TRIGGER keep_document_version AFTER UPDATE ON public.documents FOR EACH ROW WHEN ((old.version IS DISTINCT FROM new.version)) EXECUTE FUNCTION private.keep_document_version();
CREATE TRIGGER mark_document_editor BEFORE UPDATE ON public.documents FOR EACH ROW WHEN (((((old.title)::text IS DISTINCT FROM (new.title)::text) OR (old.content IS DISTINCT FROM new.content)) OR ((old.status)::text IS DISTINCT FROM (new.status)::text))) EXECUTE FUNCTION private.mark_document_editor();
CREATE TRIGGER note_view_change AFTER INSERT OR DELETE OR UPDATE ON public.documents FOR EACH STATEMENT EXECUTE FUNCTION private.note_view_change('mv_ai_document_context');
CREATE TRIGGER set_ai_updated_at BEFORE UPDATE OF ai_summary, ai_metadata ON public.documents FOR EACH ROW WHEN (((old.ai_summary IS DISTINCT FROM new.ai_summary) OR (old.ai_metadata IS DISTINCT FROM new.ai_metadata))) EXECUTE FUNCTION private.set_ai_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.documents FOR EACH ROW WHEN ((((((((((old.org_id IS DISTINCT FROM new.org_id) OR (old.project_id IS DISTINCT FROM new.project_id)) OR (old.author_id IS DISTINCT FROM new.author_id)) OR ((old.title)::text IS DISTINCT FROM (new.title)::text)) OR (old.content IS DISTINCT FROM new.content)) OR ((old.content_format)::text IS DISTINCT FROM (new.content_format)::text)) OR ((old.status)::text IS DISTINCT FROM (new.status)::text)) OR ((old.language)::text IS DISTINCT FROM (new.language)::text)) OR (old.version IS DISTINCT FROM new.version))) EXECUTE FUNCTION private.set_updated_at();
create policy documents_delete_novax_worker on public.documents as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy documents_insert_novax_api on public.documents as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))) AND (author_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy documents_select_ai_agent_role on public.documents as permissive for select to ai_agent_role
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy documents_select_novax_api on public.documents as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy documents_select_novax_readonly on public.documents as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy documents_select_novax_worker on public.documents as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy documents_update_ai_agent_role on public.documents as permissive for update to ai_agent_role
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy documents_update_novax_api on public.documents as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy documents_update_novax_worker on public.documents as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.embedding_models (
  id smallint not null,
  name character varying not null,
  provider character varying not null,
  dims smallint not null,
  similarity_threshold real,
  active boolean default true not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint embedding_models_pkey PRIMARY KEY (id),
  constraint ck_embedding_models_dims CHECK (((dims >= 1) AND (dims <= 1536))),
  constraint ck_embedding_models_provider CHECK (((provider)::text = ANY ((ARRAY['local'::character varying, 'openai'::character varying])::text[]))),
  constraint ck_embedding_models_similarity_threshold CHECK (((similarity_threshold >= ('-1'::integer)::double precision) AND (similarity_threshold <= (1)::double precision)))
);
alter table public.embedding_models owner to novax_owner;
comment on table public.embedding_models is 'Models whose vectors are stored; vectors of different models are never compared. Not a tenant table: rows come through private.ensure_embedding_model.';
grant select on table public.embedding_models to ai_agent_role;
grant select on table public.embedding_models to novax_api;
grant select on table public.embedding_models to novax_backup;
grant select on table public.embedding_models to novax_definer;
grant select on table public.embedding_models to novax_readonly;
grant select on table public.embedding_models to novax_worker;
alter table public.embedding_models enable row level security;
alter table public.embedding_models force row level security;
comment on column public.embedding_models.id is 'Small and stable: statements carry it as a literal, or a generic plan could not use the model''s partial index.';
comment on column public.embedding_models.provider is 'local: inside the process; openai: any endpoint that speaks that protocol.';
comment on column public.embedding_models.dims is 'Dimensions the model gives; shorter vectors are padded with zeros to 1536, which leaves the cosine as it is.';
comment on column public.embedding_models.similarity_threshold is 'Cosine similarity below which a hit is noise, by calibration; null ranks without a cut.';
CREATE UNIQUE INDEX idx_embedding_models_name ON public.embedding_models USING btree (name);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.embedding_models FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy embedding_models_insert_novax_owner on public.embedding_models as permissive for insert to novax_owner
  with check (true);
create policy embedding_models_select_ai_agent_role on public.embedding_models as permissive for select to ai_agent_role
  using (true);
create policy embedding_models_select_novax_api on public.embedding_models as permissive for select to novax_api
  using (true);
create policy embedding_models_select_novax_owner on public.embedding_models as permissive for select to novax_owner
  using (true);
create policy embedding_models_select_novax_readonly on public.embedding_models as permissive for select to novax_readonly
  using (true);
create policy embedding_models_select_novax_worker on public.embedding_models as permissive for select to novax_worker
  using (true);
create policy embedding_models_update_novax_owner on public.embedding_models as permissive for update to novax_owner
  using (true)
  with check (true);

create table public.erasures (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  erased_at timestamp with time zone default now() not null,
  recorded_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint erasures_pkey PRIMARY KEY (id),
  constraint fk_erasures_user FOREIGN KEY (user_id) REFERENCES public.users(id)
);
alter table public.erasures owner to novax_owner;
comment on table public.erasures is 'People who were erased. Each is written to the blob store too, where no restore of this database can bring them back from.';
grant insert, select, update on table public.erasures to novax_definer;
grant select on table public.erasures to novax_backup;
alter table public.erasures enable row level security;
alter table public.erasures force row level security;
comment on column public.erasures.recorded_at is 'When it was written there; null until then.';
CREATE INDEX idx_erasures_erased_at ON public.erasures USING btree (erased_at) WHERE (recorded_at IS NULL);
CREATE UNIQUE INDEX idx_erasures_user_id ON public.erasures USING btree (user_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.erasures FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();

create table public.event_streams (
  id uuid default gen_random_uuid() not null,
  name character varying not null,
  identity character varying not null,
  consumed_seq bigint default 0 not null,
  since timestamp with time zone default '-infinity'::timestamp with time zone not null,
  seen_at timestamp with time zone default now() not null,
  owes_refill boolean default false not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint event_streams_pkey PRIMARY KEY (id),
  constraint ck_event_streams_consumed_seq CHECK ((consumed_seq >= 0)),
  constraint ck_event_streams_identity CHECK (((char_length((identity)::text) >= 1) AND (char_length((identity)::text) <= 255))),
  constraint ck_event_streams_name CHECK (((char_length((name)::text) >= 1) AND (char_length((name)::text) <= 255)))
);
alter table public.event_streams owner to novax_owner;
comment on table public.event_streams is 'Streams that the outbox publishes into, as last seen. When a stream has another identity, events published behind consumed_seq become pending again.';
grant insert, select, update on table public.event_streams to novax_worker;
grant select on table public.event_streams to novax_backup;
alter table public.event_streams enable row level security;
alter table public.event_streams force row level security;
comment on column public.event_streams.identity is 'The stream''s time of creation, as its server says.';
comment on column public.event_streams.consumed_seq is 'Up to this sequence every durable consumer was done with every event.';
comment on column public.event_streams.since is 'What was published before went into an earlier stream.';
comment on column public.event_streams.seen_at is 'When consumed_seq was noted.';
comment on column public.event_streams.owes_refill is 'The identity is new and the events of the old stream are not pending again yet.';
CREATE UNIQUE INDEX idx_event_streams_name ON public.event_streams USING btree (name);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.event_streams FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy event_streams_insert_novax_worker on public.event_streams as permissive for insert to novax_worker
  with check (true);
create policy event_streams_select_novax_worker on public.event_streams as permissive for select to novax_worker
  using (true);
create policy event_streams_update_novax_worker on public.event_streams as permissive for update to novax_worker
  using (true)
  with check (true);

create table public.events (
  id bigint generated always as identity not null,
  event_id uuid default gen_random_uuid() not null,
  org_id uuid,
  event_type character varying not null,
  aggregate_type character varying not null,
  aggregate_id uuid not null,
  aggregate_version integer default 0 not null,
  schema_version smallint default 1 not null,
  payload jsonb not null,
  actor_type character varying not null,
  actor_id uuid,
  request_id character varying,
  traceparent character varying,
  causation_id uuid,
  shard smallint generated always as (((uuid_hash_extended(aggregate_id, (0)::bigint) & (7)::bigint))::smallint) stored not null,
  status character varying default 'pending'::character varying not null,
  attempts integer default 0 not null,
  next_attempt_at timestamp with time zone default now() not null,
  last_error text,
  stream_seq bigint,
  occurred_at timestamp with time zone default now() not null,
  published_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  constraint events_pkey PRIMARY KEY (id, status, created_at),
  constraint ck_events_actor_type CHECK (((actor_type)::text = ANY ((ARRAY['user'::character varying, 'api_key'::character varying, 'ai'::character varying, 'system'::character varying])::text[]))),
  constraint ck_events_aggregate_type CHECK (((char_length((aggregate_type)::text) >= 1) AND (char_length((aggregate_type)::text) <= 100))),
  constraint ck_events_attempts CHECK ((attempts >= 0)),
  constraint ck_events_event_type CHECK ((((event_type)::text ~ '^[a-z_]+\.[a-z_]+$'::text) AND (char_length((event_type)::text) <= 255))),
  constraint ck_events_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'published'::character varying, 'failed'::character varying, 'dropped'::character varying])::text[])))
) partition by LIST (status);
alter table public.events owner to novax_owner;
comment on table public.events is 'Transactional outbox and ledger of domain events: written in the transaction of the change, published by the relay, kept at least 30 days.';
grant delete, insert, select on table public.events to novax_worker;
grant insert, select on table public.events to novax_definer;
grant select on table public.events to novax_backup;
grant select on table public.events to novax_readonly;
alter table public.events enable row level security;
alter table public.events force row level security;
comment on column public.events.id is 'Orders the events of one aggregate, because the row is inserted after the aggregate''s row is locked. Not an order over aggregates.';
comment on column public.events.event_id is 'UUIDv7 that names the event everywhere outside this table, as Nats-Msg-Id too.';
grant insert (event_id) on public.events to novax_api;
comment on column public.events.org_id is 'Null for events about people. No foreign key: the record outlives the organization.';
grant insert (org_id) on public.events to novax_api;
grant insert (event_type) on public.events to novax_api;
grant insert (aggregate_type) on public.events to novax_api;
grant insert (aggregate_id) on public.events to novax_api;
grant insert (aggregate_version) on public.events to novax_api;
grant insert (schema_version) on public.events to novax_api;
grant insert (payload) on public.events to novax_api;
grant insert (actor_type) on public.events to novax_api;
grant insert (actor_id) on public.events to novax_api;
grant insert (request_id) on public.events to novax_api;
grant insert (traceparent) on public.events to novax_api;
comment on column public.events.causation_id is 'event_id of the event that led to this one.';
grant insert (causation_id) on public.events to novax_api;
comment on column public.events.shard is 'Hash of aggregate_id, 0 to 7.';
comment on column public.events.status is 'pending until the stream acknowledged it, then published; failed when no stream would take it, which holds its aggregate back until it is freed or dropped. What was dropped was never published.';
grant update (status) on public.events to novax_worker;
grant update (attempts) on public.events to novax_worker;
grant update (next_attempt_at) on public.events to novax_worker;
grant update (last_error) on public.events to novax_worker;
comment on column public.events.stream_seq is 'Sequence number that JetStream acknowledged.';
grant update (stream_seq) on public.events to novax_worker;
grant insert (occurred_at) on public.events to novax_api;
grant update (published_at) on public.events to novax_worker;
create policy events_delete_novax_worker on public.events as permissive for delete to novax_worker
  using (true);
create policy events_insert_novax_api on public.events as permissive for insert to novax_api
  with check (((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")) AND ((actor_type)::text = ANY ((ARRAY['user'::character varying, 'api_key'::character varying, 'ai'::character varying])::text[])) AND (actor_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy events_insert_novax_worker on public.events as permissive for insert to novax_worker
  with check ((NOT (org_id IS DISTINCT FROM ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy events_select_novax_readonly on public.events as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy events_select_novax_worker on public.events as permissive for select to novax_worker
  using (true);
create policy events_update_novax_worker on public.events as permissive for update to novax_worker
  using (true)
  with check (true);
-- partition public.events_dropped FOR VALUES IN ('dropped'); owner novax_owner; row security forced; grant select to novax_backup
-- partition public.events_failed FOR VALUES IN ('failed'); owner novax_owner; row security forced; grant select to novax_backup
-- partition public.events_pending FOR VALUES IN ('pending'); owner novax_owner; row security forced; autovacuum_vacuum_scale_factor=0; autovacuum_vacuum_threshold=1000; autovacuum_vacuum_insert_threshold=10000; autovacuum_vacuum_cost_delay=0; autovacuum_analyze_scale_factor=0; autovacuum_analyze_threshold=5000; grant select to novax_backup; CREATE INDEX idx_events_pending_aggregate_id_id ON public.events_pending USING btree (aggregate_id, id); CREATE UNIQUE INDEX idx_events_pending_event_id ON public.events_pending USING btree (event_id); CREATE INDEX idx_events_pending_next_attempt_at ON public.events_pending USING btree (next_attempt_at) WHERE (last_error IS NOT NULL)
-- partition public.events_published FOR VALUES IN ('published'); owner novax_owner; row security forced; partition by RANGE (created_at); grant select to novax_backup; CREATE INDEX idx_events_published_aggregate_id_id ON ONLY public.events_published USING btree (aggregate_id, id); CREATE INDEX idx_events_published_created_at ON ONLY public.events_published USING btree (created_at); CREATE INDEX idx_events_published_event_id ON ONLY public.events_published USING btree (event_id); CREATE INDEX idx_events_published_org_id_id ON ONLY public.events_published USING btree (org_id, id)
--   partition public.events_published_default DEFAULT; owner novax_owner; row security forced; grant select to novax_backup
--   monthly partitions public.events_published_YYYY_MM, at least 4; owner novax_owner; row security forced; grant select to novax_backup

create table public.idempotency_keys (
  id uuid default gen_random_uuid() not null,
  org_id uuid,
  user_id uuid not null,
  key character varying not null,
  procedure character varying not null,
  request_hash bytea not null,
  status character varying default 'in_progress'::character varying not null,
  response_status smallint,
  response_body jsonb,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint idempotency_keys_pkey PRIMARY KEY (id),
  constraint fk_idempotency_keys_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE,
  constraint ck_idempotency_keys_key CHECK (((char_length((key)::text) >= 1) AND (char_length((key)::text) <= 255))),
  constraint ck_idempotency_keys_request_hash CHECK ((octet_length(request_hash) = 32)),
  constraint ck_idempotency_keys_response CHECK ((((status)::text = 'completed'::text) = (response_status IS NOT NULL))),
  constraint ck_idempotency_keys_status CHECK (((status)::text = ANY ((ARRAY['in_progress'::character varying, 'completed'::character varying])::text[])))
);
alter table public.idempotency_keys owner to novax_owner;
comment on table public.idempotency_keys is 'The answer to a call that its caller may send again: same person, organization and key give the stored answer.';
grant delete on table public.idempotency_keys to novax_worker;
grant delete, insert, select on table public.idempotency_keys to novax_api;
grant delete, select, update on table public.idempotency_keys to novax_definer;
grant select on table public.idempotency_keys to novax_backup;
alter table public.idempotency_keys enable row level security;
alter table public.idempotency_keys force row level security;
grant select (id) on public.idempotency_keys to novax_worker;
comment on column public.idempotency_keys.org_id is 'Organization the call was for; null where it names none.';
comment on column public.idempotency_keys.request_hash is 'SHA-256 of the input: the same key with another input is an error.';
grant update (status) on public.idempotency_keys to novax_api;
grant update (response_status) on public.idempotency_keys to novax_api;
grant update (response_body) on public.idempotency_keys to novax_api;
grant select (expires_at) on public.idempotency_keys to novax_worker;
grant update (expires_at) on public.idempotency_keys to novax_api;
CREATE INDEX idx_idempotency_keys_expires_at ON public.idempotency_keys USING btree (expires_at);
CREATE UNIQUE INDEX idx_idempotency_keys_user_id_org_id_key ON public.idempotency_keys USING btree (user_id, org_id, key) NULLS NOT DISTINCT;
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.idempotency_keys FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy idempotency_keys_delete_novax_api on public.idempotency_keys as permissive for delete to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy idempotency_keys_delete_novax_worker on public.idempotency_keys as permissive for delete to novax_worker
  using (true);
create policy idempotency_keys_insert_novax_api on public.idempotency_keys as permissive for insert to novax_api
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy idempotency_keys_select_novax_api on public.idempotency_keys as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy idempotency_keys_select_novax_worker on public.idempotency_keys as permissive for select to novax_worker
  using (true);
create policy idempotency_keys_update_novax_api on public.idempotency_keys as permissive for update to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.inbox (
  consumer character varying not null,
  event_id uuid not null,
  occurred_at timestamp with time zone not null,
  org_id uuid,
  aggregate_id uuid,
  aggregate_version integer,
  created_at timestamp with time zone default now() not null,
  constraint inbox_pkey PRIMARY KEY (consumer, event_id, occurred_at),
  constraint ck_inbox_consumer CHECK (((char_length((consumer)::text) >= 1) AND (char_length((consumer)::text) <= 100)))
) partition by RANGE (occurred_at);
alter table public.inbox owner to novax_owner;
comment on table public.inbox is 'Events a consumer has applied, written in the effect''s own transaction: insert … on conflict do nothing; no row inserted means done before.';
grant delete, insert, select on table public.inbox to novax_worker;
grant select on table public.inbox to novax_backup;
grant select on table public.inbox to novax_definer;
alter table public.inbox enable row level security;
alter table public.inbox force row level security;
comment on column public.inbox.occurred_at is 'The event''s own time as its envelope has it: a redelivery carries the same, so the key meets the first row whatever the month.';
CREATE INDEX idx_inbox_consumer_aggregate_id_aggregate_version ON ONLY public.inbox USING btree (consumer, aggregate_id, aggregate_version);
create policy inbox_delete_novax_worker on public.inbox as permissive for delete to novax_worker
  using (true);
create policy inbox_insert_novax_worker on public.inbox as permissive for insert to novax_worker
  with check (true);
create policy inbox_select_novax_worker on public.inbox as permissive for select to novax_worker
  using (true);
-- partition public.inbox_default DEFAULT; owner novax_owner; row security forced; grant select to novax_backup
-- monthly partitions public.inbox_YYYY_MM, at least 4; owner novax_owner; row security forced; grant select to novax_backup

create table public.invitations (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  inviter_id uuid not null,
  email character varying not null,
  email_normalized character varying not null,
  role character varying default 'member'::character varying not null,
  token_hash bytea not null,
  status character varying default 'pending'::character varying not null,
  expires_at timestamp with time zone not null,
  accepted_at timestamp with time zone,
  accepted_by_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint invitations_pkey PRIMARY KEY (id),
  constraint fk_invitations_accepted_by FOREIGN KEY (accepted_by_id) REFERENCES public.users(id),
  constraint fk_invitations_inviter FOREIGN KEY (inviter_id) REFERENCES public.users(id),
  constraint fk_invitations_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint ck_invitations_role CHECK (((role)::text = ANY ((ARRAY['admin'::character varying, 'member'::character varying, 'viewer'::character varying])::text[]))),
  constraint ck_invitations_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'accepted'::character varying, 'revoked'::character varying, 'expired'::character varying])::text[]))),
  constraint ck_invitations_token_hash CHECK ((octet_length(token_hash) = 32))
);
alter table public.invitations owner to novax_owner;
comment on table public.invitations is 'An offer of membership, redeemed through private.accept_invitation by whoever holds its token.';
grant insert on table public.invitations to novax_api;
grant select on table public.invitations to novax_backup;
grant select, update on table public.invitations to novax_definer;
alter table public.invitations enable row level security;
alter table public.invitations force row level security;
grant select (id) on public.invitations to novax_api;
grant select (id) on public.invitations to novax_worker;
grant select (org_id) on public.invitations to novax_api;
grant select (org_id) on public.invitations to novax_worker;
grant select (inviter_id) on public.invitations to novax_api;
grant select (inviter_id) on public.invitations to novax_worker;
grant select (email) on public.invitations to novax_api;
grant select (email) on public.invitations to novax_worker;
grant select (email_normalized) on public.invitations to novax_api;
grant select (email_normalized) on public.invitations to novax_worker;
grant select (role) on public.invitations to novax_api;
grant select (role) on public.invitations to novax_worker;
grant select (status), update (status) on public.invitations to novax_api;
grant select (status), update (status) on public.invitations to novax_worker;
grant select (expires_at) on public.invitations to novax_api;
grant select (expires_at) on public.invitations to novax_worker;
grant select (accepted_at) on public.invitations to novax_api;
grant select (accepted_at) on public.invitations to novax_worker;
grant select (accepted_by_id) on public.invitations to novax_api;
grant select (accepted_by_id) on public.invitations to novax_worker;
grant select (created_at) on public.invitations to novax_api;
grant select (created_at) on public.invitations to novax_worker;
grant select (updated_at) on public.invitations to novax_api;
grant select (updated_at) on public.invitations to novax_worker;
CREATE INDEX idx_invitations_accepted_by_id ON public.invitations USING btree (accepted_by_id);
CREATE INDEX idx_invitations_expires_at ON public.invitations USING btree (expires_at) WHERE ((status)::text = 'pending'::text);
CREATE INDEX idx_invitations_inviter_id ON public.invitations USING btree (inviter_id);
CREATE INDEX idx_invitations_org_id_created_at ON public.invitations USING btree (org_id, created_at);
CREATE UNIQUE INDEX idx_invitations_org_id_email_normalized ON public.invitations USING btree (org_id, email_normalized) WHERE ((status)::text = 'pending'::text);
CREATE UNIQUE INDEX idx_invitations_token_hash ON public.invitations USING btree (token_hash);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.invitations FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy invitations_insert_novax_api on public.invitations as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND (inviter_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy invitations_select_novax_api on public.invitations as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy invitations_select_novax_worker on public.invitations as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy invitations_update_novax_api on public.invitations as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy invitations_update_novax_worker on public.invitations as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.legal_holds (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  entity_type character varying not null,
  entity_id uuid,
  reason character varying not null,
  creator_id uuid not null,
  status character varying default 'active'::character varying not null,
  released_at timestamp with time zone,
  released_by_id uuid,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint legal_holds_pkey PRIMARY KEY (id),
  constraint fk_legal_holds_creator FOREIGN KEY (creator_id) REFERENCES public.users(id),
  constraint fk_legal_holds_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint fk_legal_holds_released_by FOREIGN KEY (released_by_id) REFERENCES public.users(id),
  constraint ck_legal_holds_entity_type CHECK (((entity_type)::text = ANY ((ARRAY['organizations'::character varying, 'projects'::character varying, 'documents'::character varying, 'tasks'::character varying, 'comments'::character varying, 'attachments'::character varying])::text[]))),
  constraint ck_legal_holds_released CHECK ((((status)::text = 'released'::text) = (released_at IS NOT NULL))),
  constraint ck_legal_holds_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'released'::character varying])::text[])))
);
alter table public.legal_holds owner to novax_owner;
comment on table public.legal_holds is 'What the purge must leave alone, whatever the retention policy says.';
grant delete, select on table public.legal_holds to novax_definer;
grant insert, select on table public.legal_holds to novax_api;
grant select on table public.legal_holds to novax_backup;
grant select on table public.legal_holds to novax_readonly;
grant select on table public.legal_holds to novax_worker;
alter table public.legal_holds enable row level security;
alter table public.legal_holds force row level security;
comment on column public.legal_holds.entity_id is 'Null holds every row of the kind.';
grant update (status) on public.legal_holds to novax_api;
grant update (released_at) on public.legal_holds to novax_api;
grant update (released_by_id) on public.legal_holds to novax_api;
CREATE INDEX idx_legal_holds_creator_id ON public.legal_holds USING btree (creator_id);
CREATE INDEX idx_legal_holds_org_id_entity_type_entity_id ON public.legal_holds USING btree (org_id, entity_type, entity_id);
CREATE INDEX idx_legal_holds_released_by_id ON public.legal_holds USING btree (released_by_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.legal_holds FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy legal_holds_insert_novax_api on public.legal_holds as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text))))) AND (creator_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy legal_holds_select_novax_api on public.legal_holds as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy legal_holds_select_novax_readonly on public.legal_holds as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy legal_holds_select_novax_worker on public.legal_holds as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy legal_holds_update_novax_api on public.legal_holds as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text))))));

create table public.mails (
  id uuid default gen_random_uuid() not null,
  kind character varying not null,
  email character varying not null,
  email_normalized character varying not null,
  user_id uuid,
  invitation_id uuid,
  status character varying default 'pending'::character varying not null,
  attempts integer default 0 not null,
  next_attempt_at timestamp with time zone default now() not null,
  last_error character varying,
  request_id character varying,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint mails_pkey PRIMARY KEY (id),
  constraint fk_mails_invitation FOREIGN KEY (invitation_id) REFERENCES public.invitations(id) ON DELETE CASCADE,
  constraint fk_mails_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE,
  constraint ck_mails_email CHECK (((char_length((email)::text) >= 3) AND (char_length((email)::text) <= 254))),
  constraint ck_mails_invitation CHECK ((((kind)::text = 'invitation'::text) = (invitation_id IS NOT NULL))),
  constraint ck_mails_kind CHECK (((kind)::text = ANY ((ARRAY['verify-email'::character varying, 'reset-password'::character varying, 'invitation'::character varying, 'password-changed'::character varying, 'second-factor-changed'::character varying, 'account-linked'::character varying])::text[]))),
  constraint ck_mails_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'sent'::character varying, 'dropped'::character varying, 'failed'::character varying])::text[])))
);
alter table public.mails owner to novax_owner;
comment on table public.mails is 'Mails asked for and what became of them. One-time secrets are made by whoever sends the mail and stand nowhere in it here.';
grant delete, insert, select on table public.mails to novax_definer;
grant delete, select on table public.mails to novax_worker;
grant select on table public.mails to novax_backup;
alter table public.mails enable row level security;
alter table public.mails force row level security;
comment on column public.mails.user_id is 'The person it is about; null where nobody may know yet whether there is one (reset-password) and for invitations.';
comment on column public.mails.status is 'dropped: there was nobody to write to, or enough was written already; failed: given up after the last attempt.';
grant update (status) on public.mails to novax_worker;
grant update (attempts) on public.mails to novax_worker;
comment on column public.mails.next_attempt_at is 'When it may be tried (again); moved ahead by whoever is at it, as a lease.';
grant update (next_attempt_at) on public.mails to novax_worker;
grant update (last_error) on public.mails to novax_worker;
CREATE INDEX idx_mails_invitation_id ON public.mails USING btree (invitation_id);
CREATE INDEX idx_mails_next_attempt_at ON public.mails USING btree (next_attempt_at) WHERE ((status)::text = 'pending'::text);
CREATE INDEX idx_mails_updated_at ON public.mails USING btree (updated_at) WHERE ((status)::text <> 'pending'::text);
CREATE INDEX idx_mails_user_id ON public.mails USING btree (user_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.mails FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy mails_delete_novax_worker on public.mails as permissive for delete to novax_worker
  using (true);
create policy mails_select_novax_worker on public.mails as permissive for select to novax_worker
  using (true);
create policy mails_update_novax_worker on public.mails as permissive for update to novax_worker
  using (true)
  with check (true);

create table public.metric_samples (
  id uuid default gen_random_uuid() not null,
  metric character varying not null,
  value double precision not null,
  labels jsonb default '{}'::jsonb not null,
  sampled_at timestamp with time zone default now() not null,
  created_at timestamp with time zone default now() not null,
  constraint metric_samples_pkey PRIMARY KEY (id, sampled_at),
  constraint ck_metric_samples_metric CHECK (((char_length((metric)::text) >= 1) AND (char_length((metric)::text) <= 100)))
) partition by RANGE (sampled_at);
alter table public.metric_samples owner to novax_owner;
comment on table public.metric_samples is 'Figures of the platform itself, over time; nothing of any tenant. May be a hypertable.';
grant insert on table public.metric_samples to novax_definer;
grant select on table public.metric_samples to novax_backup;
alter table public.metric_samples enable row level security;
alter table public.metric_samples force row level security;
CREATE INDEX idx_metric_samples_metric_sampled_at ON ONLY public.metric_samples USING btree (metric, sampled_at);
-- partition public.metric_samples_default DEFAULT; owner novax_owner; row security forced; grant select to novax_backup
-- monthly partitions public.metric_samples_YYYY_MM, at least 4; owner novax_owner; row security forced; grant select to novax_backup

create table public.notification_preferences (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  kind character varying not null,
  channel character varying not null,
  enabled boolean default true not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint notification_preferences_pkey PRIMARY KEY (id),
  constraint fk_notification_preferences_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE,
  constraint ck_notification_preferences_channel CHECK (((channel)::text = ANY ((ARRAY['in_app'::character varying, 'email'::character varying, 'push'::character varying])::text[]))),
  constraint ck_notification_preferences_kind CHECK (((char_length((kind)::text) >= 1) AND (char_length((kind)::text) <= 100)))
);
alter table public.notification_preferences owner to novax_owner;
comment on table public.notification_preferences is 'What a person wants to hear of, and where. A missing row means yes.';
grant delete, insert, select, update on table public.notification_preferences to novax_api;
grant delete, select on table public.notification_preferences to novax_definer;
grant select on table public.notification_preferences to novax_backup;
grant select on table public.notification_preferences to novax_worker;
alter table public.notification_preferences enable row level security;
alter table public.notification_preferences force row level security;
CREATE UNIQUE INDEX idx_notification_preferences_user_id_kind_channel ON public.notification_preferences USING btree (user_id, kind, channel);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.notification_preferences FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy notification_preferences_delete_novax_api on public.notification_preferences as permissive for delete to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notification_preferences_insert_novax_api on public.notification_preferences as permissive for insert to novax_api
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notification_preferences_select_novax_api on public.notification_preferences as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notification_preferences_select_novax_worker on public.notification_preferences as permissive for select to novax_worker
  using ((user_id IN ( SELECT m.user_id
   FROM app.memberships m
  WHERE (m.org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))));
create policy notification_preferences_update_novax_api on public.notification_preferences as permissive for update to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.notifications (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  user_id uuid not null,
  kind character varying not null,
  title character varying not null,
  body text,
  data jsonb default '{}'::jsonb not null,
  event_id uuid,
  status character varying default 'unread'::character varying not null,
  read_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint notifications_pkey PRIMARY KEY (id),
  constraint fk_notifications_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint fk_notifications_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE,
  constraint ck_notifications_kind CHECK (((char_length((kind)::text) >= 1) AND (char_length((kind)::text) <= 100))),
  constraint ck_notifications_status CHECK (((status)::text = ANY ((ARRAY['unread'::character varying, 'read'::character varying, 'archived'::character varying])::text[])))
);
alter table public.notifications owner to novax_owner;
comment on table public.notifications is 'Something a person should know, in one organization.';
grant delete, insert, select on table public.notifications to novax_worker;
grant delete, select on table public.notifications to novax_definer;
grant select on table public.notifications to novax_api;
grant select on table public.notifications to novax_backup;
grant select on table public.notifications to novax_readonly;
alter table public.notifications enable row level security;
alter table public.notifications force row level security;
comment on column public.notifications.event_id is 'Event that caused it; one notification per event and person.';
grant update (status) on public.notifications to novax_api;
grant update (read_at) on public.notifications to novax_api;
CREATE INDEX idx_notifications_org_id_created_at ON public.notifications USING btree (org_id, created_at);
CREATE UNIQUE INDEX idx_notifications_user_id_event_id_kind ON public.notifications USING btree (user_id, event_id, kind) WHERE (event_id IS NOT NULL);
CREATE INDEX idx_notifications_user_id_status_created_at ON public.notifications USING btree (user_id, status, created_at DESC);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.notifications FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy notifications_delete_novax_worker on public.notifications as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notifications_insert_novax_worker on public.notifications as permissive for insert to novax_worker
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notifications_select_novax_api on public.notifications as permissive for select to novax_api
  using (((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id))))))));
create policy notifications_select_novax_readonly on public.notifications as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notifications_select_novax_worker on public.notifications as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy notifications_update_novax_api on public.notifications as permissive for update to novax_api
  using (((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id))))))))
  with check (((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id))))))));

create table public.oauth_accounts (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  provider character varying not null,
  subject character varying not null,
  email character varying,
  last_used_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint oauth_accounts_pkey PRIMARY KEY (id),
  constraint fk_oauth_accounts_user FOREIGN KEY (user_id) REFERENCES public.users(id),
  constraint ck_oauth_accounts_provider CHECK (((char_length((provider)::text) >= 1) AND (char_length((provider)::text) <= 64))),
  constraint ck_oauth_accounts_subject CHECK (((char_length((subject)::text) >= 1) AND (char_length((subject)::text) <= 255)))
);
alter table public.oauth_accounts owner to novax_owner;
comment on table public.oauth_accounts is 'A person''s account at an OpenID Connect provider, named by the provider''s stable subject, never by address.';
grant delete, insert, select on table public.oauth_accounts to novax_definer;
grant insert, select on table public.oauth_accounts to novax_api;
grant select on table public.oauth_accounts to novax_backup;
alter table public.oauth_accounts enable row level security;
alter table public.oauth_accounts force row level security;
grant update (last_used_at) on public.oauth_accounts to novax_api;
CREATE UNIQUE INDEX idx_oauth_accounts_provider_subject ON public.oauth_accounts USING btree (provider, subject);
CREATE INDEX idx_oauth_accounts_user_id ON public.oauth_accounts USING btree (user_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.oauth_accounts FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy oauth_accounts_insert_novax_api on public.oauth_accounts as permissive for insert to novax_api
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy oauth_accounts_select_novax_api on public.oauth_accounts as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy oauth_accounts_update_novax_api on public.oauth_accounts as permissive for update to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.oauth_flows (
  id uuid default gen_random_uuid() not null,
  flow_hash bytea not null,
  provider character varying not null,
  secrets_ciphertext bytea not null,
  key_id character varying not null,
  link_user_id uuid,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint oauth_flows_pkey PRIMARY KEY (id),
  constraint fk_oauth_flows_link_user FOREIGN KEY (link_user_id) REFERENCES public.users(id) ON DELETE CASCADE,
  constraint ck_oauth_flows_flow_hash CHECK ((octet_length(flow_hash) = 32)),
  constraint ck_oauth_flows_provider CHECK (((char_length((provider)::text) >= 1) AND (char_length((provider)::text) <= 64)))
);
alter table public.oauth_flows owner to novax_owner;
comment on table public.oauth_flows is 'Sign-ins that are under way at an identity provider. A row goes with the first answer that names it, whatever comes of that.';
grant delete, insert, select, update on table public.oauth_flows to novax_definer;
grant select on table public.oauth_flows to novax_backup;
alter table public.oauth_flows enable row level security;
alter table public.oauth_flows force row level security;
comment on column public.oauth_flows.flow_hash is 'SHA-256 of the secret that the browser which began it must bring back.';
comment on column public.oauth_flows.secrets_ciphertext is 'State, nonce and code verifier, sealed by the application under the key named in key_id, bound to this row.';
comment on column public.oauth_flows.link_user_id is 'The signed-in person who adds the provider to their account; null for a sign-in.';
CREATE INDEX idx_oauth_flows_expires_at ON public.oauth_flows USING btree (expires_at);
CREATE UNIQUE INDEX idx_oauth_flows_flow_hash ON public.oauth_flows USING btree (flow_hash);
CREATE INDEX idx_oauth_flows_link_user_id ON public.oauth_flows USING btree (link_user_id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.oauth_flows FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();

create table public.one_time_tokens (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  mail_id uuid not null,
  purpose character varying not null,
  email_normalized character varying not null,
  token_hash bytea not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint one_time_tokens_pkey PRIMARY KEY (id),
  constraint fk_one_time_tokens_mail FOREIGN KEY (mail_id) REFERENCES public.mails(id) ON DELETE CASCADE,
  constraint fk_one_time_tokens_user FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE,
  constraint ck_one_time_tokens_purpose CHECK (((purpose)::text = ANY ((ARRAY['verify-email'::character varying, 'reset-password'::character varying])::text[]))),
  constraint ck_one_time_tokens_token_hash CHECK ((octet_length(token_hash) = 32))
);
alter table public.one_time_tokens owner to novax_owner;
comment on table public.one_time_tokens is 'Secrets that were mailed, by their hashes; they go with the mail they came in.';
grant delete, insert, select, update on table public.one_time_tokens to novax_definer;
grant select on table public.one_time_tokens to novax_backup;
alter table public.one_time_tokens enable row level security;
alter table public.one_time_tokens force row level security;
comment on column public.one_time_tokens.email_normalized is 'The address that the secret proves: it opens nothing once the account has another.';
comment on column public.one_time_tokens.token_hash is 'SHA-256 of the secret; whoever sends the mail makes it and forgets it.';
comment on column public.one_time_tokens.used_at is 'When it was used, or ended by the use of another; it opens nothing from then on.';
CREATE INDEX idx_one_time_tokens_expires_at ON public.one_time_tokens USING btree (expires_at);
CREATE INDEX idx_one_time_tokens_mail_id ON public.one_time_tokens USING btree (mail_id);
CREATE UNIQUE INDEX idx_one_time_tokens_token_hash ON public.one_time_tokens USING btree (token_hash);
CREATE INDEX idx_one_time_tokens_user_id_created_at ON public.one_time_tokens USING btree (user_id, created_at);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.one_time_tokens FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();

create table public.org_members (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  user_id uuid not null,
  role character varying default 'member'::character varying not null,
  joined_at timestamp with time zone default now() not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  version integer default 1 not null,
  constraint org_members_pkey PRIMARY KEY (id),
  constraint fk_org_members_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint fk_org_members_user FOREIGN KEY (user_id) REFERENCES public.users(id),
  constraint ck_org_members_role CHECK (((role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying, 'viewer'::character varying])::text[])))
);
alter table public.org_members owner to novax_owner;
comment on table public.org_members is 'Who belongs to which organization, and as what. The truth behind app.memberships.';
grant delete, insert, select on table public.org_members to novax_api;
grant delete, insert, select on table public.org_members to novax_definer;
grant select on table public.org_members to novax_backup;
grant select on table public.org_members to novax_readonly;
grant select on table public.org_members to novax_worker;
alter table public.org_members enable row level security;
alter table public.org_members force row level security;
grant update (role) on public.org_members to novax_api;
grant update (role) on public.org_members to novax_definer;
comment on column public.org_members.version is 'Rises with every change of role; orders this membership''s events.';
grant update (version) on public.org_members to novax_api;
grant update (version) on public.org_members to novax_definer;
CREATE UNIQUE INDEX idx_org_members_org_id_user_id ON public.org_members USING btree (org_id, user_id);
CREATE UNIQUE INDEX idx_org_members_user_id_org_id ON public.org_members USING btree (user_id, org_id);
CREATE CONSTRAINT TRIGGER check_owner AFTER DELETE OR UPDATE OF org_id, user_id, role ON public.org_members DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION private.check_owner();
CREATE TRIGGER end_membership AFTER DELETE ON public.org_members FOR EACH ROW EXECUTE FUNCTION private.end_membership();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.org_members FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
CREATE TRIGGER sync_membership AFTER INSERT OR DELETE OR UPDATE OF org_id, user_id, role ON public.org_members FOR EACH ROW EXECUTE FUNCTION private.sync_membership();
create policy org_members_delete_novax_api on public.org_members as permissive for delete to novax_api
  using ((((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND ((role)::text <> 'owner'::text)) OR (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text))))) OR (user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy org_members_insert_novax_api on public.org_members as permissive for insert to novax_api
  with check ((((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND ((role)::text <> 'owner'::text)) OR (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text)))))));
create policy org_members_select_novax_api on public.org_members as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy org_members_select_novax_readonly on public.org_members as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy org_members_select_novax_worker on public.org_members as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy org_members_update_novax_api on public.org_members as permissive for update to novax_api
  using ((((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND ((role)::text <> 'owner'::text)) OR (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text)))))))
  with check ((((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND ((role)::text <> 'owner'::text)) OR (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text)))))));

create table public.org_stats (
  org_id uuid not null,
  embedding_count bigint default 0 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint org_stats_pkey PRIMARY KEY (org_id),
  constraint fk_org_stats_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint ck_org_stats_embedding_count CHECK ((embedding_count >= 0))
);
alter table public.org_stats owner to novax_owner;
comment on table public.org_stats is 'Counts per organization, exact, kept by trigger.';
grant insert, select, update on table public.org_stats to novax_definer;
grant select on table public.org_stats to novax_api;
grant select on table public.org_stats to novax_backup;
grant select on table public.org_stats to novax_readonly;
grant select on table public.org_stats to novax_worker;
alter table public.org_stats enable row level security;
alter table public.org_stats force row level security;
comment on column public.org_stats.embedding_count is 'Rows in ai_embeddings. Below about 2000 an exact scan beats the HNSW index; the application chooses by this.';
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.org_stats FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy org_stats_select_novax_api on public.org_stats as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy org_stats_select_novax_readonly on public.org_stats as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy org_stats_select_novax_worker on public.org_stats as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.organizations (
  id uuid default gen_random_uuid() not null,
  name character varying not null,
  slug character varying not null,
  settings jsonb default '{}'::jsonb not null,
  owner_id uuid not null,
  status character varying default 'active'::character varying not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  allowed_domains character varying[] default '{}'::character varying[] not null,
  constraint organizations_pkey PRIMARY KEY (id),
  constraint fk_organizations_owner FOREIGN KEY (owner_id) REFERENCES public.users(id),
  constraint ck_organizations_name CHECK (((char_length((name)::text) >= 1) AND (char_length((name)::text) <= 200))),
  constraint ck_organizations_slug CHECK (((slug)::text ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'::text)),
  constraint ck_organizations_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'suspended'::character varying, 'deleted'::character varying])::text[])))
);
alter table public.organizations owner to novax_owner;
comment on table public.organizations is 'A tenant. Everything with an org_id belongs to exactly one.';
grant delete, insert, select, update on table public.organizations to novax_definer;
grant select on table public.organizations to novax_api;
grant select on table public.organizations to novax_backup;
grant select on table public.organizations to novax_readonly;
grant select on table public.organizations to novax_worker;
alter table public.organizations enable row level security;
alter table public.organizations force row level security;
grant update (name) on public.organizations to novax_api;
grant update (slug) on public.organizations to novax_api;
comment on column public.organizations.settings is 'Configuration of the organization, by key.';
grant update (settings) on public.organizations to novax_api;
comment on column public.organizations.owner_id is 'The accountable owner; always a member with role owner (checked at commit).';
grant update (owner_id) on public.organizations to novax_api;
grant update (status) on public.organizations to novax_api;
grant update (version) on public.organizations to novax_api;
comment on column public.organizations.allowed_domains is 'Lower-case domains that addresses of invited people must lie in; empty lets in any.';
grant update (allowed_domains) on public.organizations to novax_api;
CREATE INDEX idx_organizations_id ON public.organizations USING btree (id) WHERE ((status)::text = 'deleted'::text);
CREATE INDEX idx_organizations_owner_id ON public.organizations USING btree (owner_id);
CREATE UNIQUE INDEX idx_organizations_slug ON public.organizations USING btree (slug) WHERE ((status)::text <> 'deleted'::text);
CREATE CONSTRAINT TRIGGER check_owner AFTER INSERT OR UPDATE OF owner_id ON public.organizations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION private.check_owner();
CREATE CONSTRAINT TRIGGER end_memberships AFTER UPDATE OF status ON public.organizations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((((old.status)::text = 'deleted'::text) IS DISTINCT FROM ((new.status)::text = 'deleted'::text))) EXECUTE FUNCTION private.end_memberships();
CREATE TRIGGER note_view_change AFTER UPDATE OF name, status ON public.organizations FOR EACH STATEMENT EXECUTE FUNCTION private.note_view_change('mv_ai_document_context', 'mv_ai_task_intelligence');
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.organizations FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy organizations_select_novax_api on public.organizations as permissive for select to novax_api
  using ((id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy organizations_select_novax_readonly on public.organizations as permissive for select to novax_readonly
  using ((id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy organizations_select_novax_worker on public.organizations as permissive for select to novax_worker
  using ((id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy organizations_update_novax_api on public.organizations as permissive for update to novax_api
  using ((id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))
  with check (((id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND (((status)::text <> 'deleted'::text) OR (id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = 'owner'::text))))))));

create table public.person_keys (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  wrapped_key bytea,
  key_id character varying not null,
  destroyed_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint person_keys_pkey PRIMARY KEY (id),
  constraint fk_person_keys_user FOREIGN KEY (user_id) REFERENCES public.users(id),
  constraint ck_person_keys_destroyed CHECK (((destroyed_at IS NULL) = (wrapped_key IS NOT NULL)))
);
alter table public.person_keys owner to novax_owner;
comment on table public.person_keys is 'The key that seals one person''s fields in audit snapshots. Erasing a person destroys the key; the audit rows and their seals stay.';
grant insert, select on table public.person_keys to novax_api;
grant insert, select, update on table public.person_keys to novax_definer;
grant select on table public.person_keys to novax_backup;
alter table public.person_keys enable row level security;
alter table public.person_keys force row level security;
comment on column public.person_keys.wrapped_key is 'Data key wrapped under the key named in key_id; null once destroyed.';
grant update (wrapped_key) on public.person_keys to novax_api;
grant update (destroyed_at) on public.person_keys to novax_api;
CREATE UNIQUE INDEX idx_person_keys_user_id ON public.person_keys USING btree (user_id);
CREATE TRIGGER keep_key_destroyed BEFORE UPDATE ON public.person_keys FOR EACH ROW WHEN ((old.destroyed_at IS NOT NULL)) EXECUTE FUNCTION private.keep_key_destroyed();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.person_keys FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy person_keys_insert_novax_api on public.person_keys as permissive for insert to novax_api
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy person_keys_select_novax_api on public.person_keys as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy person_keys_update_novax_api on public.person_keys as permissive for update to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.projects (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  name character varying not null,
  description text,
  ai_context jsonb default '{}'::jsonb not null,
  language character varying default 'english'::character varying not null,
  status character varying default 'active'::character varying not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint projects_pkey PRIMARY KEY (id),
  constraint fk_projects_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint ck_projects_language CHECK (((language)::text = ANY ((ARRAY['simple'::character varying, 'english'::character varying, 'indonesian'::character varying])::text[]))),
  constraint ck_projects_name CHECK (((char_length((name)::text) >= 1) AND (char_length((name)::text) <= 200))),
  constraint ck_projects_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'archived'::character varying, 'deleted'::character varying])::text[])))
);
alter table public.projects owner to novax_owner;
comment on table public.projects is 'A body of work inside an organization.';
grant delete, select on table public.projects to novax_worker;
grant insert, select on table public.projects to novax_api;
grant select on table public.projects to novax_backup;
grant select on table public.projects to novax_definer;
grant select on table public.projects to novax_readonly;
alter table public.projects enable row level security;
alter table public.projects force row level security;
grant update (name) on public.projects to novax_api;
grant update (description) on public.projects to novax_api;
comment on column public.projects.ai_context is 'How the AI should see and treat this project: domain, keywords, classification, ai_instructions, relationships.';
grant update (ai_context) on public.projects to novax_api;
comment on column public.projects.language is 'Text search configuration that its documents start with.';
grant update (language) on public.projects to novax_api;
grant update (status) on public.projects to novax_api;
grant update (version) on public.projects to novax_api;
CREATE INDEX idx_projects_org_id ON public.projects USING btree (org_id) WHERE ((status)::text = 'deleted'::text);
CREATE INDEX idx_projects_org_id_created_at_id ON public.projects USING btree (org_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX idx_projects_org_id_id ON public.projects USING btree (org_id, id);
CREATE TRIGGER note_view_change AFTER DELETE OR UPDATE OF name, ai_context, status ON public.projects FOR EACH STATEMENT EXECUTE FUNCTION private.note_view_change('mv_ai_document_context', 'mv_ai_task_intelligence');
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.projects FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy projects_delete_novax_worker on public.projects as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy projects_insert_novax_api on public.projects as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))) AND (((status)::text <> 'deleted'::text) OR (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))));
create policy projects_select_novax_api on public.projects as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy projects_select_novax_readonly on public.projects as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy projects_select_novax_worker on public.projects as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy projects_update_novax_api on public.projects as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))))
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))) AND (((status)::text <> 'deleted'::text) OR (org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))));

create table public.recovery_codes (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  code_hash character varying not null,
  used_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  constraint recovery_codes_pkey PRIMARY KEY (id),
  constraint fk_recovery_codes_user FOREIGN KEY (user_id) REFERENCES public.users(id)
);
alter table public.recovery_codes owner to novax_owner;
comment on table public.recovery_codes is 'One-time codes that stand in for a lost factor; they go with it.';
grant delete, insert, select on table public.recovery_codes to novax_api;
grant delete, select on table public.recovery_codes to novax_definer;
grant select on table public.recovery_codes to novax_backup;
alter table public.recovery_codes enable row level security;
alter table public.recovery_codes force row level security;
comment on column public.recovery_codes.code_hash is 'Hex SHA-256: a code is random, of 74 bits, so that a slow hash would protect nothing more.';
grant update (used_at) on public.recovery_codes to novax_api;
CREATE INDEX idx_recovery_codes_user_id ON public.recovery_codes USING btree (user_id);
create policy recovery_codes_delete_novax_api on public.recovery_codes as permissive for delete to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy recovery_codes_insert_novax_api on public.recovery_codes as permissive for insert to novax_api
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy recovery_codes_select_novax_api on public.recovery_codes as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy recovery_codes_update_novax_api on public.recovery_codes as permissive for update to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.refresh_tokens (
  id uuid default gen_random_uuid() not null,
  session_id uuid not null,
  family_id uuid not null,
  token_hash bytea not null,
  status character varying default 'active'::character varying not null,
  replaced_by_id uuid,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint refresh_tokens_pkey PRIMARY KEY (id),
  constraint fk_refresh_tokens_replaced_by FOREIGN KEY (replaced_by_id) REFERENCES public.refresh_tokens(id) ON DELETE SET NULL,
  constraint fk_refresh_tokens_session FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE,
  constraint ck_refresh_tokens_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'rotated'::character varying, 'revoked'::character varying])::text[]))),
  constraint ck_refresh_tokens_token_hash CHECK ((octet_length(token_hash) = 32))
);
alter table public.refresh_tokens owner to novax_owner;
comment on table public.refresh_tokens is 'One-time refresh tokens. Every rotation adds a row to the family; using a rotated one again revokes family and session.';
grant delete, insert, select, update on table public.refresh_tokens to novax_definer;
grant select on table public.refresh_tokens to novax_backup;
alter table public.refresh_tokens enable row level security;
alter table public.refresh_tokens force row level security;
comment on column public.refresh_tokens.family_id is 'All tokens that descend from one sign-in.';
comment on column public.refresh_tokens.token_hash is 'SHA-256 of the token; the token itself is never stored.';
CREATE INDEX idx_refresh_tokens_expires_at ON public.refresh_tokens USING btree (expires_at);
CREATE INDEX idx_refresh_tokens_family_id ON public.refresh_tokens USING btree (family_id);
CREATE INDEX idx_refresh_tokens_replaced_by_id ON public.refresh_tokens USING btree (replaced_by_id);
CREATE INDEX idx_refresh_tokens_session_id ON public.refresh_tokens USING btree (session_id);
CREATE UNIQUE INDEX idx_refresh_tokens_token_hash ON public.refresh_tokens USING btree (token_hash);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.refresh_tokens FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();

create table public.retention_policies (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  entity_type character varying not null,
  retain_days integer not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint retention_policies_pkey PRIMARY KEY (id),
  constraint fk_retention_policies_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint ck_retention_policies_entity_type CHECK (((entity_type)::text = ANY ((ARRAY['organizations'::character varying, 'documents'::character varying, 'document_versions'::character varying, 'projects'::character varying, 'comments'::character varying, 'attachments'::character varying, 'notifications'::character varying])::text[]))),
  constraint ck_retention_policies_retain_days CHECK (((retain_days >= 1) AND (retain_days <= 36500)))
);
alter table public.retention_policies owner to novax_owner;
comment on table public.retention_policies is 'How long an organization keeps what is deleted or superseded, by kind, before the purge. Without a policy: 30 days for what is deleted, for good what is superseded and notifications.';
grant delete, insert, select on table public.retention_policies to novax_api;
grant select on table public.retention_policies to novax_backup;
grant select on table public.retention_policies to novax_definer;
grant select on table public.retention_policies to novax_readonly;
grant select on table public.retention_policies to novax_worker;
alter table public.retention_policies enable row level security;
alter table public.retention_policies force row level security;
grant update (retain_days) on public.retention_policies to novax_api;
CREATE UNIQUE INDEX idx_retention_policies_org_id_entity_type ON public.retention_policies USING btree (org_id, entity_type);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.retention_policies FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy retention_policies_delete_novax_api on public.retention_policies as permissive for delete to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy retention_policies_insert_novax_api on public.retention_policies as permissive for insert to novax_api
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy retention_policies_select_novax_api on public.retention_policies as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy retention_policies_select_novax_readonly on public.retention_policies as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy retention_policies_select_novax_worker on public.retention_policies as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy retention_policies_update_novax_api on public.retention_policies as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));

create table public.schema_migration_files (
  version bigint not null,
  name character varying(200) not null,
  sha256 character varying(64) not null,
  applied_at timestamp with time zone default now() not null,
  duration_ms integer,
  constraint schema_migration_files_pkey PRIMARY KEY (version),
  constraint schema_migration_files_sha256_check CHECK (((sha256)::text ~ '^[0-9a-f]{64}$'::text))
);
alter table public.schema_migration_files owner to novax_owner;
comment on table public.schema_migration_files is 'Checksums of the applied migrations, so that an edited file is noticed.';
grant select on table public.schema_migration_files to novax_backup;

create table public.schema_migrations (
  version bigint not null,
  dirty boolean not null,
  constraint schema_migrations_pkey PRIMARY KEY (version)
);
alter table public.schema_migrations owner to novax_owner;
comment on table public.schema_migrations is 'One row: the version the schema is at, as golang-migrate keeps it. No row before the first migration.';
grant select on table public.schema_migrations to novax_backup;

create table public.sessions (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  sid_hash bytea not null,
  ip_address inet,
  user_agent character varying,
  last_seen_at timestamp with time zone default now() not null,
  idle_expires_at timestamp with time zone not null,
  absolute_expires_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  revoked_reason character varying,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint sessions_pkey PRIMARY KEY (id),
  constraint fk_sessions_user FOREIGN KEY (user_id) REFERENCES public.users(id),
  constraint ck_sessions_revoked CHECK (((revoked_at IS NULL) = (revoked_reason IS NULL))),
  constraint ck_sessions_sid_hash CHECK ((octet_length(sid_hash) = 32))
);
alter table public.sessions owner to novax_owner;
comment on table public.sessions is 'One sign-in on one device. This table is the truth; session:{sid hash} in Valkey is its cache.';
grant delete on table public.sessions to novax_worker;
grant delete, insert, select, update on table public.sessions to novax_definer;
grant select on table public.sessions to novax_backup;
alter table public.sessions enable row level security;
alter table public.sessions force row level security;
grant select (id) on public.sessions to novax_api;
grant select (id) on public.sessions to novax_worker;
grant select (user_id) on public.sessions to novax_api;
grant select (user_id) on public.sessions to novax_worker;
comment on column public.sessions.sid_hash is 'SHA-256 of the secret session id; the id itself is never stored.';
grant select (ip_address) on public.sessions to novax_api;
grant select (user_agent) on public.sessions to novax_api;
grant select (last_seen_at) on public.sessions to novax_api;
grant select (idle_expires_at) on public.sessions to novax_api;
grant select (idle_expires_at) on public.sessions to novax_worker;
grant select (absolute_expires_at) on public.sessions to novax_api;
grant select (absolute_expires_at) on public.sessions to novax_worker;
grant select (revoked_at) on public.sessions to novax_api;
grant select (revoked_at) on public.sessions to novax_worker;
grant select (revoked_reason) on public.sessions to novax_api;
grant select (created_at) on public.sessions to novax_api;
grant select (created_at) on public.sessions to novax_worker;
grant select (updated_at) on public.sessions to novax_api;
CREATE INDEX idx_sessions_idle_expires_at ON public.sessions USING btree (idle_expires_at);
CREATE INDEX idx_sessions_revoked_at ON public.sessions USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);
CREATE UNIQUE INDEX idx_sessions_sid_hash ON public.sessions USING btree (sid_hash);
CREATE INDEX idx_sessions_user_id_created_at ON public.sessions USING btree (user_id, created_at);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.sessions FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy sessions_delete_novax_worker on public.sessions as permissive for delete to novax_worker
  using (true);
create policy sessions_select_novax_api on public.sessions as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy sessions_select_novax_worker on public.sessions as permissive for select to novax_worker
  using (true);

create table public.tasks (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  project_id uuid not null,
  document_id uuid,
  assignee_id uuid,
  creator_id uuid not null,
  title character varying not null,
  description text,
  priority character varying default 'medium'::character varying not null,
  status character varying default 'todo'::character varying not null,
  "position" double precision default 0 not null,
  due_date timestamp with time zone,
  completed_at timestamp with time zone,
  ai_metadata jsonb default '{}'::jsonb not null,
  ai_updated_at timestamp with time zone,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint tasks_pkey PRIMARY KEY (id),
  constraint fk_tasks_assignee FOREIGN KEY (org_id, assignee_id) REFERENCES public.org_members(org_id, user_id) ON DELETE SET NULL (assignee_id),
  constraint fk_tasks_creator FOREIGN KEY (creator_id) REFERENCES public.users(id),
  constraint fk_tasks_document FOREIGN KEY (org_id, document_id) REFERENCES public.documents(org_id, id) ON DELETE SET NULL (document_id),
  constraint fk_tasks_project FOREIGN KEY (org_id, project_id) REFERENCES public.projects(org_id, id) ON DELETE CASCADE,
  constraint ck_tasks_priority CHECK (((priority)::text = ANY ((ARRAY['critical'::character varying, 'high'::character varying, 'medium'::character varying, 'low'::character varying])::text[]))),
  constraint ck_tasks_status CHECK (((status)::text = ANY ((ARRAY['todo'::character varying, 'in_progress'::character varying, 'review'::character varying, 'done'::character varying])::text[]))),
  constraint ck_tasks_title CHECK (((char_length((title)::text) >= 1) AND (char_length((title)::text) <= 500)))
);
alter table public.tasks owner to novax_owner;
comment on table public.tasks is 'A piece of work on a project''s board.';
grant delete, insert, select on table public.tasks to novax_api;
grant delete, select on table public.tasks to novax_worker;
grant select on table public.tasks to novax_backup;
grant select on table public.tasks to novax_definer;
grant select on table public.tasks to novax_readonly;
alter table public.tasks enable row level security;
alter table public.tasks force row level security;
grant select (id) on public.tasks to ai_agent_role;
grant select (org_id) on public.tasks to ai_agent_role;
grant select (project_id) on public.tasks to ai_agent_role;
grant update (project_id) on public.tasks to novax_api;
grant select (document_id) on public.tasks to ai_agent_role;
grant update (document_id) on public.tasks to novax_api;
comment on column public.tasks.assignee_id is 'A member of the organization; empty again when they leave.';
grant update (assignee_id) on public.tasks to novax_api;
grant select (title) on public.tasks to ai_agent_role;
grant update (title) on public.tasks to novax_api;
grant select (description) on public.tasks to ai_agent_role;
grant update (description) on public.tasks to novax_api;
grant select (priority) on public.tasks to ai_agent_role;
grant update (priority) on public.tasks to novax_api;
grant select (status) on public.tasks to ai_agent_role;
grant update (status) on public.tasks to novax_api;
comment on column public.tasks."position" is 'Order inside a board column, ascending; a move takes a value between its neighbours.';
grant update ("position") on public.tasks to novax_api;
grant select (due_date) on public.tasks to ai_agent_role;
grant update (due_date) on public.tasks to novax_api;
grant update (completed_at) on public.tasks to novax_api;
comment on column public.tasks.ai_metadata is 'Open facts an AI noted, by key.';
grant select (ai_metadata), update (ai_metadata) on public.tasks to ai_agent_role;
grant update (ai_metadata) on public.tasks to novax_worker;
grant select (ai_updated_at) on public.tasks to ai_agent_role;
grant update (ai_updated_at) on public.tasks to novax_worker;
grant select (version) on public.tasks to ai_agent_role;
grant update (version) on public.tasks to novax_api;
grant select (created_at) on public.tasks to ai_agent_role;
grant select (updated_at) on public.tasks to ai_agent_role;
CREATE INDEX idx_tasks_assignee_id ON public.tasks USING btree (assignee_id);
CREATE INDEX idx_tasks_creator_id ON public.tasks USING btree (creator_id);
CREATE INDEX idx_tasks_due_date ON public.tasks USING btree (due_date);
CREATE INDEX idx_tasks_org_id_assignee_id ON public.tasks USING btree (org_id, assignee_id) WHERE (assignee_id IS NOT NULL);
CREATE INDEX idx_tasks_org_id_document_id ON public.tasks USING btree (org_id, document_id) WHERE (document_id IS NOT NULL);
CREATE UNIQUE INDEX idx_tasks_org_id_id ON public.tasks USING btree (org_id, id);
CREATE INDEX idx_tasks_org_id_project_id_created_at_id ON public.tasks USING btree (org_id, project_id, created_at DESC, id DESC);
CREATE INDEX idx_tasks_project_id_status ON public.tasks USING btree (project_id, status, "position");
CREATE TRIGGER note_view_change AFTER INSERT OR DELETE OR UPDATE ON public.tasks FOR EACH STATEMENT EXECUTE FUNCTION private.note_view_change('mv_ai_task_intelligence');
CREATE TRIGGER set_ai_updated_at BEFORE UPDATE OF ai_metadata ON public.tasks FOR EACH ROW WHEN ((old.ai_metadata IS DISTINCT FROM new.ai_metadata)) EXECUTE FUNCTION private.set_ai_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.tasks FOR EACH ROW WHEN ((((((((((((((old.org_id IS DISTINCT FROM new.org_id) OR (old.project_id IS DISTINCT FROM new.project_id)) OR (old.document_id IS DISTINCT FROM new.document_id)) OR (old.assignee_id IS DISTINCT FROM new.assignee_id)) OR (old.creator_id IS DISTINCT FROM new.creator_id)) OR ((old.title)::text IS DISTINCT FROM (new.title)::text)) OR (old.description IS DISTINCT FROM new.description)) OR ((old.priority)::text IS DISTINCT FROM (new.priority)::text)) OR ((old.status)::text IS DISTINCT FROM (new.status)::text)) OR (old."position" IS DISTINCT FROM new."position")) OR (old.due_date IS DISTINCT FROM new.due_date)) OR (old.completed_at IS DISTINCT FROM new.completed_at)) OR (old.version IS DISTINCT FROM new.version))) EXECUTE FUNCTION private.set_updated_at();
create policy tasks_delete_novax_api on public.tasks as permissive for delete to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy tasks_delete_novax_worker on public.tasks as permissive for delete to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy tasks_insert_novax_api on public.tasks as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))) AND (creator_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy tasks_select_ai_agent_role on public.tasks as permissive for select to ai_agent_role
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy tasks_select_novax_api on public.tasks as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)))))));
create policy tasks_select_novax_readonly on public.tasks as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy tasks_select_novax_worker on public.tasks as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy tasks_update_ai_agent_role on public.tasks as permissive for update to ai_agent_role
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy tasks_update_novax_api on public.tasks as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying])::text[])))))));
create policy tasks_update_novax_worker on public.tasks as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.totp_factors (
  id uuid default gen_random_uuid() not null,
  user_id uuid not null,
  secret_ciphertext bytea not null,
  key_id character varying not null,
  status character varying default 'pending'::character varying not null,
  last_used_step bigint,
  confirmed_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint totp_factors_pkey PRIMARY KEY (id),
  constraint fk_totp_factors_user FOREIGN KEY (user_id) REFERENCES public.users(id),
  constraint ck_totp_factors_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'active'::character varying, 'disabled'::character varying])::text[])))
);
alter table public.totp_factors owner to novax_owner;
comment on table public.totp_factors is 'Time-based one-time password factors (RFC 6238).';
grant delete, insert, select, update on table public.totp_factors to novax_api;
grant delete, select on table public.totp_factors to novax_definer;
grant select on table public.totp_factors to novax_backup;
alter table public.totp_factors enable row level security;
alter table public.totp_factors force row level security;
comment on column public.totp_factors.secret_ciphertext is 'Shared secret, sealed by the application under the key named in key_id.';
comment on column public.totp_factors.last_used_step is 'Last accepted time step: a code works once.';
CREATE UNIQUE INDEX idx_totp_factors_user_id ON public.totp_factors USING btree (user_id) WHERE ((status)::text = 'active'::text);
CREATE INDEX idx_totp_factors_user_id_created_at ON public.totp_factors USING btree (user_id, created_at);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.totp_factors FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy totp_factors_delete_novax_api on public.totp_factors as permissive for delete to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy totp_factors_insert_novax_api on public.totp_factors as permissive for insert to novax_api
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy totp_factors_select_novax_api on public.totp_factors as permissive for select to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy totp_factors_update_novax_api on public.totp_factors as permissive for update to novax_api
  using ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.usage_samples (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  metric character varying not null,
  value double precision not null,
  labels jsonb default '{}'::jsonb not null,
  sampled_at timestamp with time zone default now() not null,
  created_at timestamp with time zone default now() not null,
  constraint usage_samples_pkey PRIMARY KEY (id, sampled_at),
  constraint ck_usage_samples_metric CHECK (((char_length((metric)::text) >= 1) AND (char_length((metric)::text) <= 100)))
) partition by RANGE (sampled_at);
alter table public.usage_samples owner to novax_owner;
comment on table public.usage_samples is 'What an organization used, over time. No runtime role reads it: private.usage_for_current_org does. May be a hypertable.';
grant insert, select on table public.usage_samples to novax_definer;
grant select on table public.usage_samples to novax_backup;
alter table public.usage_samples enable row level security;
alter table public.usage_samples force row level security;
CREATE INDEX idx_usage_samples_org_id_metric_sampled_at ON ONLY public.usage_samples USING btree (org_id, metric, sampled_at);
-- partition public.usage_samples_default DEFAULT; owner novax_owner; row security forced; grant select to novax_backup
-- monthly partitions public.usage_samples_YYYY_MM, at least 4; owner novax_owner; row security forced; grant select to novax_backup

create table public.users (
  id uuid default gen_random_uuid() not null,
  email character varying not null,
  email_normalized character varying not null,
  username character varying not null,
  username_normalized character varying not null,
  password_hash character varying not null,
  profile_metadata jsonb default '{}'::jsonb not null,
  status character varying default 'active'::character varying not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  email_verified_at timestamp with time zone,
  constraint users_pkey PRIMARY KEY (id),
  constraint ck_users_email CHECK (((char_length((email)::text) >= 3) AND (char_length((email)::text) <= 254))),
  constraint ck_users_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'suspended'::character varying, 'deleted'::character varying])::text[]))),
  constraint ck_users_username CHECK (((char_length((username)::text) >= 1) AND (char_length((username)::text) <= 64)))
);
alter table public.users owner to novax_owner;
comment on table public.users is 'A person with an account. Deleted people keep their row, so that what they wrote keeps its author.';
grant insert, select, update on table public.users to novax_definer;
grant select on table public.users to novax_backup;
alter table public.users enable row level security;
alter table public.users force row level security;
grant select (id) on public.users to novax_api;
grant select (id) on public.users to novax_readonly;
grant select (id) on public.users to novax_worker;
grant select (email) on public.users to novax_api;
grant select (email) on public.users to novax_readonly;
grant select (email) on public.users to novax_worker;
comment on column public.users.email_normalized is 'Lower-case form computed by the application: lower(email) in a query under row-level security could not use an index.';
grant select (email_normalized) on public.users to novax_api;
grant select (email_normalized) on public.users to novax_readonly;
grant select (email_normalized) on public.users to novax_worker;
grant select (username) on public.users to novax_readonly;
grant select (username) on public.users to novax_worker;
grant select (username), update (username) on public.users to novax_api;
comment on column public.users.username_normalized is 'Lower-case form computed by the application, unique among people who are not deleted.';
grant select (username_normalized) on public.users to novax_readonly;
grant select (username_normalized) on public.users to novax_worker;
grant select (username_normalized), update (username_normalized) on public.users to novax_api;
comment on column public.users.password_hash is 'Argon2id in PHC form; readable by private.login_lookup alone.';
comment on column public.users.profile_metadata is 'Display name, locale and the like; readable by the AI.';
grant select (profile_metadata) on public.users to novax_readonly;
grant select (profile_metadata) on public.users to novax_worker;
grant select (profile_metadata), update (profile_metadata) on public.users to novax_api;
grant select (status) on public.users to novax_api;
grant select (status) on public.users to novax_readonly;
grant select (status) on public.users to novax_worker;
grant select (created_at) on public.users to novax_api;
grant select (created_at) on public.users to novax_readonly;
grant select (created_at) on public.users to novax_worker;
grant select (updated_at) on public.users to novax_api;
grant select (updated_at) on public.users to novax_readonly;
grant select (updated_at) on public.users to novax_worker;
comment on column public.users.email_verified_at is 'When the address was last proved to be this person''s; null until then.';
grant select (email_verified_at) on public.users to novax_api;
grant select (email_verified_at) on public.users to novax_readonly;
grant select (email_verified_at) on public.users to novax_worker;
CREATE UNIQUE INDEX idx_users_email_normalized ON public.users USING btree (email_normalized) WHERE ((status)::text <> 'deleted'::text);
CREATE UNIQUE INDEX idx_users_username_normalized ON public.users USING btree (username_normalized) WHERE ((status)::text <> 'deleted'::text);
CREATE TRIGGER end_sessions_of_inactive AFTER UPDATE OF status ON public.users FOR EACH ROW WHEN ((((old.status)::text = 'active'::text) AND ((new.status)::text <> 'active'::text))) EXECUTE FUNCTION private.end_sessions_of_inactive();
CREATE TRIGGER note_view_change AFTER UPDATE OF username ON public.users FOR EACH STATEMENT EXECUTE FUNCTION private.note_view_change('mv_ai_document_context', 'mv_ai_task_intelligence');
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy users_select_novax_api on public.users as permissive for select to novax_api
  using ((id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy users_select_novax_readonly on public.users as permissive for select to novax_readonly
  using ((id IN ( SELECT m.user_id
   FROM public.org_members m
  WHERE (m.org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))));
create policy users_select_novax_worker on public.users as permissive for select to novax_worker
  using ((id IN ( SELECT m.user_id
   FROM app.memberships m
  WHERE (m.org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))));
create policy users_update_novax_api on public.users as permissive for update to novax_api
  using ((id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")));

create table public.view_changes (
  view character varying not null,
  xact_id xid8 default pg_current_xact_id() not null,
  created_at timestamp with time zone default now() not null,
  constraint view_changes_pkey PRIMARY KEY (xact_id, view),
  constraint ck_view_changes_view CHECK (((view)::text = ANY ((ARRAY['mv_ai_document_context'::character varying, 'mv_ai_task_intelligence'::character varying])::text[])))
);
alter table public.view_changes owner to novax_owner;
comment on table public.view_changes is 'Transactions that a materialized view does not show yet. Not a tenant table: it says that something changed, not what.';
grant delete, insert, select on table public.view_changes to novax_definer;
grant select on table public.view_changes to novax_backup;
alter table public.view_changes enable row level security;
alter table public.view_changes force row level security;
comment on column public.view_changes.xact_id is 'Transaction that changed what the view is made of.';

create table public.webhook_deliveries (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  webhook_id uuid not null,
  event_id uuid not null,
  event_type character varying not null,
  status character varying default 'pending'::character varying not null,
  attempts integer default 0 not null,
  next_attempt_at timestamp with time zone default now() not null,
  response_status smallint,
  response_ms integer,
  last_error text,
  delivered_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint webhook_deliveries_pkey PRIMARY KEY (id, created_at),
  constraint fk_webhook_deliveries_webhook FOREIGN KEY (org_id, webhook_id) REFERENCES public.webhooks(org_id, id) ON DELETE CASCADE,
  constraint ck_webhook_deliveries_status CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'delivered'::character varying, 'failed'::character varying])::text[])))
) partition by RANGE (created_at);
alter table public.webhook_deliveries owner to novax_owner;
comment on table public.webhook_deliveries is 'One event owed to one webhook, and how its delivery went.';
grant insert, select, update on table public.webhook_deliveries to novax_worker;
grant select on table public.webhook_deliveries to novax_api;
grant select on table public.webhook_deliveries to novax_backup;
grant select on table public.webhook_deliveries to novax_readonly;
alter table public.webhook_deliveries enable row level security;
alter table public.webhook_deliveries force row level security;
grant update (status) on public.webhook_deliveries to novax_api;
grant update (next_attempt_at) on public.webhook_deliveries to novax_api;
CREATE INDEX idx_webhook_deliveries_event_id ON ONLY public.webhook_deliveries USING btree (event_id);
CREATE INDEX idx_webhook_deliveries_org_id_webhook_id_created_at ON ONLY public.webhook_deliveries USING btree (org_id, webhook_id, created_at);
CREATE INDEX idx_webhook_deliveries_status_next_attempt_at ON ONLY public.webhook_deliveries USING btree (status, next_attempt_at) WHERE ((status)::text = 'pending'::text);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.webhook_deliveries FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy webhook_deliveries_insert_novax_worker on public.webhook_deliveries as permissive for insert to novax_worker
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy webhook_deliveries_select_novax_api on public.webhook_deliveries as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy webhook_deliveries_select_novax_readonly on public.webhook_deliveries as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy webhook_deliveries_select_novax_worker on public.webhook_deliveries as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy webhook_deliveries_update_novax_api on public.webhook_deliveries as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy webhook_deliveries_update_novax_worker on public.webhook_deliveries as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
-- partition public.webhook_deliveries_default DEFAULT; owner novax_owner; row security forced; grant select to novax_backup
-- monthly partitions public.webhook_deliveries_YYYY_MM, at least 4; owner novax_owner; row security forced; grant select to novax_backup

create table public.webhooks (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  creator_id uuid not null,
  url character varying not null,
  description character varying,
  event_types character varying[] default '{}'::character varying[] not null,
  secret_ciphertext bytea not null,
  key_id character varying not null,
  status character varying default 'active'::character varying not null,
  failure_count integer default 0 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint webhooks_pkey PRIMARY KEY (id),
  constraint fk_webhooks_creator FOREIGN KEY (creator_id) REFERENCES public.users(id),
  constraint fk_webhooks_organization FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint ck_webhooks_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'paused'::character varying, 'disabled'::character varying])::text[]))),
  constraint ck_webhooks_url CHECK ((((url)::text ~ '^https://'::text) AND (char_length((url)::text) <= 2048)))
);
alter table public.webhooks owner to novax_owner;
comment on table public.webhooks is 'An address of another system that is told of events.';
grant delete, insert on table public.webhooks to novax_api;
grant select on table public.webhooks to novax_backup;
grant select on table public.webhooks to novax_worker;
alter table public.webhooks enable row level security;
alter table public.webhooks force row level security;
grant select (id) on public.webhooks to novax_api;
grant select (id) on public.webhooks to novax_readonly;
grant select (org_id) on public.webhooks to novax_api;
grant select (org_id) on public.webhooks to novax_readonly;
grant select (creator_id) on public.webhooks to novax_api;
grant select (creator_id) on public.webhooks to novax_readonly;
grant select (url) on public.webhooks to novax_readonly;
grant select (url), update (url) on public.webhooks to novax_api;
grant select (description) on public.webhooks to novax_readonly;
grant select (description), update (description) on public.webhooks to novax_api;
comment on column public.webhooks.event_types is 'Empty: all.';
grant select (event_types) on public.webhooks to novax_readonly;
grant select (event_types), update (event_types) on public.webhooks to novax_api;
comment on column public.webhooks.secret_ciphertext is 'Signing secret, sealed by the application under the key named in key_id.';
grant update (secret_ciphertext) on public.webhooks to novax_api;
grant select (key_id) on public.webhooks to novax_readonly;
grant select (key_id), update (key_id) on public.webhooks to novax_api;
grant select (status) on public.webhooks to novax_readonly;
grant select (status), update (status) on public.webhooks to novax_api;
grant update (status) on public.webhooks to novax_worker;
grant select (failure_count) on public.webhooks to novax_api;
grant select (failure_count) on public.webhooks to novax_readonly;
grant update (failure_count) on public.webhooks to novax_worker;
grant select (created_at) on public.webhooks to novax_api;
grant select (created_at) on public.webhooks to novax_readonly;
grant select (updated_at) on public.webhooks to novax_api;
grant select (updated_at) on public.webhooks to novax_readonly;
CREATE INDEX idx_webhooks_creator_id ON public.webhooks USING btree (creator_id);
CREATE UNIQUE INDEX idx_webhooks_org_id_id ON public.webhooks USING btree (org_id, id);
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.webhooks FOR EACH ROW EXECUTE FUNCTION private.set_updated_at();
create policy webhooks_delete_novax_api on public.webhooks as permissive for delete to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy webhooks_insert_novax_api on public.webhooks as permissive for insert to novax_api
  with check (((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))) AND (creator_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif"))));
create policy webhooks_select_novax_api on public.webhooks as permissive for select to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy webhooks_select_novax_readonly on public.webhooks as permissive for select to novax_readonly
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy webhooks_select_novax_worker on public.webhooks as permissive for select to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));
create policy webhooks_update_novax_api on public.webhooks as permissive for update to novax_api
  using ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))))
  with check ((org_id = ANY (ARRAY( SELECT m.org_id
   FROM app.memberships m
  WHERE ((m.user_id = ( SELECT (NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS "nullif")) AND (m.org_id = COALESCE(( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif"), m.org_id)) AND ((m.role)::text = ANY ((ARRAY['owner'::character varying, 'admin'::character varying])::text[])))))));
create policy webhooks_update_novax_worker on public.webhooks as permissive for update to novax_worker
  using ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((org_id = ( SELECT (NULLIF(current_setting('app.current_org_id'::text, true), ''::text))::uuid AS "nullif")));

CREATE OR REPLACE FUNCTION ai.replace_embeddings(p_source_type character varying, p_source_id uuid, p_model_id smallint, p_chunks jsonb)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function ai.replace_embeddings(p_source_type character varying, p_source_id uuid, p_model_id smallint, p_chunks jsonb) owner to novax_definer;
comment on function ai.replace_embeddings(p_source_type character varying, p_source_id uuid, p_model_id smallint, p_chunks jsonb) is 'Replaces all vectors of one source and model in app.current_org_id; p_chunks is an array of {chunk_no, char_from, char_to, dims, content_hash (hex), embedding (1536 numbers), metadata}. Returns how many were stored.';
grant execute on function ai.replace_embeddings(p_source_type character varying, p_source_id uuid, p_model_id smallint, p_chunks jsonb) to ai_agent_role;
grant execute on function ai.replace_embeddings(p_source_type character varying, p_source_id uuid, p_model_id smallint, p_chunks jsonb) to novax_worker;

CREATE OR REPLACE FUNCTION private.accept_invitation(p_token_hash bytea, p_user_id uuid)
 RETURNS TABLE(outcome character varying, invitation_id uuid, org_id uuid, member_id uuid, role character varying, previous_role character varying, version integer, verified boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_weakest_first constant varchar[] := '{viewer,member,admin,owner}';
  v_invitation public.invitations;
  v_member public.org_members;
  v_previous_role varchar;
  v_joined boolean;
  v_verified boolean;
begin
  perform private.require_self(p_user_id);
  select i.* into v_invitation from public.invitations i where i.token_hash = p_token_hash for update;
  -- Whoever holds the mail holds the token; it is still meant for one address, and for as long as the organization lets that address in.
  if not found
    or not exists (
      select from public.users u
      where u.id = p_user_id and u.status = 'active' and u.email_normalized = v_invitation.email_normalized
    )
    or not exists (
      select from public.organizations o
      where o.id = v_invitation.org_id and o.status = 'active'
        and private.domain_allowed(o.allowed_domains, v_invitation.email_normalized)
    ) then
    return;
  end if;
  if v_invitation.status = 'accepted' and v_invitation.accepted_by_id = p_user_id then
    return query
      select 'repeated'::varchar, v_invitation.id, m.org_id, m.id, m.role, m.role, m.version, false
      from public.org_members m where m.org_id = v_invitation.org_id and m.user_id = p_user_id;
    return;
  end if;
  if v_invitation.status <> 'pending' or v_invitation.expires_at <= clock_timestamp() then
    return;
  end if;
  insert into public.org_members (org_id, user_id, role) values (v_invitation.org_id, p_user_id, v_invitation.role)
  on conflict (org_id, user_id) do nothing;
  v_joined := found;
  select m.* into strict v_member from public.org_members m where m.org_id = v_invitation.org_id and m.user_id = p_user_id for update;
  v_previous_role := v_member.role;
  if array_position(v_weakest_first, v_invitation.role) > array_position(v_weakest_first, v_member.role) then
    update public.org_members m set role = v_invitation.role, version = m.version + 1 where m.id = v_member.id returning m.* into v_member;
  end if;
  update public.invitations i set status = 'accepted', accepted_at = clock_timestamp(), accepted_by_id = p_user_id where i.id = v_invitation.id;
  -- The token came by mail to this very address.
  update public.users u set email_verified_at = clock_timestamp() where u.id = p_user_id and u.email_verified_at is null;
  v_verified := found;
  return query
    select case when v_joined then 'joined' when v_previous_role <> v_member.role then 'raised' else 'member' end::varchar,
      v_invitation.id, v_member.org_id, v_member.id, v_member.role, v_previous_role, v_member.version, v_verified;
end
$function$;
alter function private.accept_invitation(p_token_hash bytea, p_user_id uuid) owner to novax_definer;
comment on function private.accept_invitation(p_token_hash bytea, p_user_id uuid) is 'Redeems an invitation for oneself: joined, raised (a member who had a weaker role), member (nothing to gain) or repeated. No row for a token that is unknown, withdrawn, used, overdue, or meant for another address, and while the organization is not active.';
grant execute on function private.accept_invitation(p_token_hash bytea, p_user_id uuid) to novax_api;

CREATE OR REPLACE FUNCTION private.add_person_key(p_user_id uuid, p_wrapped_key bytea, p_key_id character varying)
 RETURNS TABLE(wrapped_key bytea, key_id character varying)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  insert into public.person_keys (user_id, wrapped_key, key_id) values (p_user_id, p_wrapped_key, p_key_id)
  on conflict (user_id) do nothing;
  return query select k.wrapped_key, k.key_id from public.person_keys k where k.user_id = p_user_id;
end
$function$;
alter function private.add_person_key(p_user_id uuid, p_wrapped_key bytea, p_key_id character varying) owner to novax_definer;
comment on function private.add_person_key(p_user_id uuid, p_wrapped_key bytea, p_key_id character varying) is 'Stores a person''s key unless there is one, and answers the one that counts.';
grant execute on function private.add_person_key(p_user_id uuid, p_wrapped_key bytea, p_key_id character varying) to novax_api;
grant execute on function private.add_person_key(p_user_id uuid, p_wrapped_key bytea, p_key_id character varying) to novax_worker;

CREATE OR REPLACE PROCEDURE private.add_policies(IN p_table regclass, IN p_role name, IN p_commands character varying[], IN p_condition text, IN p_check text DEFAULT NULL::text)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $procedure$
declare
  v_command varchar;
begin
  if p_condition is null then
    raise exception 'no condition given for the policies of %', p_table;
  end if;
  foreach v_command in array p_commands loop
    execute format(
      'create policy %I on %s for %s to %I %s %s',
      (select relname from pg_class where oid = p_table) || '_' || v_command || '_' || p_role,
      p_table,
      v_command,
      p_role,
      case when v_command <> 'insert' then format('using (%s)', p_condition) end,
      case when v_command in ('insert', 'update') then format('with check (%s)', coalesce(p_check, p_condition)) end
    );
  end loop;
end
$procedure$;
alter procedure private.add_policies(IN p_table regclass, IN p_role name, IN p_commands character varying[], IN p_condition text, IN p_check text) owner to novax_owner;
comment on procedure private.add_policies(IN p_table regclass, IN p_role name, IN p_commands character varying[], IN p_condition text, IN p_check text) is 'One policy per command for one role, named {table}_{command}_{role}; p_check replaces the condition for new rows.';

CREATE OR REPLACE FUNCTION private.api_key_by_hash(p_key_hash bytea)
 RETURNS TABLE(api_key_id uuid, org_id uuid, user_id uuid, user_status character varying, scopes character varying[], status character varying, expires_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select k.id, k.org_id, k.creator_id, u.status, k.scopes, k.status, k.expires_at
  from public.api_keys k
  join public.users u on u.id = k.creator_id
  join app.memberships m on m.user_id = k.creator_id and m.org_id = k.org_id
  join public.organizations o on o.id = k.org_id and o.status = 'active'
  where k.key_hash = p_key_hash
$function$;
alter function private.api_key_by_hash(p_key_hash bytea) owner to novax_definer;
comment on function private.api_key_by_hash(p_key_hash bytea) is 'The key behind a secret, while its creator is a member of its active organization. The caller decides: active key, active creator, not expired.';
grant execute on function private.api_key_by_hash(p_key_hash bytea) to novax_api;

CREATE OR REPLACE FUNCTION private.audit_heads()
 RETURNS TABLE(id uuid, chain character varying, seal_no bigint, epoch integer, hash bytea, signature bytea, key_id character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select distinct on (s.chain) s.id, s.chain, s.seal_no, s.epoch, s.hash, s.signature, s.key_id
  from public.audit_seals s
  order by s.chain, s.seal_no desc
$function$;
alter function private.audit_heads() owner to novax_definer;
comment on function private.audit_heads() is 'The last seal of every chain.';
grant execute on function private.audit_heads() to novax_worker;

CREATE OR REPLACE FUNCTION private.audit_horizon_now()
 RETURNS TABLE(epoch integer, next_xact xid8, prior_epoch integer, prior_xact xid8)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ select h.epoch, h.next_xact, h.prior_epoch, h.prior_xact from public.audit_horizon h $function$;
alter function private.audit_horizon_now() owner to novax_definer;
comment on function private.audit_horizon_now() is 'The horizon, for whoever checks the seals.';
grant execute on function private.audit_horizon_now() to novax_api;
grant execute on function private.audit_horizon_now() to novax_backup;
grant execute on function private.audit_horizon_now() to novax_worker;

CREATE OR REPLACE FUNCTION private.audit_row_hash(p_row public.audit_log)
 RETURNS bytea
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select sha256(convert_to(jsonb_build_array(
    p_row.id, p_row.org_id, p_row.actor_type, p_row.actor_id, p_row.api_key_id, p_row.action, p_row.entity_type, p_row.entity_id,
    p_row.old_value, p_row.new_value, p_row.ip_address::text, p_row.request_id, p_row.sealed,
    (extract(epoch from p_row.created_at) * 1000000)::bigint, p_row.epoch, p_row.xact_id::text
  )::text, 'UTF8'))
$function$;
alter function private.audit_row_hash(p_row public.audit_log) owner to novax_definer;
comment on function private.audit_row_hash(p_row public.audit_log) is 'SHA-256 over a canonical text of every column of an audit row: the text of jsonb does not depend on settings.';
grant execute on function private.audit_row_hash(p_row public.audit_log) to novax_api;
grant execute on function private.audit_row_hash(p_row public.audit_log) to novax_backup;
grant execute on function private.audit_row_hash(p_row public.audit_log) to novax_worker;

CREATE OR REPLACE FUNCTION private.audit_settled(p_limit integer)
 RETURNS TABLE(org_id uuid, epoch integer, from_xact text, to_xact text, ids character varying[], hashes bytea, last_seal_no bigint, last_hash bytea)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_horizon public.audit_horizon;
  v_epoch integer;
  v_from xid8;
  v_to xid8;
  v_cut xid8;
begin
  -- One sealer at a time; the others have nothing to do.
  if not pg_try_advisory_xact_lock(hashtextextended('private.audit_seals', 0)) then
    return;
  end if;
  -- Taken before the rows are looked at: the next statement's snapshot sees all that these transactions have left.
  v_to := pg_snapshot_xmin(pg_current_snapshot());
  select * into v_horizon from public.audit_horizon;
  v_epoch := v_horizon.epoch;
  v_from := v_horizon.next_xact;
  if v_horizon.prior_epoch is not null then
    select a.epoch into v_epoch from public.audit_log a
    where (a.epoch, a.xact_id) >= (v_horizon.prior_epoch, v_horizon.prior_xact) and a.epoch < v_horizon.epoch
    order by a.epoch, a.xact_id limit 1;
    if found then
      -- What a restore brought is settled, whatever its numbers.
      v_from := case when v_epoch = v_horizon.prior_epoch then v_horizon.prior_xact else '0' end;
      v_to := '18446744073709551615';
    else
      v_epoch := v_horizon.epoch;
      update public.audit_horizon set prior_epoch = null, prior_xact = null;
    end if;
  end if;
  -- As many whole transactions as hold `p_limit` rows, and one at least.
  select a.xact_id into v_cut from public.audit_log a
  where a.epoch = v_epoch and a.xact_id >= v_from and a.xact_id < v_to
  order by a.xact_id offset p_limit limit 1;
  if found then
    if exists (select from public.audit_log a where a.epoch = v_epoch and a.xact_id >= v_from and a.xact_id < v_cut) then
      v_to := v_cut;
    else
      select coalesce(min(a.xact_id), v_to) into v_to from public.audit_log a
      where a.epoch = v_epoch and a.xact_id > v_cut and a.xact_id < v_to;
    end if;
  end if;
  return query
  select b.org_id, v_epoch, v_from::text, v_to::text, b.ids, b.hashes, coalesce(s.seal_no, 0), coalesce(s.hash, decode(repeat('00', 32), 'hex'))
  from (
    select a.org_id, array_agg(a.id::varchar order by a.id) as ids, string_agg(private.audit_row_hash(a), ''::bytea order by a.id) as hashes
    from public.audit_log a
    where a.epoch = v_epoch and a.xact_id >= v_from and a.xact_id < v_to
    group by a.org_id
  ) b
  left join lateral (
    select t.seal_no, t.hash from public.audit_seals t
    where t.chain = coalesce(b.org_id::text, 'system')
    order by t.seal_no desc limit 1
  ) s on true;
end
$function$;
alter function private.audit_settled(p_limit integer) owner to novax_definer;
comment on function private.audit_settled(p_limit integer) is 'Rows that no seal covers and no transaction can add to any more, one line per chain, about p_limit rows in all; none while another sealer is at work.';
grant execute on function private.audit_settled(p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.audit_state()
 RETURNS TABLE(epoch integer, next_xact text, prior_epoch integer, prior_xact text, anchored_at timestamp with time zone, pending bigint, lag_seconds double precision)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select h.epoch, h.next_xact::text, h.prior_epoch, h.prior_xact::text, h.anchored_at, p.pending,
         greatest(coalesce(extract(epoch from clock_timestamp() - p.oldest), 0), 0)::double precision
  from public.audit_horizon h
  cross join lateral (
    select count(*) as pending, min(a.created_at) as oldest from public.audit_log a
    where a.epoch = h.epoch and a.xact_id >= h.next_xact
       or a.epoch < h.epoch and (a.epoch, a.xact_id) >= (h.prior_epoch, h.prior_xact)
  ) p
$function$;
alter function private.audit_state() owner to novax_definer;
comment on function private.audit_state() is 'How far all chains are sealed, how many rows wait and for how long.';
grant execute on function private.audit_state() to novax_worker;

CREATE OR REPLACE FUNCTION private.audit_system(p_actor_type character varying, p_actor_id uuid, p_action character varying, p_entity_type character varying, p_entity_id uuid, p_old_value jsonb DEFAULT NULL::jsonb, p_new_value jsonb DEFAULT NULL::jsonb, p_ip_address inet DEFAULT NULL::inet, p_request_id character varying DEFAULT NULL::character varying, p_sealed jsonb DEFAULT NULL::jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_actor(p_actor_type, p_actor_id, p_entity_id);
  insert into public.audit_log (
    org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, new_value, ip_address, request_id, sealed
  )
  values (
    null, p_actor_type, p_actor_id, p_action, p_entity_type, p_entity_id, p_old_value, p_new_value,
    network(set_masklen(p_ip_address, case family(p_ip_address) when 4 then 24 else 48 end)), p_request_id, p_sealed
  );
end
$function$;
alter function private.audit_system(p_actor_type character varying, p_actor_id uuid, p_action character varying, p_entity_type character varying, p_entity_id uuid, p_old_value jsonb, p_new_value jsonb, p_ip_address inet, p_request_id character varying, p_sealed jsonb) owner to novax_definer;
comment on function private.audit_system(p_actor_type character varying, p_actor_id uuid, p_action character varying, p_entity_type character varying, p_entity_id uuid, p_old_value jsonb, p_new_value jsonb, p_ip_address inet, p_request_id character varying, p_sealed jsonb) is 'An audit row without organization: accounts, sessions, the platform itself. Of the address it keeps the network.';
grant execute on function private.audit_system(p_actor_type character varying, p_actor_id uuid, p_action character varying, p_entity_type character varying, p_entity_id uuid, p_old_value jsonb, p_new_value jsonb, p_ip_address inet, p_request_id character varying, p_sealed jsonb) to novax_api;
grant execute on function private.audit_system(p_actor_type character varying, p_actor_id uuid, p_action character varying, p_entity_type character varying, p_entity_id uuid, p_old_value jsonb, p_new_value jsonb, p_ip_address inet, p_request_id character varying, p_sealed jsonb) to novax_worker;

CREATE OR REPLACE FUNCTION private.begin_oauth_flow(p_id uuid, p_flow_hash bytea, p_provider character varying, p_secrets_ciphertext bytea, p_key_id character varying, p_link_user_id uuid, p_expires_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_link_user_id is not null then
    perform private.require_self(p_link_user_id);
  end if;
  -- Whoever begins sweeps more than they leave, so that abandoned ones cannot pile up.
  delete from public.oauth_flows
  where id in (
    select f.id from public.oauth_flows f where f.expires_at <= clock_timestamp() order by f.expires_at limit 100 for update skip locked
  );
  insert into public.oauth_flows (id, flow_hash, provider, secrets_ciphertext, key_id, link_user_id, expires_at)
  values (p_id, p_flow_hash, p_provider, p_secrets_ciphertext, p_key_id, p_link_user_id, p_expires_at);
end
$function$;
alter function private.begin_oauth_flow(p_id uuid, p_flow_hash bytea, p_provider character varying, p_secrets_ciphertext bytea, p_key_id character varying, p_link_user_id uuid, p_expires_at timestamp with time zone) owner to novax_definer;
comment on function private.begin_oauth_flow(p_id uuid, p_flow_hash bytea, p_provider character varying, p_secrets_ciphertext bytea, p_key_id character varying, p_link_user_id uuid, p_expires_at timestamp with time zone) is 'Keeps a sign-in until it comes back, and removes some that never did; for linking, of oneself alone.';
grant execute on function private.begin_oauth_flow(p_id uuid, p_flow_hash bytea, p_provider character varying, p_secrets_ciphertext bytea, p_key_id character varying, p_link_user_id uuid, p_expires_at timestamp with time zone) to novax_api;

CREATE OR REPLACE FUNCTION private.change_password(p_user_id uuid, p_password_hash character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_self(p_user_id);
  update public.users set password_hash = p_password_hash where id = p_user_id and status = 'active';
  return found;
end
$function$;
alter function private.change_password(p_user_id uuid, p_password_hash character varying) owner to novax_definer;
comment on function private.change_password(p_user_id uuid, p_password_hash character varying) is 'Stores a new hash for oneself; also the rehash after a sign-in.';
grant execute on function private.change_password(p_user_id uuid, p_password_hash character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.check_owner()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_org_id uuid;
begin
  if tg_table_name = 'organizations' then
    v_org_id := new.id;
  elsif tg_op = 'DELETE' then
    v_org_id := old.org_id;
  else
    v_org_id := new.org_id;
  end if;
  if exists (
    select from public.organizations o
    where o.id = v_org_id
      and not exists (
        select from public.org_members m where m.org_id = o.id and m.user_id = o.owner_id and m.role = 'owner'
      )
  ) then
    raise exception 'organization % would be left without its owner', v_org_id
      using errcode = 'check_violation', constraint = 'ck_organizations_owner_is_member', table = 'organizations', schema = 'public';
  end if;
  return null;
end
$function$;
alter function private.check_owner() owner to novax_definer;
comment on function private.check_owner() is 'At commit: owner_id of an organization is one of its members and has role owner, so there is always at least one.';
grant execute on function private.check_owner() to novax_owner;

CREATE OR REPLACE FUNCTION private.co_members(p_org_id uuid)
 RETURNS TABLE(user_id uuid, username character varying, email character varying, role character varying, status character varying, joined_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select m.user_id, u.username, u.email, m.role, u.status, m.joined_at
  from public.org_members m
  join public.users u on u.id = m.user_id
  where m.org_id = p_org_id
    and m.org_id = coalesce((select nullif(current_setting('app.current_org_id', true), '')::uuid), m.org_id)
    and exists (
      select from app.memberships mine
      where mine.user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid) and mine.org_id = p_org_id
    )
  order by m.joined_at, m.user_id
$function$;
alter function private.co_members(p_org_id uuid) owner to novax_definer;
comment on function private.co_members(p_org_id uuid) is 'The members of an organization one belongs to; nothing for anyone else.';
grant execute on function private.co_members(p_org_id uuid) to novax_api;

CREATE OR REPLACE FUNCTION private.confirm_password(p_user_id uuid, p_verified_hash character varying, p_new_hash character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_self(p_user_id);
  -- Held until the session is there: a reset that comes between would not see it and let it live.
  perform from public.users u where u.id = p_user_id and u.status = 'active' and u.password_hash = p_verified_hash for no key update;
  if not found then
    return false;
  end if;
  if p_new_hash is not null then
    update public.users set password_hash = p_new_hash where id = p_user_id;
  end if;
  return true;
end
$function$;
alter function private.confirm_password(p_user_id uuid, p_verified_hash character varying, p_new_hash character varying) owner to novax_definer;
comment on function private.confirm_password(p_user_id uuid, p_verified_hash character varying, p_new_hash character varying) is 'True while the password that was verified is still the person''s, until the end of the transaction; stores it hashed anew when a new hash is given.';
grant execute on function private.confirm_password(p_user_id uuid, p_verified_hash character varying, p_new_hash character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.count_embeddings()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.count_embeddings() owner to novax_definer;
comment on function private.count_embeddings() is 'Adds what one statement inserted, subtracts what it deleted: one update per statement and organization.';
grant execute on function private.count_embeddings() to novax_owner;

CREATE OR REPLACE FUNCTION private.create_organization(p_org_id uuid, p_name character varying, p_slug character varying, p_user_id uuid, p_settings jsonb DEFAULT '{}'::jsonb)
 RETURNS TABLE(id uuid, name character varying, slug character varying, settings jsonb, owner_id uuid, status character varying, version integer, created_at timestamp with time zone, updated_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_id uuid := coalesce(p_org_id, gen_random_uuid());
begin
  perform private.require_self(p_user_id);
  if not exists (select from public.users u where u.id = p_user_id and u.status = 'active') then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  return query
    insert into public.organizations as o (id, name, slug, owner_id, settings)
    values (v_id, p_name, p_slug, p_user_id, coalesce(p_settings, '{}'))
    returning o.id, o.name, o.slug, o.settings, o.owner_id, o.status, o.version, o.created_at, o.updated_at;
  insert into public.org_members (org_id, user_id, role) values (v_id, p_user_id, 'owner');
  insert into public.org_stats (org_id) values (v_id);
end
$function$;
alter function private.create_organization(p_org_id uuid, p_name character varying, p_slug character varying, p_user_id uuid, p_settings jsonb) owner to novax_definer;
comment on function private.create_organization(p_org_id uuid, p_name character varying, p_slug character varying, p_user_id uuid, p_settings jsonb) is 'An organization and its first owner, oneself. A taken slug raises unique_violation on idx_organizations_slug.';
grant execute on function private.create_organization(p_org_id uuid, p_name character varying, p_slug character varying, p_user_id uuid, p_settings jsonb) to novax_api;

CREATE OR REPLACE FUNCTION private.create_refresh_token(p_id uuid, p_session_id uuid, p_family_id uuid, p_token_hash bytea, p_expires_at timestamp with time zone)
 RETURNS uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_id uuid;
begin
  insert into public.refresh_tokens (id, session_id, family_id, token_hash, expires_at)
  select coalesce(p_id, gen_random_uuid()), s.id, p_family_id, p_token_hash, least(p_expires_at, s.absolute_expires_at)
  from public.sessions s
  where s.id = p_session_id and s.revoked_at is null
    and (private.current_user_id() is null or s.user_id = private.current_user_id())
    -- The first of its family: later ones come by rotation alone.
    and not exists (select from public.refresh_tokens t where t.session_id = s.id)
  returning id into v_id;
  if v_id is null then
    raise exception 'no session to issue a refresh token for' using errcode = 'insufficient_privilege';
  end if;
  return v_id;
end
$function$;
alter function private.create_refresh_token(p_id uuid, p_session_id uuid, p_family_id uuid, p_token_hash bytea, p_expires_at timestamp with time zone) owner to novax_definer;
comment on function private.create_refresh_token(p_id uuid, p_session_id uuid, p_family_id uuid, p_token_hash bytea, p_expires_at timestamp with time zone) is 'The first refresh token of a new session.';
grant execute on function private.create_refresh_token(p_id uuid, p_session_id uuid, p_family_id uuid, p_token_hash bytea, p_expires_at timestamp with time zone) to novax_api;

CREATE OR REPLACE FUNCTION private.create_session(p_id uuid, p_sid_hash bytea, p_user_id uuid, p_ip_address inet, p_user_agent character varying, p_idle_expires_at timestamp with time zone, p_absolute_expires_at timestamp with time zone)
 RETURNS uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_id uuid;
begin
  if private.current_user_id() is not null then
    perform private.require_self(p_user_id);
  end if;
  perform from public.users u where u.id = p_user_id and u.status = 'active' for share;
  if not found then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  insert into public.sessions (id, sid_hash, user_id, ip_address, user_agent, idle_expires_at, absolute_expires_at)
  values (
    coalesce(p_id, gen_random_uuid()), p_sid_hash, p_user_id, p_ip_address, p_user_agent,
    least(p_idle_expires_at, p_absolute_expires_at), p_absolute_expires_at
  )
  returning id into v_id;
  return v_id;
end
$function$;
alter function private.create_session(p_id uuid, p_sid_hash bytea, p_user_id uuid, p_ip_address inet, p_user_agent character varying, p_idle_expires_at timestamp with time zone, p_absolute_expires_at timestamp with time zone) owner to novax_definer;
comment on function private.create_session(p_id uuid, p_sid_hash bytea, p_user_id uuid, p_ip_address inet, p_user_agent character varying, p_idle_expires_at timestamp with time zone, p_absolute_expires_at timestamp with time zone) is 'Opens a session for an active person, after the caller has verified who they are.';
grant execute on function private.create_session(p_id uuid, p_sid_hash bytea, p_user_id uuid, p_ip_address inet, p_user_agent character varying, p_idle_expires_at timestamp with time zone, p_absolute_expires_at timestamp with time zone) to novax_api;

CREATE OR REPLACE FUNCTION private.current_user_id()
 RETURNS uuid
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ select nullif(current_setting('app.current_user_id', true), '')::uuid $function$;
alter function private.current_user_id() owner to novax_definer;
comment on function private.current_user_id() is 'app.current_user_id, or null.';

CREATE OR REPLACE FUNCTION private.document_texts_difference(p_org_id uuid)
 RETURNS TABLE(kind character varying, org_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when d.search_vector is null or d.content_hash is null then 'missing' else 'stale' end::varchar, d.org_id, d.id
  from public.documents d
  where (p_org_id is null or d.org_id = p_org_id)
    and (
      d.content_hash is distinct from sha256(convert_to(d.title, 'UTF8') || '\x00'::bytea || convert_to(d.content, 'UTF8'))
      -- As private.index_document has it.
      or d.search_vector is distinct from
        setweight(to_tsvector(d.language::regconfig, d.title), 'A') || setweight(to_tsvector(d.language::regconfig, left(d.content, 250000)), 'B')
    )
$function$;
alter function private.document_texts_difference(p_org_id uuid) owner to novax_definer;
comment on function private.document_texts_difference(p_org_id uuid) is 'Documents whose search_vector or content_hash is not of their title and content.';
grant execute on function private.document_texts_difference(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.domain_allowed(p_allowed character varying[], p_email_normalized character varying)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce(
    cardinality(p_allowed) = 0
    -- A quoted local part may hold an @ of its own: the domain stands after the last one.
    or (p_email_normalized like '%_@_%' and split_part(p_email_normalized, '@', -1) = any (p_allowed)),
    false
  )
$function$;
alter function private.domain_allowed(p_allowed character varying[], p_email_normalized character varying) owner to novax_definer;
comment on function private.domain_allowed(p_allowed character varying[], p_email_normalized character varying) is 'True when the list is empty or holds exactly the domain of this lower-case address: no subdomains, no patterns. Whether the address was verified is the caller''s to ask.';
grant execute on function private.domain_allowed(p_allowed character varying[], p_email_normalized character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.embedding_counts_difference(p_org_id uuid)
 RETURNS TABLE(kind character varying, org_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when s.org_id is null then 'missing' else 'stale' end::varchar, o.id, o.id
  from public.organizations o
  left join public.org_stats s on s.org_id = o.id
  left join (select e.org_id, count(*) as n from public.ai_embeddings e group by e.org_id) e on e.org_id = o.id
  where (p_org_id is null or o.id = p_org_id) and coalesce(s.embedding_count, 0) <> coalesce(e.n, 0)
$function$;
alter function private.embedding_counts_difference(p_org_id uuid) owner to novax_definer;
comment on function private.embedding_counts_difference(p_org_id uuid) is 'Organizations whose count of vectors in org_stats is not that of ai_embeddings.';
grant execute on function private.embedding_counts_difference(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.embeddings_difference(p_model_id smallint, p_org_id uuid)
 RETURNS TABLE(kind character varying, org_id uuid, id uuid, fingerprint character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.embeddings_difference(p_model_id smallint, p_org_id uuid) owner to novax_definer;
comment on function private.embeddings_difference(p_model_id smallint, p_org_id uuid) is 'Documents without all vectors of the model and their present text.';
grant execute on function private.embeddings_difference(p_model_id smallint, p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.end_membership()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update public.api_keys k set status = 'revoked', revoked_at = now()
  where k.org_id = old.org_id and k.creator_id = old.user_id and k.status = 'active';
  update public.invitations i set status = 'revoked'
  from public.users u
  where u.id = old.user_id and i.org_id = old.org_id and i.email_normalized = u.email_normalized and i.status = 'pending';
  return null;
end
$function$;
alter function private.end_membership() owner to novax_definer;
comment on function private.end_membership() is 'Whoever stops being a member, however it comes about, loses the keys they made there and any offer to come back that still stands.';
grant execute on function private.end_membership() to novax_owner;

CREATE OR REPLACE FUNCTION private.end_memberships()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if new.status = 'deleted' then
    delete from app.memberships where org_id = new.id;
  else
    insert into app.memberships (user_id, org_id, role)
    select m.user_id, m.org_id, m.role from public.org_members m where m.org_id = new.id
    on conflict (user_id, org_id) do update set role = excluded.role;
  end if;
  return null;
end
$function$;
alter function private.end_memberships() owner to novax_definer;
comment on function private.end_memberships() is 'Takes the memberships that policies read away with a deleted organization, and brings them back with a restored one.';
grant execute on function private.end_memberships() to novax_owner;

CREATE OR REPLACE FUNCTION private.end_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying)
 RETURNS SETOF bytea
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_session record;
begin
  for v_session in
    select s.id, s.sid_hash from public.sessions s
    where s.user_id = p_user_id and s.revoked_at is null and s.id is distinct from p_keep_session_id
    order by s.id
  loop
    if private.end_session(v_session.id, p_reason) then
      return next v_session.sid_hash;
    end if;
  end loop;
end
$function$;
alter function private.end_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying) owner to novax_definer;
comment on function private.end_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying) is 'Ends the sessions of a person, but one when it is named; answers their hashes. For the functions of this file; no role may call it.';

CREATE OR REPLACE FUNCTION private.end_session(p_session_id uuid, p_reason character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_ended boolean;
begin
  update public.sessions set revoked_at = clock_timestamp(), revoked_reason = p_reason where id = p_session_id and revoked_at is null;
  v_ended := found;
  update public.refresh_tokens set status = 'revoked' where session_id = p_session_id and status = 'active';
  return v_ended;
end
$function$;
alter function private.end_session(p_session_id uuid, p_reason character varying) owner to novax_definer;
comment on function private.end_session(p_session_id uuid, p_reason character varying) is 'Revokes a session and its live refresh tokens. For the functions of this file; no role may call it.';

CREATE OR REPLACE FUNCTION private.end_sessions_of_inactive()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.end_session(s.id, 'user_' || new.status) from public.sessions s where s.user_id = new.id and s.revoked_at is null;
  return null;
end
$function$;
alter function private.end_sessions_of_inactive() owner to novax_definer;
comment on function private.end_sessions_of_inactive() is 'Ends every session of a person who is no longer active, in the transaction that says so.';
grant execute on function private.end_sessions_of_inactive() to novax_owner;

CREATE OR REPLACE FUNCTION private.ensure_embedding_model(p_name character varying, p_provider character varying, p_dims smallint, p_threshold real DEFAULT NULL::real)
 RETURNS smallint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.ensure_embedding_model(p_name character varying, p_provider character varying, p_dims smallint, p_threshold real) owner to novax_owner;
comment on function private.ensure_embedding_model(p_name character varying, p_provider character varying, p_dims smallint, p_threshold real) is 'Id of the model of this name; a new one is registered and gets its partial HNSW index on every partition (empty, hence instant). A known name with other dimensions is refused.';
grant execute on function private.ensure_embedding_model(p_name character varying, p_provider character varying, p_dims smallint, p_threshold real) to novax_worker;

CREATE OR REPLACE FUNCTION private.ensure_partitions(p_months_ahead integer DEFAULT 3)
 RETURNS TABLE(parent text, partition text, created boolean)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_parent record;
  v_month timestamptz;
  v_from text;
  v_to text;
  v_columns text;
  v_trigger record;
begin
  if p_months_ahead not between 0 and 60 then
    raise exception 'months ahead must lie between 0 and 60' using errcode = 'invalid_parameter_value';
  end if;
  -- Two keepers at once would race to the same name.
  perform pg_advisory_xact_lock(hashtextextended('private.ensure_partitions', 0));
  for v_parent in
    select c.oid, c.relname, a.attname as key, d.relname as default_partition
    from pg_partitioned_table p
    join pg_class c on c.oid = p.partrelid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0] and a.atttypid = 'timestamptz'::regtype
    left join pg_class d on d.oid = p.partdefid
    where p.partstrat = 'r' and p.partnatts = 1 and c.relnamespace = 'public'::regnamespace
    order by c.relname
  loop
    for v_month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => p_months_ahead),
        interval '1 month'
      ) at time zone 'UTC'
    loop
      parent := v_parent.relname;
      partition := v_parent.relname || to_char(v_month at time zone 'UTC', '_YYYY_MM');
      created := to_regclass(format('public.%I', partition)) is null;
      if created then
        v_from := to_char(v_month at time zone 'UTC', 'YYYY-MM-DD') || ' 00:00:00+00';
        v_to := to_char(v_month at time zone 'UTC' + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
        begin
          execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', partition, parent, v_from, v_to);
        exception when check_violation then
          -- Rows of this month already wait in the DEFAULT partition: take it off, make the month, move the rows, put it back.
          select string_agg(quote_ident(attname), ', ' order by attnum) into v_columns
          from pg_attribute where attrelid = v_parent.oid and attnum > 0 and not attisdropped and attgenerated = '';
          execute format('alter table public.%I no force row level security', parent);
          execute format('alter table public.%I detach partition public.%I', parent, v_parent.default_partition);
          execute format('alter table public.%I no force row level security', v_parent.default_partition);
          execute format('alter table public.%I disable trigger user', v_parent.default_partition);
          execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', partition, parent, v_from, v_to);
          execute format(
            'insert into public.%I (%s) overriding system value select %s from public.%I where %I >= %L and %I < %L',
            parent, v_columns, v_columns, v_parent.default_partition, v_parent.key, v_from, v_parent.key, v_to
          );
          execute format(
            'delete from public.%I where %I >= %L and %I < %L',
            v_parent.default_partition, v_parent.key, v_from, v_parent.key, v_to
          );
          execute format('alter table public.%I enable trigger user', v_parent.default_partition);
          execute format('alter table public.%I attach partition public.%I default', parent, v_parent.default_partition);
          execute format('alter table public.%I force row level security', v_parent.default_partition);
          execute format('alter table public.%I force row level security', parent);
        end;
        -- Policies are not inherited by partitions: closed here, a partition named directly shows nothing to anyone.
        execute format('alter table public.%I enable row level security', partition);
        execute format('alter table public.%I force row level security', partition);
        -- Nor are statement triggers, such as the one that refuses TRUNCATE of the audit trail.
        for v_trigger in
          select pg_get_triggerdef(t.oid) as definition from pg_trigger t
          where t.tgrelid = v_parent.oid and not t.tgisinternal and t.tgtype & 1 = 0
        loop
          execute replace(v_trigger.definition, format(' ON public.%I ', parent), format(' ON public.%I ', partition));
        end loop;
      end if;
      return next;
    end loop;
  end loop;
end
$function$;
alter function private.ensure_partitions(p_months_ahead integer) owner to novax_owner;
comment on function private.ensure_partitions(p_months_ahead integer) is 'Makes the missing monthly partitions (UTC months, this one and the given number ahead) of every RANGE-partitioned table of schema public; rows that fell into a DEFAULT partition move to their month.';
grant execute on function private.ensure_partitions(p_months_ahead integer) to novax_migrator;
grant execute on function private.ensure_partitions(p_months_ahead integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.erase_person(p_user_id uuid, p_request_id character varying DEFAULT NULL::character varying)
 RETURNS TABLE(outcome character varying, organizations character varying[])
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.erase_person(p_user_id uuid, p_request_id character varying) owner to novax_definer;
comment on function private.erase_person(p_user_id uuid, p_request_id character varying) is 'Erases oneself: erased; owns (and what: organizations with other members must be handed over first); or unknown. What one wrote stays, with an author who has no name.';
grant execute on function private.erase_person(p_user_id uuid, p_request_id character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.erased_people()
 RETURNS TABLE(id uuid, settled boolean)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ select e.user_id, e.erased_at < now() - interval '5 minutes' from public.erasures e $function$;
alter function private.erased_people() owner to novax_definer;
comment on function private.erased_people() is 'Everybody whom the list outside the database should name; settled when there was time to write it.';
grant execute on function private.erased_people() to novax_worker;

CREATE OR REPLACE FUNCTION private.event_system(p_event_id uuid, p_event_type character varying, p_aggregate_type character varying, p_aggregate_id uuid, p_aggregate_version integer, p_schema_version smallint, p_payload jsonb, p_actor_type character varying, p_actor_id uuid, p_request_id character varying DEFAULT NULL::character varying, p_traceparent character varying DEFAULT NULL::character varying, p_causation_id uuid DEFAULT NULL::uuid, p_occurred_at timestamp with time zone DEFAULT now())
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_actor(p_actor_type, p_actor_id, p_aggregate_id);
  insert into public.events (
    event_id, org_id, event_type, aggregate_type, aggregate_id, aggregate_version, schema_version, payload, actor_type, actor_id,
    request_id, traceparent, causation_id, occurred_at
  )
  values (
    coalesce(p_event_id, gen_random_uuid()), null, p_event_type, p_aggregate_type, p_aggregate_id, p_aggregate_version, p_schema_version,
    p_payload, p_actor_type, p_actor_id, p_request_id, p_traceparent, p_causation_id, p_occurred_at
  );
end
$function$;
alter function private.event_system(p_event_id uuid, p_event_type character varying, p_aggregate_type character varying, p_aggregate_id uuid, p_aggregate_version integer, p_schema_version smallint, p_payload jsonb, p_actor_type character varying, p_actor_id uuid, p_request_id character varying, p_traceparent character varying, p_causation_id uuid, p_occurred_at timestamp with time zone) owner to novax_definer;
comment on function private.event_system(p_event_id uuid, p_event_type character varying, p_aggregate_type character varying, p_aggregate_id uuid, p_aggregate_version integer, p_schema_version smallint, p_payload jsonb, p_actor_type character varying, p_actor_id uuid, p_request_id character varying, p_traceparent character varying, p_causation_id uuid, p_occurred_at timestamp with time zone) is 'An outbox row without organization, such as user.registered.';
grant execute on function private.event_system(p_event_id uuid, p_event_type character varying, p_aggregate_type character varying, p_aggregate_id uuid, p_aggregate_version integer, p_schema_version smallint, p_payload jsonb, p_actor_type character varying, p_actor_id uuid, p_request_id character varying, p_traceparent character varying, p_causation_id uuid, p_occurred_at timestamp with time zone) to novax_api;
grant execute on function private.event_system(p_event_id uuid, p_event_type character varying, p_aggregate_type character varying, p_aggregate_id uuid, p_aggregate_version integer, p_schema_version smallint, p_payload jsonb, p_actor_type character varying, p_actor_id uuid, p_request_id character varying, p_traceparent character varying, p_causation_id uuid, p_occurred_at timestamp with time zone) to novax_worker;

CREATE OR REPLACE FUNCTION private.export_person(p_section character varying, p_after character varying, p_limit integer)
 RETURNS TABLE(place character varying, item jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.export_person(p_section character varying, p_after character varying, p_limit integer) owner to novax_definer;
comment on function private.export_person(p_section character varying, p_after character varying, p_limit integer) is 'What the platform holds about the current user, one page of one section: no secrets, no hashes, nobody else''s data.';
grant execute on function private.export_person(p_section character varying, p_after character varying, p_limit integer) to novax_api;

CREATE OR REPLACE FUNCTION private.find_users(p_text character varying, p_limit integer)
 RETURNS TABLE(id uuid, email character varying, username character varying, status character varying, live_sessions bigint, created_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select u.id, u.email, u.username, u.status, s.live, u.created_at
  from public.users u
  cross join lateral (
    select count(*) as live from public.sessions s
    where s.user_id = u.id and s.revoked_at is null and least(s.idle_expires_at, s.absolute_expires_at) > now()
  ) s
  where case when p_text is null then u.status = 'suspended' else u.email_normalized = lower(p_text) or u.id::text = lower(p_text) end
  order by u.created_at desc, u.id desc
  limit least(greatest(p_limit, 1), 1000)
$function$;
alter function private.find_users(p_text character varying, p_limit integer) owner to novax_definer;
comment on function private.find_users(p_text character varying, p_limit integer) is 'For operators: people by address or id, or, with null, those who are suspended.';
grant execute on function private.find_users(p_text character varying, p_limit integer) to novax_migrator;

CREATE OR REPLACE PROCEDURE private.force_rls(IN p_table regclass)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $procedure$
begin
  execute format('alter table %s enable row level security', p_table);
  execute format('alter table %s force row level security', p_table);
end
$procedure$;
alter procedure private.force_rls(IN p_table regclass) owner to novax_owner;
comment on procedure private.force_rls(IN p_table regclass) is 'Row-level security for everyone, the table''s owner included.';

CREATE OR REPLACE FUNCTION private.in_current_org(p_column name DEFAULT 'org_id'::name)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select format('%I = (select nullif(current_setting(''app.current_org_id'', true), '''')::uuid)', p_column)
$function$;
alter function private.in_current_org(p_column name) owner to novax_owner;
comment on function private.in_current_org(p_column name) is 'Condition: the row belongs to app.current_org_id.';

CREATE OR REPLACE FUNCTION private.index_document()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.index_document() owner to novax_definer;
comment on function private.index_document() is 'Fills documents.search_vector in the document''s language, and the language from its project.';
grant execute on function private.index_document() to novax_owner;

CREATE OR REPLACE FUNCTION private.indexable_documents(p_org_id uuid)
 RETURNS TABLE(org_id uuid, id uuid, project_id uuid, status character varying, version integer, updated_ms bigint, text_hash character varying, settled boolean)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select d.org_id, d.id, d.project_id, d.status, d.version, floor(extract(epoch from d.updated_at) * 1000)::bigint,
         encode(sha256(convert_to(d.title, 'UTF8') || '\x00'::bytea || convert_to(d.content, 'UTF8')), 'hex'),
         d.updated_at < now() - interval '30 seconds'
  from public.documents d
  where p_org_id is null or d.org_id = p_org_id
$function$;
alter function private.indexable_documents(p_org_id uuid) owner to novax_definer;
comment on function private.indexable_documents(p_org_id uuid) is 'What the full-text engine should hold of each document, or hold no more; settled when the event stream has had time to bring it.';
grant execute on function private.indexable_documents(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.invitation_organization(p_token_hash bytea)
 RETURNS uuid
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ select i.org_id from public.invitations i where i.token_hash = p_token_hash $function$;
alter function private.invitation_organization(p_token_hash bytea) owner to novax_definer;
comment on function private.invitation_organization(p_token_hash bytea) is 'The organization a token was made for, so that its holder can act in it; null for no token of ours.';
grant execute on function private.invitation_organization(p_token_hash bytea) to novax_api;

CREATE OR REPLACE FUNCTION private.is_held(p_project_id uuid, p_document_id uuid DEFAULT NULL::uuid, p_task_id uuid DEFAULT NULL::uuid, p_comment_id uuid DEFAULT NULL::uuid, p_attachment_id uuid DEFAULT NULL::uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.is_held(p_project_id uuid, p_document_id uuid, p_task_id uuid, p_comment_id uuid, p_attachment_id uuid) owner to novax_owner;
comment on function private.is_held(p_project_id uuid, p_document_id uuid, p_task_id uuid, p_comment_id uuid, p_attachment_id uuid) is 'Whether a legal hold of app.current_org_id covers a row: itself, all of its kind, or what it is in. Null for what it is not in.';
grant execute on function private.is_held(p_project_id uuid, p_document_id uuid, p_task_id uuid, p_comment_id uuid, p_attachment_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.is_self(p_column name DEFAULT 'user_id'::name)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select format('%I = (select nullif(current_setting(''app.current_user_id'', true), '''')::uuid)', p_column)
$function$;
alter function private.is_self(p_column name) owner to novax_owner;
comment on function private.is_self(p_column name) is 'Condition: the column names app.current_user_id.';

CREATE OR REPLACE FUNCTION private.issue_mail_token(p_mail_id uuid, p_token_hash bytea, p_ttl interval)
 RETURNS TABLE(refused character varying, email character varying, recipient_name character varying, organization_name character varying, inviter_name character varying, role character varying, expires_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_mail public.mails;
  v_user public.users;
  v_expires_at timestamptz := clock_timestamp() + p_ttl;
begin
  select m.* into v_mail from public.mails m where m.id = p_mail_id and m.status = 'pending';
  if not found then
    return query select 'not pending'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;

  if v_mail.kind = 'invitation' then
    return query
      update public.invitations i set token_hash = p_token_hash
      from public.organizations o, public.users inviter
      where i.id = v_mail.invitation_id and i.status = 'pending' and i.expires_at > clock_timestamp()
        and o.id = i.org_id and o.status = 'active' and inviter.id = i.inviter_id
      returning null::varchar, i.email, null::varchar, o.name, inviter.username, i.role, i.expires_at;
    if not found then
      return query select 'no pending invitation'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    end if;
    return;
  end if;

  select u.* into v_user from public.users u
  where u.status = 'active' and (u.id = v_mail.user_id or (v_mail.user_id is null and u.email_normalized = v_mail.email_normalized));
  if not found then
    return query select 'no such account'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  -- A notice needs no secret, and goes where the account's mail went when it was asked for.
  if v_mail.kind not in ('verify-email', 'reset-password') then
    return query select null::varchar, v_mail.email, v_user.username, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  if v_user.email_normalized <> v_mail.email_normalized or (v_mail.kind = 'verify-email' and v_user.email_verified_at is not null) then
    return query select 'nothing to confirm'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  -- Whoever knows an address can ask for mails to it. Three in half their life (an hour at most) are
  -- enough: one that works for as long again lies in the box.
  if (
    select count(distinct t.mail_id) from public.one_time_tokens t
    where t.user_id = v_user.id and t.purpose = v_mail.kind and t.used_at is null and t.mail_id <> v_mail.id
      and t.created_at > clock_timestamp() - least(p_ttl / 2, interval '1 hour')
  ) >= 3 then
    return query select 'enough mails already'::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::varchar, null::timestamptz;
    return;
  end if;
  insert into public.one_time_tokens (user_id, mail_id, purpose, email_normalized, token_hash, expires_at, created_at)
  values (v_user.id, v_mail.id, v_mail.kind, v_user.email_normalized, p_token_hash, v_expires_at, clock_timestamp());
  -- To the address that the account has, never to the one that was typed.
  return query select null::varchar, v_user.email, v_user.username, null::varchar, null::varchar, null::varchar, v_expires_at;
end
$function$;
alter function private.issue_mail_token(p_mail_id uuid, p_token_hash bytea, p_ttl interval) owner to novax_definer;
comment on function private.issue_mail_token(p_mail_id uuid, p_token_hash bytea, p_ttl interval) is 'For a mail about to be sent: stores the hash of its secret and tells what the mail says, or in refused why nobody gets it.';
grant execute on function private.issue_mail_token(p_mail_id uuid, p_token_hash bytea, p_ttl interval) to novax_worker;

CREATE OR REPLACE FUNCTION private.keep_document_version()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into public.document_versions (org_id, document_id, version, author_id, title, content, content_format, status, written_at)
  values (old.org_id, old.id, old.version, coalesce(old.editor_id, old.author_id), old.title, old.content, old.content_format, old.status, old.updated_at);
  return null;
end
$function$;
alter function private.keep_document_version() owner to novax_definer;
comment on function private.keep_document_version() is 'Stores what a document was whenever its version changes.';
grant execute on function private.keep_document_version() to novax_owner;

CREATE OR REPLACE FUNCTION private.keep_key_destroyed()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception 'the key of this person was destroyed' using errcode = 'insufficient_privilege';
end
$function$;
alter function private.keep_key_destroyed() owner to novax_definer;
comment on function private.keep_key_destroyed() is 'Stops every change to a key that is no more.';
grant execute on function private.keep_key_destroyed() to novax_owner;

CREATE OR REPLACE PROCEDURE private.keep_updated_at(IN p_table regclass)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $procedure$
begin
  execute format('create trigger set_updated_at before update on %s for each row execute function private.set_updated_at()', p_table);
end
$procedure$;
alter procedure private.keep_updated_at(IN p_table regclass) owner to novax_owner;
comment on procedure private.keep_updated_at(IN p_table regclass) is 'Gives a table its updated_at trigger.';

CREATE OR REPLACE FUNCTION private.login_lookup(p_email_normalized character varying)
 RETURNS TABLE(user_id uuid, password_hash character varying, status character varying, email character varying, username character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select u.id, u.password_hash, u.status, u.email, u.username
  from public.users u
  where u.email_normalized = p_email_normalized and u.status <> 'deleted'
$function$;
alter function private.login_lookup(p_email_normalized character varying) owner to novax_definer;
comment on function private.login_lookup(p_email_normalized character varying) is 'The only reader of password_hash.';
grant execute on function private.login_lookup(p_email_normalized character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.mark_audit_anchored(p_ids uuid[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update public.audit_seals set anchored_at = now() where id = any (p_ids) and anchored_at is null;
  update public.audit_horizon set anchored_at = now();
$function$;
alter function private.mark_audit_anchored(p_ids uuid[]) owner to novax_definer;
comment on function private.mark_audit_anchored(p_ids uuid[]) is 'Notes that these heads are in the store outside the database.';
grant execute on function private.mark_audit_anchored(p_ids uuid[]) to novax_worker;

CREATE OR REPLACE FUNCTION private.mark_blob_removed(p_id uuid)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ delete from public.blob_removals b where b.id = p_id $function$;
alter function private.mark_blob_removed(p_id uuid) owner to novax_definer;
comment on function private.mark_blob_removed(p_id uuid) is 'Notes that the store has a file no more.';
grant execute on function private.mark_blob_removed(p_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.mark_document_editor()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  new.editor_id := coalesce(nullif(current_setting('app.current_user_id', true), '')::uuid, new.editor_id);
  return new;
end
$function$;
alter function private.mark_document_editor() owner to novax_definer;
comment on function private.mark_document_editor() is 'Records who changed a document, where a person did.';
grant execute on function private.mark_document_editor() to novax_owner;

CREATE OR REPLACE FUNCTION private.mark_erasure_recorded(p_user_id uuid)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ update public.erasures set recorded_at = now() where user_id = p_user_id and recorded_at is null $function$;
alter function private.mark_erasure_recorded(p_user_id uuid) owner to novax_definer;
comment on function private.mark_erasure_recorded(p_user_id uuid) is 'Notes that the list outside the database names this person.';
grant execute on function private.mark_erasure_recorded(p_user_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.member_of(p_least character varying, p_column name DEFAULT 'org_id'::name)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select format(
    '%1$I = any (array(select m.org_id from app.memberships m'
    || ' where m.user_id = (select nullif(current_setting(''app.current_user_id'', true), '''')::uuid)'
    || ' and m.org_id = coalesce((select nullif(current_setting(''app.current_org_id'', true), '''')::uuid), m.org_id)%2$s))',
    p_column,
    case p_least
      when 'viewer' then ''
      when 'member' then ' and m.role in (''owner'', ''admin'', ''member'')'
      when 'admin' then ' and m.role in (''owner'', ''admin'')'
      when 'owner' then ' and m.role = ''owner'''
    end
  )
$function$;
alter function private.member_of(p_least character varying, p_column name) owner to novax_owner;
comment on function private.member_of(p_least character varying, p_column name) is 'Condition: the row''s organization is one in which app.current_user_id has at least this role (and is app.current_org_id when set). Null, hence an error, for an unknown role.';

CREATE OR REPLACE FUNCTION private.memberships_difference(p_org_id uuid)
 RETURNS TABLE(kind character varying, org_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when a.user_id is null then 'missing' when m.user_id is null then 'extra' else 'stale' end::varchar,
         coalesce(m.org_id, a.org_id), coalesce(m.user_id, a.user_id)
  from (
    select t.org_id, t.user_id, t.role from public.org_members t
    join public.organizations o on o.id = t.org_id and o.status <> 'deleted'
    where p_org_id is null or t.org_id = p_org_id
  ) m
  full join (select t.* from app.memberships t where p_org_id is null or t.org_id = p_org_id) a on a.org_id = m.org_id and a.user_id = m.user_id
  where a.role is distinct from m.role
$function$;
alter function private.memberships_difference(p_org_id uuid) owner to novax_definer;
comment on function private.memberships_difference(p_org_id uuid) is 'Where app.memberships is not the copy of org_members, of organizations that are not deleted, that it should be; id is the user''s.';
grant execute on function private.memberships_difference(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.mend_document_texts(p_ids uuid[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update public.documents d
  set language = d.language, content_hash = sha256(convert_to(d.title, 'UTF8') || '\x00'::bytea || convert_to(d.content, 'UTF8'))
  where d.id = any(p_ids)
$function$;
alter function private.mend_document_texts(p_ids uuid[]) owner to novax_definer;
comment on function private.mend_document_texts(p_ids uuid[]) is 'Derives search_vector and content_hash of these documents anew; touches neither version nor updated_at.';
grant execute on function private.mend_document_texts(p_ids uuid[]) to novax_worker;

CREATE OR REPLACE FUNCTION private.mend_memberships(p_org_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '1s'
AS $function$
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
$function$;
alter function private.mend_memberships(p_org_id uuid) owner to novax_definer;
comment on function private.mend_memberships(p_org_id uuid) is 'Makes app.memberships what private.memberships_difference says it should be. Fails with 55P03 when a lock is not free within a second.';
grant execute on function private.mend_memberships(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.note_view_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into public.view_changes (view) select unnest(tg_argv) on conflict do nothing;
  return null;
end
$function$;
alter function private.note_view_change() owner to novax_definer;
comment on function private.note_view_change() is 'Notes that the views named in the trigger do not show this transaction yet.';
grant execute on function private.note_view_change() to novax_owner;

CREATE OR REPLACE FUNCTION private.oauth_account_by_subject(p_provider character varying, p_subject character varying)
 RETURNS TABLE(account_id uuid, user_id uuid, email character varying, username character varying, status character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select a.id, u.id, u.email, u.username, u.status
  from public.oauth_accounts a
  join public.users u on u.id = a.user_id
  where a.provider = p_provider and a.subject = p_subject
$function$;
alter function private.oauth_account_by_subject(p_provider character varying, p_subject character varying) owner to novax_definer;
comment on function private.oauth_account_by_subject(p_provider character varying, p_subject character varying) is 'The person behind a provider''s subject. The caller decides: active user.';
grant execute on function private.oauth_account_by_subject(p_provider character varying, p_subject character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.organization_ids()
 RETURNS TABLE(org_id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ select o.id from public.organizations o where o.status <> 'deleted' order by o.id $function$;
alter function private.organization_ids() owner to novax_definer;
comment on function private.organization_ids() is 'For schedules that visit every organization, one at a time, with app.current_org_id set.';
grant execute on function private.organization_ids() to novax_worker;

CREATE OR REPLACE FUNCTION private.organizations_with_deleted(p_after uuid, p_limit integer)
 RETURNS TABLE(org_id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.organizations_with_deleted(p_after uuid, p_limit integer) owner to novax_definer;
comment on function private.organizations_with_deleted(p_after uuid, p_limit integer) is 'Organizations in which something waits for its purge, held or not, by id.';
grant execute on function private.organizations_with_deleted(p_after uuid, p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.owe_blob_removal()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into public.blob_removals (org_id, storage_key) values (old.org_id, old.storage_key);
  return null;
end
$function$;
alter function private.owe_blob_removal() owner to novax_definer;
comment on function private.owe_blob_removal() is 'Lists the file of an attachment that is deleted, by whatever way, for removal from the store.';
grant execute on function private.owe_blob_removal() to novax_owner;

CREATE OR REPLACE FUNCTION private.owe_erasure_records(p_ids uuid[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ update public.erasures set recorded_at = null where user_id = any(p_ids) $function$;
alter function private.owe_erasure_records(p_ids uuid[]) owner to novax_definer;
comment on function private.owe_erasure_records(p_ids uuid[]) is 'Has these people written to the list outside the database again.';
grant execute on function private.owe_erasure_records(p_ids uuid[]) to novax_worker;

CREATE OR REPLACE FUNCTION private.owed_blob_removals(p_limit integer)
 RETURNS TABLE(id uuid, storage_key character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ select b.id, b.storage_key from public.blob_removals b order by b.created_at, b.id limit p_limit $function$;
alter function private.owed_blob_removals(p_limit integer) owner to novax_definer;
comment on function private.owed_blob_removals(p_limit integer) is 'Files to be removed from the store, the oldest debts first.';
grant execute on function private.owed_blob_removals(p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.owed_documents(p_model_id smallint, p_indexed boolean, p_since interval, p_limit integer)
 RETURNS TABLE(job character varying, org_id uuid, document_id uuid, fingerprint character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select work.job, d.org_id, d.id,
    case work.job when 'index-document' then d.version::varchar else left(encode(d.content_hash, 'hex'), 32) end
  from public.documents d
  join public.projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
  join public.organizations o on o.id = d.org_id and o.status <> 'deleted'
  cross join (values ('embed-document'::varchar), ('summarize-document'::varchar), ('index-document'::varchar)) work (job)
  -- Younger ones are on their way through the event stream.
  where d.updated_at < now() - interval '30 seconds'
    and (p_since is null or d.updated_at > now() - p_since)
    and case work.job
      -- What was archived or deleted is owed its removal.
      when 'index-document' then p_indexed and d.indexed_version is distinct from d.version
      when 'embed-document' then d.status in ('draft', 'active') and d.content_hash is not null and not exists (
        select from public.ai_embeddings e
        where e.org_id = d.org_id and e.document_id = d.id and e.model_id = p_model_id and e.chunk_no = 0 and e.content_hash = d.content_hash
      )
      else d.status in ('draft', 'active') and d.content_hash is not null
        and d.ai_metadata ->> 'summary_of' is distinct from encode(d.content_hash, 'hex')
    end
    -- What failed for good waits for a person.
    and not exists (
      select from public.dead_letters l
      where l.source = 'job' and l.name = work.job and l.status = 'pending' and l.payload ->> 'documentId' = d.id::text
    )
  order by d.updated_at
  limit p_limit
$function$;
alter function private.owed_documents(p_model_id smallint, p_indexed boolean, p_since interval, p_limit integer) owner to novax_definer;
comment on function private.owed_documents(p_model_id smallint, p_indexed boolean, p_since interval, p_limit integer) is 'Documents whose present text has no vectors of the model, or no summary, or (with p_indexed) whose present version the full-text engine has not confirmed; oldest first; p_since looks only at those changed that recently, null at all.';
grant execute on function private.owed_documents(p_model_id smallint, p_indexed boolean, p_since interval, p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.person_keys_of(p_user_ids uuid[])
 RETURNS TABLE(user_id uuid, wrapped_key bytea, key_id character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select k.user_id, k.wrapped_key, k.key_id from public.person_keys k where k.user_id = any (p_user_ids)
$function$;
alter function private.person_keys_of(p_user_ids uuid[]) owner to novax_definer;
comment on function private.person_keys_of(p_user_ids uuid[]) is 'Wrapped keys, null where destroyed; worth nothing without the installation''s own key. No line where none was made.';
grant execute on function private.person_keys_of(p_user_ids uuid[]) to novax_api;
grant execute on function private.person_keys_of(p_user_ids uuid[]) to novax_worker;

CREATE OR REPLACE FUNCTION private.prunable_partitions(p_keep interval)
 RETURNS TABLE(parent text, partition text, ends timestamp with time zone)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_keep < interval '30 days' then
    raise exception 'events are kept at least 30 days' using errcode = 'invalid_parameter_value';
  end if;
  return query
    select c.relname::text, d.relname::text, b.ends
    from pg_class c
    join pg_inherits i on i.inhparent = c.oid
    join pg_class d on d.oid = i.inhrelid
    cross join lateral (
      select substring(pg_get_expr(d.relpartbound, d.oid) from 'FROM \(''([^'']+)''\)')::timestamptz as begins,
             substring(pg_get_expr(d.relpartbound, d.oid) from 'TO \(''([^'']+)''\)$')::timestamptz as ends
    ) b
    where c.relnamespace = 'public'::regnamespace and c.relname in ('events_published', 'inbox')
      -- The DEFAULT has no end and stays.
      and b.ends <= now() - p_keep
      -- What waits, or failed and may be freed, will be published into its old month, and delivered against that month's inbox.
      and not exists (
        select from public.events e
        where e.status in ('pending', 'failed') and (e.created_at < b.ends or e.occurred_at < b.ends)
      )
      -- An old event that was published, or applied, lately is as young as that.
      and case c.relname
        when 'inbox' then not exists (
          select from public.inbox r where r.occurred_at >= b.begins and r.occurred_at < b.ends and r.created_at > now() - p_keep
        )
        else not exists (
          select from public.events e
          where e.status = 'published' and e.created_at >= b.begins and e.created_at < b.ends and e.published_at > now() - p_keep
        )
      end
    order by b.ends, c.relname;
end
$function$;
alter function private.prunable_partitions(p_keep interval) owner to novax_definer;
comment on function private.prunable_partitions(p_keep interval) is 'Months of published events and of the inbox that ended longer ago than the given time, at least 30 days, and that nothing needs any more.';
grant execute on function private.prunable_partitions(p_keep interval) to novax_migrator;
grant execute on function private.prunable_partitions(p_keep interval) to novax_owner;
grant execute on function private.prunable_partitions(p_keep interval) to novax_worker;

CREATE OR REPLACE FUNCTION private.prune_partition(p_keep interval)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '1s'
AS $function$
declare
  v_oldest record;
begin
  perform pg_advisory_xact_lock(hashtextextended('private.ensure_partitions', 0));
  select parent, partition into v_oldest from private.prunable_partitions(p_keep) limit 1;
  if v_oldest is null then
    return null;
  end if;
  execute format('alter table public.%I detach partition public.%I', v_oldest.parent, v_oldest.partition);
  execute format('drop table public.%I', v_oldest.partition);
  return v_oldest.partition;
end
$function$;
alter function private.prune_partition(p_keep interval) owner to novax_owner;
comment on function private.prune_partition(p_keep interval) is 'Drops the oldest month that private.prunable_partitions names and answers its name, null when there is none. Fails with 55P03 when a lock is not free within a second.';
grant execute on function private.prune_partition(p_keep interval) to novax_migrator;
grant execute on function private.prune_partition(p_keep interval) to novax_worker;

CREATE OR REPLACE FUNCTION private.purge_organization(p_retain_days integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.purge_organization(p_retain_days integer) owner to novax_definer;
comment on function private.purge_organization(p_retain_days integer) is 'Removes app.current_org_id for good once it has been deleted for as many days as its policy says, or else so many, is empty and nothing holds it; says whether it did.';
grant execute on function private.purge_organization(p_retain_days integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.queue_mail(p_id uuid, p_kind character varying, p_email character varying, p_email_normalized character varying, p_user_id uuid, p_invitation_id uuid, p_request_id character varying)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.queue_mail(p_id uuid, p_kind character varying, p_email character varying, p_email_normalized character varying, p_user_id uuid, p_invitation_id uuid, p_request_id character varying) owner to novax_definer;
comment on function private.queue_mail(p_id uuid, p_kind character varying, p_email character varying, p_email_normalized character varying, p_user_id uuid, p_invitation_id uuid, p_request_id character varying) is 'Asks for a mail: about oneself, to whom an admin invited, or (signed out) to an address that may be nobody''s.';
grant execute on function private.queue_mail(p_id uuid, p_kind character varying, p_email character varying, p_email_normalized character varying, p_user_id uuid, p_invitation_id uuid, p_request_id character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.record_metric(p_metric character varying, p_value double precision, p_labels jsonb DEFAULT '{}'::jsonb, p_sampled_at timestamp with time zone DEFAULT now())
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  insert into public.metric_samples (metric, value, labels, sampled_at)
  values (p_metric, p_value, coalesce(p_labels, '{}'), coalesce(p_sampled_at, now()))
$function$;
alter function private.record_metric(p_metric character varying, p_value double precision, p_labels jsonb, p_sampled_at timestamp with time zone) owner to novax_definer;
comment on function private.record_metric(p_metric character varying, p_value double precision, p_labels jsonb, p_sampled_at timestamp with time zone) is 'One figure of the platform itself, of no tenant.';
grant execute on function private.record_metric(p_metric character varying, p_value double precision, p_labels jsonb, p_sampled_at timestamp with time zone) to novax_worker;

CREATE OR REPLACE FUNCTION private.record_usage(p_metric character varying, p_value double precision, p_labels jsonb DEFAULT '{}'::jsonb, p_sampled_at timestamp with time zone DEFAULT now())
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
begin
  if v_org_id is null then
    raise exception 'app.current_org_id is not set' using errcode = 'insufficient_privilege';
  end if;
  insert into public.usage_samples (org_id, metric, value, labels, sampled_at)
  values (v_org_id, p_metric, p_value, coalesce(p_labels, '{}'), coalesce(p_sampled_at, now()));
end
$function$;
alter function private.record_usage(p_metric character varying, p_value double precision, p_labels jsonb, p_sampled_at timestamp with time zone) owner to novax_definer;
comment on function private.record_usage(p_metric character varying, p_value double precision, p_labels jsonb, p_sampled_at timestamp with time zone) is 'One sample of what app.current_org_id used.';
grant execute on function private.record_usage(p_metric character varying, p_value double precision, p_labels jsonb, p_sampled_at timestamp with time zone) to novax_worker;

CREATE OR REPLACE FUNCTION private.recount_embeddings(p_org_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  insert into public.org_stats (org_id) values (p_org_id) on conflict do nothing;
  -- Whoever adds vectors meanwhile waits here with its part of the count, which the next statement does not see yet.
  perform from public.org_stats s where s.org_id = p_org_id for update;
  update public.org_stats s set embedding_count = (select count(*) from public.ai_embeddings e where e.org_id = p_org_id) where s.org_id = p_org_id;
end
$function$;
alter function private.recount_embeddings(p_org_id uuid) owner to novax_definer;
comment on function private.recount_embeddings(p_org_id uuid) is 'Sets an organization''s count of vectors to how many there are.';
grant execute on function private.recount_embeddings(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.refresh_view(p_view character varying, p_force boolean DEFAULT false)
 RETURNS character varying
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_view is null or p_view not in ('mv_ai_document_context', 'mv_ai_task_intelligence') then
    raise exception 'unknown view' using errcode = 'invalid_parameter_value';
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('private.refresh_view ' || p_view, 0)) then
    return 'busy';
  end if;
  -- Before the refresh, which reads later and so shows all that is taken away here; what is committed meanwhile stays, and is the next one's.
  delete from public.view_changes c where c.view = p_view;
  if not found and not p_force then
    return 'fresh';
  end if;
  execute format('refresh materialized view concurrently private.%I', p_view);
  return 'refreshed';
end
$function$;
alter function private.refresh_view(p_view character varying, p_force boolean) owner to novax_definer;
comment on function private.refresh_view(p_view character varying, p_force boolean) is 'Refreshes one of the AI''s views without blocking its readers: refreshed; fresh when it shows all there is; busy when somebody else is at it. Fails whole: the old content stays, and owed.';
grant execute on function private.refresh_view(p_view character varying, p_force boolean) to novax_worker;

CREATE OR REPLACE FUNCTION private.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$function$;
alter function private.refuse_change() owner to novax_definer;
comment on function private.refuse_change() is 'Stops UPDATE, DELETE and TRUNCATE whatever the grants say.';
grant execute on function private.refuse_change() to novax_owner;

CREATE OR REPLACE FUNCTION private.register_oauth_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_account_id uuid, p_provider character varying, p_subject character varying)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_self(p_id);
  -- '!' is the hash of no password.
  insert into public.users (id, email, email_normalized, username, username_normalized, password_hash, email_verified_at)
  values (p_id, p_email, p_email_normalized, p_username, p_username_normalized, '!', now());
  insert into public.oauth_accounts (id, user_id, provider, subject, email, last_used_at)
  values (p_account_id, p_id, p_provider, p_subject, p_email, now());
end
$function$;
alter function private.register_oauth_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_account_id uuid, p_provider character varying, p_subject character varying) owner to novax_definer;
comment on function private.register_oauth_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_account_id uuid, p_provider character varying, p_subject character varying) is 'Makes an account without a password for a person whose provider has verified their address. What is taken raises unique_violation on idx_users_email_normalized, idx_users_username_normalized or idx_oauth_accounts_provider_subject.';
grant execute on function private.register_oauth_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_account_id uuid, p_provider character varying, p_subject character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.register_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_password_hash character varying)
 RETURNS TABLE(id uuid, email character varying, username character varying, status character varying, created_at timestamp with time zone)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  insert into public.users (id, email, email_normalized, username, username_normalized, password_hash)
  values (coalesce(p_id, gen_random_uuid()), p_email, p_email_normalized, p_username, p_username_normalized, p_password_hash)
  returning id, email, username, status, created_at
$function$;
alter function private.register_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_password_hash character varying) owner to novax_definer;
comment on function private.register_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_password_hash character varying) is 'Makes an account. A taken address or name raises unique_violation on idx_users_email_normalized or idx_users_username_normalized.';
grant execute on function private.register_user(p_id uuid, p_email character varying, p_email_normalized character varying, p_username character varying, p_username_normalized character varying, p_password_hash character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.replace_password(p_user_id uuid, p_password_hash character varying, p_keep_session_id uuid)
 RETURNS SETOF bytea
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_self(p_user_id);
  update public.users set password_hash = p_password_hash where id = p_user_id and status = 'active';
  if not found then
    raise exception 'no active user' using errcode = 'insufficient_privilege';
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where user_id = p_user_id and purpose = 'reset-password' and used_at is null;
  return query select private.end_other_sessions(p_user_id, p_keep_session_id, 'password_changed');
end
$function$;
alter function private.replace_password(p_user_id uuid, p_password_hash character varying, p_keep_session_id uuid) owner to novax_definer;
comment on function private.replace_password(p_user_id uuid, p_password_hash character varying, p_keep_session_id uuid) is 'A new password for oneself: ends every other session, whose hashes it answers, and every mailed secret that would set another.';
grant execute on function private.replace_password(p_user_id uuid, p_password_hash character varying, p_keep_session_id uuid) to novax_api;

CREATE OR REPLACE FUNCTION private.replay_erasure(p_user_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.replay_erasure(p_user_id uuid) owner to novax_definer;
comment on function private.replay_erasure(p_user_id uuid) is 'After a restore: erases somebody again whom the data still has; what they owned goes to its senior member. For the superuser who restores; no role may call it.';

CREATE OR REPLACE FUNCTION private.require_actor(p_actor_type character varying, p_actor_id uuid, p_subject_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_user_id uuid := private.current_user_id();
begin
  if session_user = 'novax_worker' then
    if p_actor_type in ('ai', 'system') then
      return;
    end if;
  elsif p_actor_type = 'system' and p_actor_id is null then
    return;
  elsif p_actor_type in ('user', 'api_key', 'ai') and p_actor_id is not null then
    -- Signed in: oneself. Not yet (registration, sign-in): the person the record is about.
    if p_actor_id = coalesce(v_user_id, p_subject_id) then
      return;
    end if;
  end if;
  raise exception 'the actor is not the caller' using errcode = 'insufficient_privilege';
end
$function$;
alter function private.require_actor(p_actor_type character varying, p_actor_id uuid, p_subject_id uuid) owner to novax_definer;
comment on function private.require_actor(p_actor_type character varying, p_actor_id uuid, p_subject_id uuid) is 'Refuses records in another''s name.';

CREATE OR REPLACE FUNCTION private.require_self(p_user_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if p_user_id is distinct from private.current_user_id() then
    raise exception 'not the current user' using errcode = 'insufficient_privilege';
  end if;
end
$function$;
alter function private.require_self(p_user_id uuid) owner to novax_definer;
comment on function private.require_self(p_user_id uuid) is 'Refuses to act for anyone but app.current_user_id.';

CREATE OR REPLACE FUNCTION private.reset_password(p_token_hash bytea, p_password_hash character varying)
 RETURNS TABLE(user_id uuid, email character varying, ended_sessions bytea[])
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_user public.users;
begin
  select u.* into v_user from public.users u
  where u.status = 'active'
    and u.id = (select t.user_id from public.one_time_tokens t where t.token_hash = p_token_hash and t.purpose = 'reset-password')
  for update;
  if not found then
    return;
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where token_hash = p_token_hash and used_at is null and expires_at > clock_timestamp() and email_normalized = v_user.email_normalized;
  if not found then
    return;
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where user_id = v_user.id and purpose = 'reset-password' and used_at is null;
  -- The mail arrived, so the address is this person's.
  update public.users
  set password_hash = p_password_hash, email_verified_at = coalesce(email_verified_at, clock_timestamp())
  where id = v_user.id;
  return query
    select v_user.id, v_user.email, array(select private.end_other_sessions(v_user.id, null, 'password_reset'));
end
$function$;
alter function private.reset_password(p_token_hash bytea, p_password_hash character varying) owner to novax_definer;
comment on function private.reset_password(p_token_hash bytea, p_password_hash character varying) is 'Trades a mailed secret for a new password, once, and ends every session; no row for a secret that is unknown, used or too old.';
grant execute on function private.reset_password(p_token_hash bytea, p_password_hash character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.reset_token_owner(p_token_hash bytea)
 RETURNS TABLE(user_id uuid, email character varying, username character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select u.id, u.email, u.username
  from public.one_time_tokens t
  join public.users u on u.id = t.user_id
  where t.token_hash = p_token_hash and t.purpose = 'reset-password' and t.used_at is null and t.expires_at > clock_timestamp()
    and t.email_normalized = u.email_normalized and u.status = 'active'
$function$;
alter function private.reset_token_owner(p_token_hash bytea) owner to novax_definer;
comment on function private.reset_token_owner(p_token_hash bytea) is 'Whose password a mailed secret may replace, so that a new one can be judged before the secret is used up.';
grant execute on function private.reset_token_owner(p_token_hash bytea) to novax_api;

CREATE OR REPLACE FUNCTION private.revoke_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_count integer;
begin
  perform private.require_self(p_user_id);
  select count(*) filter (where private.end_session(s.id, p_reason)) into v_count
  from public.sessions s
  where s.user_id = p_user_id and s.revoked_at is null and s.id is distinct from p_keep_session_id;
  return v_count;
end
$function$;
alter function private.revoke_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying) owner to novax_definer;
comment on function private.revoke_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying) is 'Ends all of one''s sessions but one, as after a change of password; a null id to keep ends them all.';
grant execute on function private.revoke_other_sessions(p_user_id uuid, p_keep_session_id uuid, p_reason character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.revoke_session(p_session_id uuid, p_reason character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if private.current_user_id() is null
    or not exists (select from public.sessions s where s.id = p_session_id and s.user_id = private.current_user_id()) then
    return false;
  end if;
  return private.end_session(p_session_id, p_reason);
end
$function$;
alter function private.revoke_session(p_session_id uuid, p_reason character varying) owner to novax_definer;
comment on function private.revoke_session(p_session_id uuid, p_reason character varying) is 'Ends one of one''s own sessions; false when there was nothing to end.';
grant execute on function private.revoke_session(p_session_id uuid, p_reason character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.revoke_session_by_hash(p_sid_hash bytea, p_reason character varying)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select coalesce((select private.end_session(s.id, p_reason) from public.sessions s where s.sid_hash = p_sid_hash), false)
$function$;
alter function private.revoke_session_by_hash(p_sid_hash bytea, p_reason character varying) owner to novax_definer;
comment on function private.revoke_session_by_hash(p_sid_hash bytea, p_reason character varying) is 'Ends the session whose secret id the caller holds.';
grant execute on function private.revoke_session_by_hash(p_sid_hash bytea, p_reason character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.revoke_session_by_refresh_token(p_token_hash bytea, p_reason character varying)
 RETURNS uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_session_id uuid;
begin
  select t.session_id into v_session_id from public.refresh_tokens t where t.token_hash = p_token_hash;
  if v_session_id is not null then
    perform private.end_session(v_session_id, p_reason);
  end if;
  return v_session_id;
end
$function$;
alter function private.revoke_session_by_refresh_token(p_token_hash bytea, p_reason character varying) owner to novax_definer;
comment on function private.revoke_session_by_refresh_token(p_token_hash bytea, p_reason character varying) is 'Signs out by refresh token; returns the session, or null for an unknown token.';
grant execute on function private.revoke_session_by_refresh_token(p_token_hash bytea, p_reason character varying) to novax_api;

CREATE OR REPLACE FUNCTION private.revoked_sessions_since(p_since timestamp with time zone)
 RETURNS TABLE(sid_hash bytea, revoked_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select s.sid_hash, s.revoked_at from public.sessions s where s.revoked_at >= p_since order by s.revoked_at
$function$;
alter function private.revoked_sessions_since(p_since timestamp with time zone) owner to novax_definer;
comment on function private.revoked_sessions_since(p_since timestamp with time zone) is 'Sessions revoked at or after an instant, by the hash of their secret id. A revocation shows up when its transaction commits, so ask again from some seconds before the last look.';
grant execute on function private.revoked_sessions_since(p_since timestamp with time zone) to novax_api;

CREATE OR REPLACE FUNCTION private.rotate_refresh_token(p_old_hash bytea, p_new_id uuid, p_new_hash bytea, p_idle interval)
 RETURNS TABLE(outcome character varying, session_id uuid, user_id uuid, family_id uuid, expires_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_token public.refresh_tokens;
  v_session public.sessions;
  v_user_status varchar;
  v_expires_at timestamptz;
begin
  -- The lock makes one of several concurrent callers the first; the others see what it left. Session before token, as in end_session.
  select s.* into v_session
  from public.sessions s
  where s.id = (select t.session_id from public.refresh_tokens t where t.token_hash = p_old_hash)
  for update;
  if not found then
    return query select 'unknown'::varchar, null::uuid, null::uuid, null::uuid, null::timestamptz;
    return;
  end if;
  select t.* into v_token from public.refresh_tokens t where t.token_hash = p_old_hash for update;
  select u.status into v_user_status from public.users u where u.id = v_session.user_id;
  if v_token.status = 'rotated' then
    perform private.end_session(v_session.id, 'refresh_token_reused');
    return query select 'reused'::varchar, v_session.id, v_session.user_id, v_token.family_id, null::timestamptz;
    return;
  end if;
  if v_token.status = 'revoked' or v_token.expires_at <= clock_timestamp() or v_session.revoked_at is not null
    or v_session.absolute_expires_at <= clock_timestamp() or v_user_status <> 'active' then
    return query select 'expired'::varchar, v_session.id, v_session.user_id, v_token.family_id, null::timestamptz;
    return;
  end if;
  v_expires_at := least(clock_timestamp() + p_idle, v_session.absolute_expires_at);
  insert into public.refresh_tokens (id, session_id, family_id, token_hash, expires_at)
  values (p_new_id, v_session.id, v_token.family_id, p_new_hash, v_expires_at);
  update public.refresh_tokens set status = 'rotated', used_at = clock_timestamp(), replaced_by_id = p_new_id where id = v_token.id;
  update public.sessions set last_seen_at = clock_timestamp(), idle_expires_at = v_expires_at where id = v_session.id;
  return query select 'rotated'::varchar, v_session.id, v_session.user_id, v_token.family_id, v_expires_at;
end
$function$;
alter function private.rotate_refresh_token(p_old_hash bytea, p_new_id uuid, p_new_hash bytea, p_idle interval) owner to novax_definer;
comment on function private.rotate_refresh_token(p_old_hash bytea, p_new_id uuid, p_new_hash bytea, p_idle interval) is 'Trades a token for its successor, once: rotated, reused (family and session are revoked), expired or unknown. The caller must COMMIT whatever the outcome, or a reuse goes unpunished.';
grant execute on function private.rotate_refresh_token(p_old_hash bytea, p_new_id uuid, p_new_hash bytea, p_idle interval) to novax_api;

CREATE OR REPLACE FUNCTION private.search_documents(q text, p_org uuid, p_project uuid, p_limit integer)
 RETURNS TABLE(id uuid, project_id uuid, title character varying, snippet text, score real, updated_at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_org_id uuid := nullif(current_setting('app.current_org_id', true), '')::uuid;
  v_simple tsquery := websearch_to_tsquery('simple', q);
  v_english tsquery := websearch_to_tsquery('english', q);
  v_indonesian tsquery := websearch_to_tsquery('indonesian', q);
begin
  if session_user in ('novax_worker', 'novax_ai') then
    if p_org is distinct from v_org_id then
      return;
    end if;
  elsif p_org is distinct from coalesce(v_org_id, p_org)
    or not exists (
      select from app.memberships m
      where m.user_id = nullif(current_setting('app.current_user_id', true), '')::uuid and m.org_id = p_org
    ) then
    return;
  end if;
  return query
    -- Apart from its joins: with the project in it, the planner expects one row and reads the whole organization instead of the text index.
    with matching as materialized (
      select d.id, d.org_id, d.project_id, d.title, d.language, d.updated_at,
        case d.language when 'english' then v_english when 'indonesian' then v_indonesian else v_simple end as query,
        -- 1 | 32: divided by 1 + log(length), then mapped into 0..1.
        ts_rank_cd(
          d.search_vector, case d.language when 'english' then v_english when 'indonesian' then v_indonesian else v_simple end, 1 | 32
        ) as score
      from public.documents d
      where d.org_id = p_org
        and d.status in ('draft', 'active')
        and (p_project is null or d.project_id = p_project)
        -- One arm per language, each a lookup in the same index.
        and (
          (d.language = 'english' and d.search_vector @@ v_english)
          or (d.language = 'indonesian' and d.search_vector @@ v_indonesian)
          or (d.language = 'simple' and d.search_vector @@ v_simple)
        )
    ),
    best as materialized (
      select m.*
      from matching m
      join public.projects p on p.org_id = m.org_id and p.id = m.project_id and p.status <> 'deleted'
      order by m.score desc, m.updated_at desc, m.id
      limit least(greatest(coalesce(p_limit, 20), 1), 100)
    )
    select b.id, b.project_id, b.title,
      -- Only the rows that are returned are highlighted, and only so far into each.
      ts_headline(
        b.language::regconfig, left(d.content, 100000), b.query,
        'StartSel=«, StopSel=», MaxFragments=2, MaxWords=24, MinWords=8, FragmentDelimiter=" … "'
      ),
      b.score,
      b.updated_at
    from best b
    join public.documents d on d.org_id = p_org and d.id = b.id
    order by b.score desc, b.updated_at desc, b.id;
end
$function$;
alter function private.search_documents(q text, p_org uuid, p_project uuid, p_limit integer) owner to novax_definer;
comment on function private.search_documents(q text, p_org uuid, p_project uuid, p_limit integer) is 'Full-text search in one organization the caller belongs to (for the worker and the AI: app.current_org_id); nothing for anyone else. q in web-search syntax; at most 100 hits; matches in «».';
grant execute on function private.search_documents(q text, p_org uuid, p_project uuid, p_limit integer) to novax_api;
grant execute on function private.search_documents(q text, p_org uuid, p_project uuid, p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.session_by_hash(p_sid_hash bytea)
 RETURNS TABLE(session_id uuid, user_id uuid, user_status character varying, expires_at timestamp with time zone, absolute_expires_at timestamp with time zone, revoked_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select s.id, s.user_id, u.status, least(s.idle_expires_at, s.absolute_expires_at), s.absolute_expires_at, s.revoked_at
  from public.sessions s
  join public.users u on u.id = s.user_id
  where s.sid_hash = p_sid_hash
$function$;
alter function private.session_by_hash(p_sid_hash bytea) owner to novax_definer;
comment on function private.session_by_hash(p_sid_hash bytea) is 'The session behind a secret id. The caller decides: active user, not revoked, not expired.';
grant execute on function private.session_by_hash(p_sid_hash bytea) to novax_api;

CREATE OR REPLACE FUNCTION private.set_ai_updated_at()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  new.ai_updated_at := now();
  return new;
end
$function$;
alter function private.set_ai_updated_at() owner to novax_definer;
comment on function private.set_ai_updated_at() is 'Keeps ai_updated_at of the row whose ai_ columns changed.';
grant execute on function private.set_ai_updated_at() to novax_owner;

CREATE OR REPLACE FUNCTION private.set_updated_at()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  new.updated_at := now();
  return new;
end
$function$;
alter function private.set_updated_at() owner to novax_definer;
comment on function private.set_updated_at() is 'Keeps updated_at; where some columns must not count (AI columns of documents and tasks), the trigger''s WHEN says so.';
grant execute on function private.set_updated_at() to novax_owner;

CREATE OR REPLACE FUNCTION private.set_user_suspended(p_user_id uuid, p_suspended boolean, p_reason character varying DEFAULT NULL::character varying)
 RETURNS TABLE(outcome character varying, ended_sessions bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_from varchar := case when p_suspended then 'active' else 'suspended' end;
  v_to varchar := case when p_suspended then 'suspended' else 'active' end;
  v_status varchar;
  v_ended bigint;
begin
  select u.status into v_status from public.users u where u.id = p_user_id for update;
  if v_status is distinct from v_from then
    return query select coalesce(v_status, 'unknown')::varchar, 0::bigint;
    return;
  end if;
  select count(*) into v_ended from public.sessions s
  where s.user_id = p_user_id and s.revoked_at is null and least(s.idle_expires_at, s.absolute_expires_at) > now();
  update public.users set status = v_to where users.id = p_user_id;
  perform private.audit_system(
    'system', null, 'update', 'users', p_user_id,
    jsonb_build_object('status', v_from), jsonb_strip_nulls(jsonb_build_object('status', v_to, 'reason', p_reason))
  );
  return query select 'done'::varchar, case when p_suspended then v_ended else 0 end;
end
$function$;
alter function private.set_user_suspended(p_user_id uuid, p_suspended boolean, p_reason character varying) owner to novax_definer;
comment on function private.set_user_suspended(p_user_id uuid, p_suspended boolean, p_reason character varying) is 'For operators: suspends an active person, whose sessions end with it, or restores a suspended one; the audit row names the system. Outcome: done, or the status that stood in the way, or unknown.';
grant execute on function private.set_user_suspended(p_user_id uuid, p_suspended boolean, p_reason character varying) to novax_migrator;

CREATE OR REPLACE PROCEDURE private.start_audit_epoch()
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $procedure$
declare
  v_epoch integer;
begin
  update public.audit_horizon set
    epoch = epoch + 1,
    next_xact = '0',
    prior_epoch = coalesce(prior_epoch, epoch),
    prior_xact = coalesce(prior_xact, next_xact)
  returning epoch into v_epoch;
  execute format('alter table public.audit_log alter column epoch set default %s', v_epoch);
end
$procedure$;
alter procedure private.start_audit_epoch() owner to novax_owner;
comment on procedure private.start_audit_epoch() is 'To be called once after the tables were loaded into another cluster, where transaction numbers begin anew: rows brought along and not yet sealed are sealed first.';

CREATE OR REPLACE FUNCTION private.store_audit_seals(p_epoch integer, p_from xid8, p_to xid8, p_seals jsonb)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_count integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('private.audit_seals', 0));
  update public.audit_horizon h set next_xact = p_to
  where h.epoch = p_epoch and h.next_xact = p_from and p_to <= pg_snapshot_xmin(pg_current_snapshot());
  if not found then
    update public.audit_horizon h set prior_epoch = p_epoch, prior_xact = p_to
    where p_epoch < h.epoch
      and (h.prior_epoch = p_epoch and h.prior_xact = p_from or h.prior_epoch < p_epoch and p_from = '0');
  end if;
  if not found then
    raise exception 'the seals do not begin where the last ones ended' using errcode = 'serialization_failure';
  end if;
  insert into public.audit_seals (
    id, org_id, seal_no, epoch, from_xact, to_xact, first_audit_id, last_audit_id, row_count, row_ids, row_hashes,
    previous_hash, hash, signature, key_id, created_at
  )
  select
    s.id, s.org_id, s.seal_no, p_epoch, p_from, p_to, r.ids[1], r.ids[cardinality(r.ids)], cardinality(r.ids), r.ids, decode(s.row_hashes, 'hex'),
    decode(s.previous_hash, 'hex'), decode(s.hash, 'hex'), decode(s.signature, 'hex'), s.key_id, s.created_at
  from jsonb_to_recordset(p_seals) as s(
    id uuid, org_id uuid, seal_no bigint, row_ids text, row_hashes text, previous_hash text, hash text, signature text, key_id text, created_at timestamptz
  )
  cross join lateral (select s.row_ids::bigint[] as ids) r;
  get diagnostics v_count = row_count;
  return v_count;
end
$function$;
alter function private.store_audit_seals(p_epoch integer, p_from xid8, p_to xid8, p_seals jsonb) owner to novax_definer;
comment on function private.store_audit_seals(p_epoch integer, p_from xid8, p_to xid8, p_seals jsonb) is 'Stores the seals over what audit_settled gave in this transaction and moves the horizon; one chain''s seal numbers are unique.';
grant execute on function private.store_audit_seals(p_epoch integer, p_from xid8, p_to xid8, p_seals jsonb) to novax_worker;

CREATE OR REPLACE FUNCTION private.summaries_difference(p_org_id uuid)
 RETURNS TABLE(kind character varying, org_id uuid, id uuid, fingerprint character varying)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select case when d.ai_summary is null then 'missing' else 'stale' end::varchar, d.org_id, d.id, left(encode(d.content_hash, 'hex'), 32)
  from public.documents d
  join public.projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'
  join public.organizations o on o.id = d.org_id and o.status <> 'deleted'
  where d.status in ('draft', 'active') and d.content_hash is not null and (p_org_id is null or d.org_id = p_org_id)
    and d.updated_at < now() - interval '30 seconds'
    and (d.ai_summary is null or d.ai_metadata ->> 'summary_of' is distinct from encode(d.content_hash, 'hex'))
$function$;
alter function private.summaries_difference(p_org_id uuid) owner to novax_definer;
comment on function private.summaries_difference(p_org_id uuid) is 'Documents without a summary of their present text.';
grant execute on function private.summaries_difference(p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.sweep(p_table character varying, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_rows integer;
begin
  -- Ended sessions and tokens are kept for 30 days, for whoever looks into an incident.
  case p_table
    when 'sessions' then
      -- Their refresh tokens go with them. The idle end is never after the absolute one.
      delete from public.sessions where id in (
        select s.id from public.sessions s
        where s.idle_expires_at < now() - interval '30 days' or s.revoked_at < now() - interval '30 days'
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
$function$;
alter function private.sweep(p_table character varying, p_limit integer) owner to novax_definer;
comment on function private.sweep(p_table character varying, p_limit integer) is 'Removes up to that many expired rows of one table (invitations are marked instead) and says how many. Several at once share the work.';
grant execute on function private.sweep(p_table character varying, p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.sync_membership()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if tg_op <> 'INSERT' and (tg_op = 'DELETE' or (old.user_id, old.org_id) is distinct from (new.user_id, new.org_id)) then
    delete from app.memberships where user_id = old.user_id and org_id = old.org_id;
  end if;
  if tg_op <> 'DELETE' then
    insert into app.memberships (user_id, org_id, role) values (new.user_id, new.org_id, new.role)
    on conflict (user_id, org_id) do update set role = excluded.role;
  end if;
  return null;
end
$function$;
alter function private.sync_membership() owner to novax_definer;
comment on function private.sync_membership() is 'Keeps app.memberships equal to org_members; runs as novax_definer because callers may not write it.';
grant execute on function private.sync_membership() to novax_owner;

CREATE OR REPLACE FUNCTION private.take_oauth_flow(p_flow_hash bytea)
 RETURNS TABLE(id uuid, provider character varying, secrets_ciphertext bytea, key_id character varying, link_user_id uuid)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  with taken as (
    delete from public.oauth_flows f where f.flow_hash = p_flow_hash
    returning f.id, f.provider, f.secrets_ciphertext, f.key_id, f.link_user_id, f.expires_at
  )
  select t.id, t.provider, t.secrets_ciphertext, t.key_id, t.link_user_id from taken t where t.expires_at > clock_timestamp()
$function$;
alter function private.take_oauth_flow(p_flow_hash bytea) owner to novax_definer;
comment on function private.take_oauth_flow(p_flow_hash bytea) is 'A sign-in under way, once: of several concurrent callers the first gets it. Nothing for an unknown or expired one. The caller must COMMIT before acting on it.';
grant execute on function private.take_oauth_flow(p_flow_hash bytea) to novax_api;

CREATE OR REPLACE FUNCTION private.touch_api_key(p_api_key_id uuid)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update public.api_keys k
  set last_used_at = now()
  where k.id = p_api_key_id and k.creator_id = private.current_user_id()
    and (k.last_used_at is null or k.last_used_at < now() - interval '1 minute')
$function$;
alter function private.touch_api_key(p_api_key_id uuid) owner to novax_definer;
comment on function private.touch_api_key(p_api_key_id uuid) is 'Notes that a key of the current person was used, once a minute at most; a creator need not be an admin any more.';
grant execute on function private.touch_api_key(p_api_key_id uuid) to novax_api;

CREATE OR REPLACE FUNCTION private.touch_session(p_sid_hash bytea, p_idle_expires_at timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update public.sessions s
  set last_seen_at = now(), idle_expires_at = greatest(s.idle_expires_at, least(p_idle_expires_at, s.absolute_expires_at))
  where s.sid_hash = p_sid_hash and s.revoked_at is null and least(s.idle_expires_at, s.absolute_expires_at) > now()
  returning s.idle_expires_at
$function$;
alter function private.touch_session(p_sid_hash bytea, p_idle_expires_at timestamp with time zone) owner to novax_definer;
comment on function private.touch_session(p_sid_hash bytea, p_idle_expires_at timestamp with time zone) is 'Slides a live session''s idle end, never beyond its absolute end; null when it is over.';
grant execute on function private.touch_session(p_sid_hash bytea, p_idle_expires_at timestamp with time zone) to novax_api;

CREATE OR REPLACE FUNCTION private.unlink_oauth_account(p_user_id uuid, p_account_id uuid)
 RETURNS TABLE(outcome character varying, provider character varying)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_password_hash varchar;
  v_provider varchar;
begin
  perform private.require_self(p_user_id);
  -- One at a time per person, or two at once could each leave the other's as the way in.
  select u.password_hash into v_password_hash from public.users u where u.id = p_user_id for update;
  select a.provider into v_provider from public.oauth_accounts a where a.id = p_account_id and a.user_id = p_user_id;
  if v_provider is null then
    return query select 'unknown'::varchar, null::varchar;
    return;
  end if;
  if v_password_hash = '!' and not exists (select from public.oauth_accounts a where a.user_id = p_user_id and a.id <> p_account_id) then
    return query select 'only'::varchar, v_provider;
    return;
  end if;
  delete from public.oauth_accounts a where a.id = p_account_id;
  return query select 'unlinked'::varchar, v_provider;
end
$function$;
alter function private.unlink_oauth_account(p_user_id uuid, p_account_id uuid) owner to novax_definer;
comment on function private.unlink_oauth_account(p_user_id uuid, p_account_id uuid) is 'Takes a provider off one''s own account: unlinked, only (there is no password and no other provider) or unknown.';
grant execute on function private.unlink_oauth_account(p_user_id uuid, p_account_id uuid) to novax_api;

CREATE OR REPLACE FUNCTION private.unrecorded_erasures(p_limit integer)
 RETURNS TABLE(user_id uuid, erased_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select e.user_id, e.erased_at from public.erasures e where e.recorded_at is null order by e.erased_at, e.user_id limit p_limit
$function$;
alter function private.unrecorded_erasures(p_limit integer) owner to novax_definer;
comment on function private.unrecorded_erasures(p_limit integer) is 'People erased whom the list outside the database does not name yet.';
grant execute on function private.unrecorded_erasures(p_limit integer) to novax_worker;

CREATE OR REPLACE FUNCTION private.usage_for_current_org(p_metric character varying, p_from timestamp with time zone, p_to timestamp with time zone, p_bucket interval)
 RETURNS TABLE(bucket timestamp with time zone, samples bigint, total double precision, peak double precision)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select date_bin(p_bucket, u.sampled_at, timestamptz '2000-01-01 00:00:00+00') as bucket, count(*), sum(u.value), max(u.value)
  from public.usage_samples u
  where u.org_id = (select nullif(current_setting('app.current_org_id', true), '')::uuid)
    and exists (
      select from app.memberships m
      where m.user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid) and m.org_id = u.org_id
    )
    and u.metric = p_metric and u.sampled_at >= p_from and u.sampled_at < p_to
  group by 1
  order by 1
  limit 10000
$function$;
alter function private.usage_for_current_org(p_metric character varying, p_from timestamp with time zone, p_to timestamp with time zone, p_bucket interval) owner to novax_definer;
comment on function private.usage_for_current_org(p_metric character varying, p_from timestamp with time zone, p_to timestamp with time zone, p_bucket interval) is 'Usage of app.current_org_id in buckets, for its members; the samples themselves are readable by nobody.';
grant execute on function private.usage_for_current_org(p_metric character varying, p_from timestamp with time zone, p_to timestamp with time zone, p_bucket interval) to novax_api;

CREATE OR REPLACE FUNCTION private.user_profile(p_user_id uuid)
 RETURNS TABLE(id uuid, email character varying, username character varying, profile_metadata jsonb, status character varying, created_at timestamp with time zone, updated_at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform private.require_self(p_user_id);
  return query
    select u.id, u.email, u.username, u.profile_metadata, u.status, u.created_at, u.updated_at
    from public.users u where u.id = p_user_id;
end
$function$;
alter function private.user_profile(p_user_id uuid) owner to novax_definer;
comment on function private.user_profile(p_user_id uuid) is 'One''s own profile.';
grant execute on function private.user_profile(p_user_id uuid) to novax_api;

CREATE OR REPLACE FUNCTION private.verify_email(p_token_hash bytea)
 RETURNS uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_user public.users;
begin
  -- Person before token, here and in reset_password, so that two links of one person cannot wait for each other.
  select u.* into v_user from public.users u
  where u.status = 'active'
    and u.id = (select t.user_id from public.one_time_tokens t where t.token_hash = p_token_hash and t.purpose = 'verify-email')
  for update;
  if not found then
    return null;
  end if;
  update public.one_time_tokens set used_at = clock_timestamp()
  where token_hash = p_token_hash and used_at is null and expires_at > clock_timestamp() and email_normalized = v_user.email_normalized;
  if not found then
    return null;
  end if;
  update public.users set email_verified_at = clock_timestamp() where id = v_user.id;
  return v_user.id;
end
$function$;
alter function private.verify_email(p_token_hash bytea) owner to novax_definer;
comment on function private.verify_email(p_token_hash bytea) is 'Confirms the address that a secret was mailed to, once; the person, or null for a secret that is unknown, used or too old.';
grant execute on function private.verify_email(p_token_hash bytea) to novax_api;

CREATE OR REPLACE FUNCTION private.view_difference(p_view character varying, p_org_id uuid)
 RETURNS TABLE(kind character varying, org_id uuid, id uuid)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
alter function private.view_difference(p_view character varying, p_org_id uuid) owner to novax_definer;
comment on function private.view_difference(p_view character varying, p_org_id uuid) is 'Rows in which a materialized view is not what its own query answers now.';
grant execute on function private.view_difference(p_view character varying, p_org_id uuid) to novax_worker;

CREATE OR REPLACE FUNCTION private.view_staleness()
 RETURNS TABLE(view character varying, seconds double precision)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select v.view, coalesce(extract(epoch from clock_timestamp() - min(c.created_at)), 0)::double precision
  from (values ('mv_ai_document_context'::varchar), ('mv_ai_task_intelligence')) as v (view)
  left join public.view_changes c on c.view = v.view
  group by v.view
$function$;
alter function private.view_staleness() owner to novax_definer;
comment on function private.view_staleness() is 'Age of the oldest change that a view does not show, in seconds; 0 when it shows all there is.';
grant execute on function private.view_staleness() to novax_worker;

-- alter default privileges for role novax_definer on functions: execute to novax_definer
-- alter default privileges for role novax_owner on functions: execute to novax_owner
-- alter default privileges for role novax_owner on schemas: usage to novax_backup, create to novax_owner, usage to novax_owner
-- alter default privileges for role novax_owner on sequences: select to novax_backup, select to novax_owner, update to novax_owner, usage to novax_owner
-- alter default privileges for role novax_owner on tables: select to novax_backup, delete to novax_owner, insert to novax_owner, maintain to novax_owner, references to novax_owner, select to novax_owner, trigger to novax_owner, truncate to novax_owner, update to novax_owner
