drop function private.ensure_partitions;
drop procedure private.keep_updated_at;
drop function private.set_updated_at;
drop procedure private.add_policies;
drop procedure private.force_rls;
drop function private.is_self;
drop function private.in_current_org;
drop function private.member_of;
