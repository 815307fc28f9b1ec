drop procedure private.start_audit_epoch();
set local role novax_definer;
drop function private.mark_audit_anchored(uuid[]);
drop function private.audit_heads();
drop function private.audit_horizon_now();
drop function private.audit_state();
drop function private.store_audit_seals(integer, xid8, xid8, jsonb);
drop function private.audit_settled(integer);
drop function private.audit_row_hash(public.audit_log);
set local role novax_owner;

revoke select, update on public.audit_horizon from novax_definer;
revoke select, insert, update (anchored_at) on public.audit_seals from novax_definer;
revoke select on public.audit_log from novax_definer;

drop trigger refuse_update on public.audit_seals;
drop trigger refuse_change on public.audit_seals;
call private.add_policies('public.audit_seals', 'novax_worker', '{insert,update}',
  'org_id is not distinct from (select nullif(current_setting(''app.current_org_id'', true), '''')::uuid)');
grant insert on public.audit_seals to novax_worker;
grant update (anchored_at) on public.audit_seals to novax_worker;

drop index public.idx_audit_seals_chain_epoch_to_xact;
alter table public.audit_seals drop constraint ck_audit_seals_rows;
alter table public.audit_seals
  drop column row_hashes,
  drop column row_ids,
  drop column to_xact,
  drop column from_xact,
  drop column epoch;
comment on column public.audit_seals.hash is 'SHA-256 over previous_hash and the hashes of the batch''s rows.';
comment on column public.audit_seals.signature is null;
drop table public.audit_horizon;

drop index public.idx_audit_log_epoch_xact_id;
comment on column public.audit_log.ip_address is null;
revoke insert (sealed) on public.audit_log from novax_api, novax_worker;
alter table public.audit_log
  drop column sealed,
  drop column epoch,
  drop column xact_id;
