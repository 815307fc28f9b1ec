-- What sealing the trail needs: which transaction wrote a row, how far the seals reach, and functions that seal, tell and check.
-- Ids are not in the order of commits, transactions below the snapshot's xmin are all over: a row that a seal could have covered cannot turn up later.

-- Not volatile, so existing rows get this transaction's number without being rewritten.
alter table public.audit_log add column xact_id xid8 not null default pg_current_xact_id();
comment on column public.audit_log.xact_id is 'Transaction that wrote the row; nobody but the default may say it.';
alter table public.audit_log add column epoch integer not null default 1;
comment on column public.audit_log.epoch is 'Counts the clusters that the trail has lived in: transaction numbers begin anew in each, a restore raises the default.';
alter table public.audit_log add column sealed jsonb;
comment on column public.audit_log.sealed is 'Values sealed with the actor''s key: ip, the full address. Null where there is none, or nobody to seal it for.';
comment on column public.audit_log.ip_address is 'The caller''s network, 24 bits of an IPv4 address and 48 of an IPv6 one.';
grant insert (sealed) on public.audit_log to novax_api, novax_worker;

-- The product has no installed base: the table is small wherever this runs.
-- squawk-ignore require-concurrent-index-creation
create index idx_audit_log_epoch_xact_id on public.audit_log (epoch, xact_id);

create table public.audit_horizon (
  id smallint primary key default 1,
  epoch integer not null default 1,
  next_xact xid8 not null default '0',
  prior_epoch integer,
  prior_xact xid8,
  anchored_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ck_audit_horizon_single check (id = 1),
  constraint ck_audit_horizon_prior check ((prior_epoch is null) = (prior_xact is null))
);
comment on table public.audit_horizon is 'How far the trail is sealed: one row, which only the functions of the seals read and write.';
comment on column public.audit_horizon.next_xact is 'Every row of this epoch whose transaction is below is under a seal.';
comment on column public.audit_horizon.prior_epoch is 'After a restore: the epoch whose rows from prior_xact on are still to be sealed; null once they are.';
comment on column public.audit_horizon.anchored_at is 'When the heads of all chains were last written to the store outside the database.';
call private.keep_updated_at('public.audit_horizon');
insert into public.audit_horizon default values;
call private.force_rls('public.audit_horizon');

-- No release has ever written a seal: the table is empty.
-- squawk-ignore adding-required-field
alter table public.audit_seals add column epoch integer not null;
-- squawk-ignore adding-required-field
alter table public.audit_seals add column from_xact xid8 not null;
-- squawk-ignore adding-required-field
alter table public.audit_seals add column to_xact xid8 not null;
-- squawk-ignore adding-required-field
alter table public.audit_seals add column row_ids bigint[] not null;
-- squawk-ignore adding-required-field
alter table public.audit_seals add column row_hashes bytea not null;
comment on column public.audit_seals.epoch is 'Of the rows; from_xact up to but not including to_xact are transactions of that epoch.';
comment on column public.audit_seals.row_ids is 'Ids of the sealed rows, ascending.';
comment on column public.audit_seals.row_hashes is 'Their hashes by private.audit_row_hash, 32 bytes each, in the same order.';
comment on column public.audit_seals.hash is 'SHA-256 over previous_hash, the seal''s own fields, and ids and hashes of its rows.';
comment on column public.audit_seals.signature is 'Ed25519 over the hash, by the key named in key_id.';
-- squawk-ignore constraint-missing-not-valid
alter table public.audit_seals add constraint ck_audit_seals_rows
  check (cardinality(row_ids) = row_count and octet_length(row_hashes) = 32 * row_count and to_xact > from_xact);
-- squawk-ignore require-concurrent-index-creation
create index idx_audit_seals_chain_epoch_to_xact on public.audit_seals (chain, epoch, to_xact);

-- Seals come from the functions below alone.
revoke insert on public.audit_seals from novax_worker;
revoke update (anchored_at) on public.audit_seals from novax_worker;
drop policy audit_seals_insert_novax_worker on public.audit_seals;
drop policy audit_seals_update_novax_worker on public.audit_seals;
create trigger refuse_change before delete or truncate on public.audit_seals
  for each statement execute function private.refuse_change();
create trigger refuse_update before update of
  id, org_id, seal_no, first_audit_id, last_audit_id, row_count, previous_hash, hash, signature, key_id, created_at, epoch, from_xact, to_xact, row_ids, row_hashes
  on public.audit_seals for each statement execute function private.refuse_change();
create trigger refuse_change before delete or truncate on public.audit_horizon
  for each statement execute function private.refuse_change();

grant select on public.audit_log to novax_definer;
grant select, insert, update (anchored_at) on public.audit_seals to novax_definer;
grant select, update on public.audit_horizon to novax_definer;

set local role novax_definer;

create function private.audit_row_hash(p_row public.audit_log) returns bytea
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select sha256(convert_to(jsonb_build_array(
    p_row.id, p_row.org_id, p_row.actor_type, p_row.actor_id, p_row.api_key_id, p_row.action, p_row.entity_type, p_row.entity_id,
    p_row.old_value, p_row.new_value, p_row.ip_address::text, p_row.request_id, p_row.sealed,
    (extract(epoch from p_row.created_at) * 1000000)::bigint, p_row.epoch, p_row.xact_id::text
  )::text, 'UTF8'))
$$;
comment on function private.audit_row_hash is 'SHA-256 over a canonical text of every column of an audit row: the text of jsonb does not depend on settings.';

create function private.audit_settled(p_limit integer)
returns table (
  org_id uuid,
  epoch integer,
  from_xact text,
  to_xact text,
  ids varchar[],
  hashes bytea,
  last_seal_no bigint,
  last_hash bytea
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_horizon public.audit_horizon;
  v_epoch integer;
  v_from xid8;
  v_to xid8;
  v_cut xid8;
begin
  -- One sealer at a time; the others have nothing to do.
  if not pg_try_advisory_xact_lock(hashtextextended('private.audit_seals', 0)) then
    return;
  end if;
  -- Taken before the rows are looked at: the next statement's snapshot sees all that these transactions have left.
  v_to := pg_snapshot_xmin(pg_current_snapshot());
  select * into v_horizon from public.audit_horizon;
  v_epoch := v_horizon.epoch;
  v_from := v_horizon.next_xact;
  if v_horizon.prior_epoch is not null then
    select a.epoch into v_epoch from public.audit_log a
    where (a.epoch, a.xact_id) >= (v_horizon.prior_epoch, v_horizon.prior_xact) and a.epoch < v_horizon.epoch
    order by a.epoch, a.xact_id limit 1;
    if found then
      -- What a restore brought is settled, whatever its numbers.
      v_from := case when v_epoch = v_horizon.prior_epoch then v_horizon.prior_xact else '0' end;
      v_to := '18446744073709551615';
    else
      v_epoch := v_horizon.epoch;
      update public.audit_horizon set prior_epoch = null, prior_xact = null;
    end if;
  end if;
  -- As many whole transactions as hold `p_limit` rows, and one at least.
  select a.xact_id into v_cut from public.audit_log a
  where a.epoch = v_epoch and a.xact_id >= v_from and a.xact_id < v_to
  order by a.xact_id offset p_limit limit 1;
  if found then
    if exists (select from public.audit_log a where a.epoch = v_epoch and a.xact_id >= v_from and a.xact_id < v_cut) then
      v_to := v_cut;
    else
      select coalesce(min(a.xact_id), v_to) into v_to from public.audit_log a
      where a.epoch = v_epoch and a.xact_id > v_cut and a.xact_id < v_to;
    end if;
  end if;
  return query
  select b.org_id, v_epoch, v_from::text, v_to::text, b.ids, b.hashes, coalesce(s.seal_no, 0), coalesce(s.hash, decode(repeat('00', 32), 'hex'))
  from (
    select a.org_id, array_agg(a.id::varchar order by a.id) as ids, string_agg(private.audit_row_hash(a), ''::bytea order by a.id) as hashes
    from public.audit_log a
    where a.epoch = v_epoch and a.xact_id >= v_from and a.xact_id < v_to
    group by a.org_id
  ) b
  left join lateral (
    select t.seal_no, t.hash from public.audit_seals t
    where t.chain = coalesce(b.org_id::text, 'system')
    order by t.seal_no desc limit 1
  ) s on true;
end
$$;
comment on function private.audit_settled is 'Rows that no seal covers and no transaction can add to any more, one line per chain, about p_limit rows in all; none while another sealer is at work.';

create function private.store_audit_seals(p_epoch integer, p_from xid8, p_to xid8, p_seals jsonb) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('private.audit_seals', 0));
  update public.audit_horizon h set next_xact = p_to
  where h.epoch = p_epoch and h.next_xact = p_from and p_to <= pg_snapshot_xmin(pg_current_snapshot());
  if not found then
    update public.audit_horizon h set prior_epoch = p_epoch, prior_xact = p_to
    where p_epoch < h.epoch
      and (h.prior_epoch = p_epoch and h.prior_xact = p_from or h.prior_epoch < p_epoch and p_from = '0');
  end if;
  if not found then
    raise exception 'the seals do not begin where the last ones ended' using errcode = 'serialization_failure';
  end if;
  insert into public.audit_seals (
    id, org_id, seal_no, epoch, from_xact, to_xact, first_audit_id, last_audit_id, row_count, row_ids, row_hashes,
    previous_hash, hash, signature, key_id, created_at
  )
  select
    s.id, s.org_id, s.seal_no, p_epoch, p_from, p_to, r.ids[1], r.ids[cardinality(r.ids)], cardinality(r.ids), r.ids, decode(s.row_hashes, 'hex'),
    decode(s.previous_hash, 'hex'), decode(s.hash, 'hex'), decode(s.signature, 'hex'), s.key_id, s.created_at
  from jsonb_to_recordset(p_seals) as s(
    id uuid, org_id uuid, seal_no bigint, row_ids text, row_hashes text, previous_hash text, hash text, signature text, key_id text, created_at timestamptz
  )
  cross join lateral (select s.row_ids::bigint[] as ids) r;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;
comment on function private.store_audit_seals is 'Stores the seals over what audit_settled gave in this transaction and moves the horizon; one chain''s seal numbers are unique.';

create function private.audit_state()
returns table (epoch integer, next_xact text, prior_epoch integer, prior_xact text, anchored_at timestamptz, pending bigint, lag_seconds double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select h.epoch, h.next_xact::text, h.prior_epoch, h.prior_xact::text, h.anchored_at, p.pending,
         greatest(coalesce(extract(epoch from clock_timestamp() - p.oldest), 0), 0)::double precision
  from public.audit_horizon h
  cross join lateral (
    select count(*) as pending, min(a.created_at) as oldest from public.audit_log a
    where a.epoch = h.epoch and a.xact_id >= h.next_xact
       or a.epoch < h.epoch and (a.epoch, a.xact_id) >= (h.prior_epoch, h.prior_xact)
  ) p
$$;
comment on function private.audit_state is 'How far all chains are sealed, how many rows wait and for how long.';

create function private.audit_horizon_now()
returns table (epoch integer, next_xact xid8, prior_epoch integer, prior_xact xid8)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select h.epoch, h.next_xact, h.prior_epoch, h.prior_xact from public.audit_horizon h $$;
comment on function private.audit_horizon_now is 'The horizon, for whoever checks the seals.';

create function private.audit_heads()
returns table (id uuid, chain varchar, seal_no bigint, epoch integer, hash bytea, signature bytea, key_id varchar)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select distinct on (s.chain) s.id, s.chain, s.seal_no, s.epoch, s.hash, s.signature, s.key_id
  from public.audit_seals s
  order by s.chain, s.seal_no desc
$$;
comment on function private.audit_heads is 'The last seal of every chain.';

create function private.mark_audit_anchored(p_ids uuid[]) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update public.audit_seals set anchored_at = now() where id = any (p_ids) and anchored_at is null;
  update public.audit_horizon set anchored_at = now();
$$;
comment on function private.mark_audit_anchored is 'Notes that these heads are in the store outside the database.';

grant execute on function private.audit_settled, private.store_audit_seals, private.audit_state, private.audit_heads, private.mark_audit_anchored
  to novax_worker;
grant execute on function private.audit_row_hash, private.audit_horizon_now to novax_api, novax_worker, novax_backup;

set local role novax_owner;

create procedure private.start_audit_epoch()
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_epoch integer;
begin
  update public.audit_horizon set
    epoch = epoch + 1,
    next_xact = '0',
    prior_epoch = coalesce(prior_epoch, epoch),
    prior_xact = coalesce(prior_xact, next_xact)
  returning epoch into v_epoch;
  execute format('alter table public.audit_log alter column epoch set default %s', v_epoch);
end
$$;
comment on procedure private.start_audit_epoch is 'To be called once after the tables were loaded into another cluster, where transaction numbers begin anew: rows brought along and not yet sealed are sealed first.';
