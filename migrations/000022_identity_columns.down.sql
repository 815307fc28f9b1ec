alter table public.org_members drop column version;
alter table public.organizations drop column allowed_domains;
alter table public.users drop column email_verified_at;
