-- Tasks, comments and attachments: the rest of what people work on.

create table public.tasks (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null,
  project_id uuid not null,
  document_id uuid,
  assignee_id uuid,
  creator_id uuid not null constraint fk_tasks_creator references public.users (id),
  title varchar not null,
  description text,
  priority varchar not null default 'medium',
  status varchar not null default 'todo',
  position double precision not null default 0,
  due_date timestamptz,
  completed_at timestamptz,
  ai_metadata jsonb not null default '{}',
  ai_updated_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint fk_tasks_project foreign key (org_id, project_id) references public.projects (org_id, id) on delete cascade,
  constraint fk_tasks_document foreign key (org_id, document_id) references public.documents (org_id, id) on delete set null (document_id),
  constraint fk_tasks_assignee foreign key (org_id, assignee_id) references public.org_members (org_id, user_id) on delete set null (assignee_id),
  constraint ck_tasks_title check (char_length(title) between 1 and 500),
  constraint ck_tasks_priority check (priority in ('critical', 'high', 'medium', 'low')),
  constraint ck_tasks_status check (status in ('todo', 'in_progress', 'review', 'done'))
);
comment on table public.tasks is 'A piece of work on a project''s board.';
comment on column public.tasks.assignee_id is 'A member of the organization; empty again when they leave.';
comment on column public.tasks.position is 'Order inside a board column, ascending; a move takes a value between its neighbours.';
comment on column public.tasks.ai_metadata is 'Open facts an AI noted, by key.';
create unique index idx_tasks_org_id_id on public.tasks (org_id, id);
create index idx_tasks_project_id_status on public.tasks (project_id, status, position);
create index idx_tasks_org_id_project_id_created_at_id on public.tasks (org_id, project_id, created_at desc, id desc);
create index idx_tasks_org_id_assignee_id on public.tasks (org_id, assignee_id) where assignee_id is not null;
create index idx_tasks_assignee_id on public.tasks (assignee_id);
create index idx_tasks_creator_id on public.tasks (creator_id);
create index idx_tasks_org_id_document_id on public.tasks (org_id, document_id) where document_id is not null;
create index idx_tasks_due_date on public.tasks (due_date);

create trigger set_ai_updated_at before update of ai_metadata on public.tasks
  for each row when (old.ai_metadata is distinct from new.ai_metadata)
  execute function private.set_ai_updated_at();
create trigger set_updated_at before update on public.tasks
  for each row when (
    (old.org_id, old.project_id, old.document_id, old.assignee_id, old.creator_id, old.title, old.description, old.priority,
     old.status, old.position, old.due_date, old.completed_at, old.version)
    is distinct from
    (new.org_id, new.project_id, new.document_id, new.assignee_id, new.creator_id, new.title, new.description, new.priority,
     new.status, new.position, new.due_date, new.completed_at, new.version)
  )
  execute function private.set_updated_at();

call private.force_rls('public.tasks');
call private.add_policies('public.tasks', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.tasks', 'novax_api', '{insert}', private.member_of('member') || ' and ' || private.is_self('creator_id'));
call private.add_policies('public.tasks', 'novax_api', '{update,delete}', private.member_of('member'));
call private.add_policies('public.tasks', 'novax_worker', '{select,update,delete}', private.in_current_org());
call private.add_policies('public.tasks', 'ai_agent_role', '{select,update}', private.in_current_org());
call private.add_policies('public.tasks', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert, delete on public.tasks to novax_api;
grant update (project_id, document_id, assignee_id, title, description, priority, status, position, due_date, completed_at, version)
  on public.tasks to novax_api;
grant select, delete on public.tasks to novax_worker;
grant update (ai_metadata, ai_updated_at) on public.tasks to novax_worker;
grant select (id, org_id, project_id, document_id, title, description, priority, status, due_date, ai_metadata, ai_updated_at, version, created_at, updated_at)
  on public.tasks to ai_agent_role;
grant update (ai_metadata) on public.tasks to ai_agent_role;
grant select on public.tasks to novax_readonly, novax_definer;

create table public.comments (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null,
  document_id uuid,
  task_id uuid,
  parent_id uuid,
  author_id uuid not null constraint fk_comments_author references public.users (id),
  body text not null,
  status varchar not null default 'active',
  resolved_at timestamptz,
  resolver_id uuid constraint fk_comments_resolver references public.users (id),
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint fk_comments_document foreign key (org_id, document_id) references public.documents (org_id, id) on delete cascade,
  constraint fk_comments_task foreign key (org_id, task_id) references public.tasks (org_id, id) on delete cascade,
  constraint ck_comments_target check (num_nonnulls(document_id, task_id) = 1),
  constraint ck_comments_body check (char_length(body) between 1 and 20000),
  constraint ck_comments_status check (status in ('active', 'deleted')),
  constraint ck_comments_resolved check ((resolved_at is null) = (resolver_id is null))
);
comment on table public.comments is 'A remark on a document or a task; replies name their parent.';
create unique index idx_comments_org_id_id on public.comments (org_id, id);
-- Added here because its target is the index above.
alter table public.comments add constraint fk_comments_parent foreign key (org_id, parent_id)
  references public.comments (org_id, id) on delete cascade;
create index idx_comments_org_id_document_id_created_at on public.comments (org_id, document_id, created_at) where document_id is not null;
create index idx_comments_org_id_task_id_created_at on public.comments (org_id, task_id, created_at) where task_id is not null;
create index idx_comments_org_id_parent_id on public.comments (org_id, parent_id) where parent_id is not null;
create index idx_comments_author_id on public.comments (author_id);
create index idx_comments_resolver_id on public.comments (resolver_id);

call private.keep_updated_at('public.comments');
call private.force_rls('public.comments');
call private.add_policies('public.comments', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.comments', 'novax_api', '{insert}', private.member_of('member') || ' and ' || private.is_self('author_id'));
call private.add_policies('public.comments', 'novax_api', '{update,delete}', private.member_of('member'));
call private.add_policies('public.comments', 'novax_worker', '{select,delete}', private.in_current_org());
call private.add_policies('public.comments', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert, delete on public.comments to novax_api;
grant update (body, status, resolved_at, resolver_id, version) on public.comments to novax_api;
grant select, delete on public.comments to novax_worker;
grant select on public.comments to novax_readonly, novax_definer;

create table public.attachments (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null,
  document_id uuid,
  task_id uuid,
  comment_id uuid,
  uploader_id uuid not null constraint fk_attachments_uploader references public.users (id),
  file_name varchar not null,
  media_type varchar not null,
  size_bytes bigint not null,
  sha256 bytea,
  storage_key varchar not null,
  extracted_text text,
  status varchar not null default 'pending',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint fk_attachments_document foreign key (org_id, document_id) references public.documents (org_id, id) on delete cascade,
  constraint fk_attachments_task foreign key (org_id, task_id) references public.tasks (org_id, id) on delete cascade,
  constraint fk_attachments_comment foreign key (org_id, comment_id) references public.comments (org_id, id) on delete cascade,
  constraint ck_attachments_target check (num_nonnulls(document_id, task_id, comment_id) = 1),
  constraint ck_attachments_file_name check (char_length(file_name) between 1 and 255),
  constraint ck_attachments_size_bytes check (size_bytes >= 0),
  constraint ck_attachments_sha256 check (octet_length(sha256) = 32),
  constraint ck_attachments_status check (status in ('pending', 'stored', 'rejected', 'deleted'))
);
comment on table public.attachments is 'A file in object storage that belongs to a document, a task or a comment.';
comment on column public.attachments.storage_key is 'Object name in the bucket; begins with the organization''s id.';
comment on column public.attachments.extracted_text is 'Text found in the file, for search and embedding; null when none was looked for.';
create unique index idx_attachments_org_id_id on public.attachments (org_id, id);
create unique index idx_attachments_storage_key on public.attachments (storage_key);
create index idx_attachments_org_id_document_id on public.attachments (org_id, document_id) where document_id is not null;
create index idx_attachments_org_id_task_id on public.attachments (org_id, task_id) where task_id is not null;
create index idx_attachments_org_id_comment_id on public.attachments (org_id, comment_id) where comment_id is not null;
create index idx_attachments_uploader_id on public.attachments (uploader_id);

call private.keep_updated_at('public.attachments');
call private.force_rls('public.attachments');
call private.add_policies('public.attachments', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.attachments', 'novax_api', '{insert}', private.member_of('member') || ' and ' || private.is_self('uploader_id'));
call private.add_policies('public.attachments', 'novax_api', '{update}', private.member_of('member'));
call private.add_policies('public.attachments', 'novax_worker', '{select,update,delete}', private.in_current_org());
call private.add_policies('public.attachments', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert on public.attachments to novax_api;
grant update (sha256, size_bytes, status) on public.attachments to novax_api;
grant select, delete on public.attachments to novax_worker;
grant update (sha256, size_bytes, status, extracted_text) on public.attachments to novax_worker;
grant select on public.attachments to novax_readonly, novax_definer;
