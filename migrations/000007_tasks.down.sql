drop table public.attachments;
drop table public.comments;
drop table public.tasks;
