set local role novax_definer;
drop function private.owed_documents(smallint, interval, integer);
set local role novax_owner;
revoke select on public.dead_letters from novax_definer;
