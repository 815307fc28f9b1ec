drop trigger note_view_change on public.users;
drop trigger note_view_change on public.organizations;
drop trigger note_view_change on public.projects;
drop trigger note_view_change on public.tasks;
drop trigger note_view_change on public.documents;
drop function private.view_staleness;
drop function private.refresh_view;
drop function private.note_view_change;
drop table public.view_changes;
