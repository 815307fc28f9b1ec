-- Projects: what documents and tasks belong to.

create table public.projects (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_projects_organization references public.organizations (id) on delete cascade,
  name varchar not null,
  description text,
  ai_context jsonb not null default '{}',
  language varchar not null default 'english',
  status varchar not null default 'active',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_projects_name check (char_length(name) between 1 and 200),
  constraint ck_projects_language check (language in ('simple', 'english', 'indonesian')),
  constraint ck_projects_status check (status in ('active', 'archived', 'deleted'))
);
comment on table public.projects is 'A body of work inside an organization.';
comment on column public.projects.ai_context is 'How the AI should see and treat this project: domain, keywords, classification, ai_instructions, relationships.';
comment on column public.projects.language is 'Text search configuration that its documents start with.';
-- What composite foreign keys of the rows below point at: a row cannot name a project of another organization.
create unique index idx_projects_org_id_id on public.projects (org_id, id);
create index idx_projects_org_id_created_at_id on public.projects (org_id, created_at desc, id desc);

call private.keep_updated_at('public.projects');
call private.force_rls('public.projects');
call private.add_policies('public.projects', 'novax_api', '{select}', private.member_of('viewer'));
-- Members make and edit projects; only an admin deletes one (softly) or brings it back.
call private.add_policies('public.projects', 'novax_api', '{insert,update}', private.member_of('member'),
  format('%s and (status <> ''deleted'' or %s)', private.member_of('member'), private.member_of('admin')));
call private.add_policies('public.projects', 'novax_worker', '{select,delete}', private.in_current_org());
call private.add_policies('public.projects', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert on public.projects to novax_api;
grant update (name, description, ai_context, language, status, version) on public.projects to novax_api;
-- The worker deletes for good only what retention says.
grant select, delete on public.projects to novax_worker;
grant select on public.projects to novax_readonly, novax_definer;
