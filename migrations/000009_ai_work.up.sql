-- What the AI did and what it proposes.

create table public.ai_runs (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_ai_runs_organization references public.organizations (id) on delete cascade,
  user_id uuid constraint fk_ai_runs_user references public.users (id),
  kind varchar not null,
  model varchar not null,
  status varchar not null default 'running',
  input_tokens integer not null default 0,
  output_tokens integer not null default 0,
  tool_calls integer not null default 0,
  cost_micros bigint not null default 0,
  request_id varchar,
  error text,
  metadata jsonb not null default '{}',
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_ai_runs_kind check (kind in ('ask', 'query', 'embed', 'summarize', 'classify')),
  constraint ck_ai_runs_status check (status in ('running', 'succeeded', 'failed', 'stopped')),
  constraint ck_ai_runs_usage check (input_tokens >= 0 and output_tokens >= 0 and tool_calls >= 0 and cost_micros >= 0)
);
comment on table public.ai_runs is 'One use of a model: what it was for, how it ended and what it consumed.';
comment on column public.ai_runs.user_id is 'The person who asked; null when the system did.';
comment on column public.ai_runs.cost_micros is 'Millionths of the billing currency.';
create unique index idx_ai_runs_org_id_id on public.ai_runs (org_id, id);
create index idx_ai_runs_org_id_created_at on public.ai_runs (org_id, created_at);
create index idx_ai_runs_user_id on public.ai_runs (user_id);

call private.keep_updated_at('public.ai_runs');
call private.force_rls('public.ai_runs');
call private.add_policies('public.ai_runs', 'novax_api', '{select}',
  format('%s or (%s and %s)', private.member_of('admin'), private.member_of('viewer'), private.is_self()));
call private.add_policies('public.ai_runs', 'novax_api', '{insert,update}', private.member_of('viewer') || ' and ' || private.is_self());
call private.add_policies('public.ai_runs', 'novax_worker', '{select,insert,update,delete}', private.in_current_org());
call private.add_policies('public.ai_runs', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert on public.ai_runs to novax_api;
grant update (status, input_tokens, output_tokens, tool_calls, cost_micros, error, metadata, finished_at) on public.ai_runs to novax_api;
grant select, insert, update, delete on public.ai_runs to novax_worker;
grant select on public.ai_runs to novax_readonly;

create table public.ai_proposals (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null constraint fk_ai_proposals_organization references public.organizations (id) on delete cascade,
  ai_run_id uuid,
  document_id uuid,
  task_id uuid,
  project_id uuid,
  kind varchar not null,
  proposal jsonb not null,
  rationale text,
  target_version integer,
  status varchar not null default 'pending',
  reviewer_id uuid constraint fk_ai_proposals_reviewer references public.users (id),
  reviewed_at timestamptz,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint fk_ai_proposals_ai_run foreign key (org_id, ai_run_id) references public.ai_runs (org_id, id) on delete set null (ai_run_id),
  constraint fk_ai_proposals_document foreign key (org_id, document_id) references public.documents (org_id, id) on delete cascade,
  constraint fk_ai_proposals_task foreign key (org_id, task_id) references public.tasks (org_id, id) on delete cascade,
  constraint fk_ai_proposals_project foreign key (org_id, project_id) references public.projects (org_id, id) on delete cascade,
  constraint ck_ai_proposals_target check (num_nonnulls(document_id, task_id, project_id) = 1),
  constraint ck_ai_proposals_kind check (kind in ('update', 'create_task', 'create_comment', 'classify')),
  constraint ck_ai_proposals_status check (status in ('pending', 'accepted', 'rejected', 'expired'))
);
comment on table public.ai_proposals is 'A change the AI suggests. Nothing happens until a person accepts it.';
comment on column public.ai_proposals.target_version is 'Version of the target that the proposal was made for.';
create index idx_ai_proposals_org_id_status_created_at on public.ai_proposals (org_id, status, created_at);
create index idx_ai_proposals_org_id_ai_run_id on public.ai_proposals (org_id, ai_run_id) where ai_run_id is not null;
create index idx_ai_proposals_org_id_document_id on public.ai_proposals (org_id, document_id) where document_id is not null;
create index idx_ai_proposals_org_id_task_id on public.ai_proposals (org_id, task_id) where task_id is not null;
create index idx_ai_proposals_org_id_project_id on public.ai_proposals (org_id, project_id) where project_id is not null;
create index idx_ai_proposals_reviewer_id on public.ai_proposals (reviewer_id);

call private.keep_updated_at('public.ai_proposals');
call private.force_rls('public.ai_proposals');
call private.add_policies('public.ai_proposals', 'novax_api', '{select}', private.member_of('viewer'));
call private.add_policies('public.ai_proposals', 'novax_api', '{insert,update}', private.member_of('member'));
call private.add_policies('public.ai_proposals', 'novax_worker', '{select,insert,update,delete}', private.in_current_org());
call private.add_policies('public.ai_proposals', 'novax_readonly', '{select}', private.in_current_org());
grant select, insert on public.ai_proposals to novax_api;
grant update (status, reviewer_id, reviewed_at) on public.ai_proposals to novax_api;
grant select, insert, delete on public.ai_proposals to novax_worker;
grant update (status) on public.ai_proposals to novax_worker;
grant select on public.ai_proposals to novax_readonly;
