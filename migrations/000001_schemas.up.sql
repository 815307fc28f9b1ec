-- Schemas beside public. Roles, extensions and default privileges come from the superuser's bootstrap.

create schema app;
comment on schema app is 'What row-level security reads: who belongs to which organization.';

create schema private;
comment on schema private is 'Functions that act with more rights than their caller, the materialized views, and migration-time procedures. No tables of tenants.';

create schema ai;
comment on schema ai is 'The AI''s window: views and functions bound to the organization named by app.current_org_id.';

grant usage on schema app to novax_api, novax_worker, novax_definer;
grant usage on schema private to novax_api, novax_worker, novax_migrator;
grant usage on schema ai to ai_agent_role, novax_worker, novax_readonly;

-- novax_definer makes and owns functions, views and materialized views in these two.
grant usage, create on schema private to novax_definer;
grant usage, create on schema ai to novax_definer;
