-- What identity needs to know beside the credentials: a confirmed address, the domains an organization lets in, the version of a membership.

alter table public.users add column email_verified_at timestamptz;
comment on column public.users.email_verified_at is 'When the address was last proved to be this person''s; null until then.';
grant select (email_verified_at) on public.users to novax_api, novax_worker, novax_readonly;

alter table public.organizations add column allowed_domains varchar[] not null default '{}';
comment on column public.organizations.allowed_domains is 'Lower-case domains that addresses of invited people must lie in; empty lets in any.';
grant update (allowed_domains) on public.organizations to novax_api;

alter table public.org_members add column version integer not null default 1;
comment on column public.org_members.version is 'Rises with every change of role; orders this membership''s events.';
grant update (version) on public.org_members to novax_api;
