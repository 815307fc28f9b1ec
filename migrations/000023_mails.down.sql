set local role novax_definer;
drop function private.queue_mail;
set local role novax_owner;
drop table public.mails;
