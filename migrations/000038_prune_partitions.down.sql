drop function private.prune_partition;
set local role novax_definer;
drop function private.prunable_partitions;
set local role novax_owner;
revoke select on public.events, public.inbox from novax_definer;
