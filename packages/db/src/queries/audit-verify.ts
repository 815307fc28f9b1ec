/** Reads of a chain of seals and of the rows under it, a bounded piece at a time. Each takes the organization, or none for the system's chain. */
import { statement, type Statement } from '../statement.ts';

/** As of one snapshot: how far everything is sealed, and this chain's last seal. */
export interface ChainState {
  readonly epoch: number;
  readonly next_xact: string;
  readonly prior_epoch: number | null;
  readonly prior_xact: string | null;
  /** Null without a seal. */
  readonly head_no: string | null;
  readonly sealed_rows: string;
}

/** Values: chain. */
export const chainState = statement<ChainState>(
  'audit_chain_state',
  `select h.epoch, h.next_xact::text, h.prior_epoch, h.prior_xact::text,
          (select max(seal_no)::text from audit_seals where chain = $1) as head_no,
          (select coalesce(sum(row_count), 0)::text from audit_seals where chain = $1) as sealed_rows
     from private.audit_horizon_now() h`,
);

/** The cluster that the trail lives in now. */
export const auditHorizon = statement<{ epoch: number }>(
  'audit_horizon_now',
  'select epoch from private.audit_horizon_now()',
);

export interface SealRow {
  readonly id: string;
  readonly seal_no: string;
  readonly epoch: number;
  readonly from_xact: string;
  readonly to_xact: string;
  readonly first_audit_id: string;
  readonly last_audit_id: string;
  readonly row_count: number;
  /** Separated by commas. */
  readonly row_ids: string;
  /** Hex, as the three below. */
  readonly row_hashes: string;
  readonly previous_hash: string;
  readonly hash: string;
  readonly signature: string;
  readonly key_id: string;
  /** Microseconds since 1970. */
  readonly created_us: string;
  readonly anchored_at: string | Date | null;
}

/** The next seals after a number, as many as hold some 5,000 rows, one at least. Values: chain, number. */
export const nextSeals = statement<SealRow>(
  'audit_next_seals',
  `select id, seal_no::text, epoch, from_xact::text, to_xact::text, first_audit_id::text, last_audit_id::text, row_count,
          array_to_string(row_ids, ',') as row_ids, encode(row_hashes, 'hex') as row_hashes, encode(previous_hash, 'hex') as previous_hash,
          encode(hash, 'hex') as hash, encode(signature, 'hex') as signature, key_id,
          (extract(epoch from created_at) * 1000000)::bigint::text as created_us, anchored_at
     from (select s.*, sum(row_count) over (order by seal_no) - row_count as before
             from audit_seals s where chain = $1 and seal_no > $2::bigint order by seal_no limit 500) p
    where before < 5000 order by p.seal_no`,
);

export interface HashedRow {
  readonly id: string;
  /** Hex. */
  readonly hash: string;
}

export interface CountedRows {
  readonly rows: string;
  /** Rows that must be under a seal. */
  readonly covered: string;
  /** Rows that no transaction can have written yet. */
  readonly impossible: string | null;
  readonly last_at: string | null;
  readonly last_id: string | null;
}

export interface UncoveredRow {
  readonly id: string;
  /** The seal whose range of transactions it lies in, or the first one after; null when there is none. */
  readonly seal_no: string | null;
}

interface ChainStatements {
  /** Rows of the chain by their ids. Values: ids (the organization last). */
  readonly rowsById: Statement<HashedRow>;
  /** Counts a page of the chain's rows. Values: the time and id the page begins after, epoch, next xact, prior epoch, prior xact (, organization). */
  readonly countRows: Statement<CountedRows>;
  /** The first row that should be under a seal and is not, among the same page. Values: as above, then the chain. */
  readonly uncovered: Statement<UncoveredRow>;
}

/** Rows that must be under a seal: of this epoch below the horizon, and of earlier ones what is not still to be sealed after a restore. */
const covered = `((epoch = $3::int and xact_id < $4::xid8)
       or (epoch < $3::int and ($5 = '' or (epoch, xact_id) < (nullif($5, '')::int, nullif($6, '')::xid8))))`;

function statementsFor(kind: 'organization' | 'system'): ChainStatements {
  const own = (at: number): string =>
    kind === 'system' ? `(org_id is null and $${at} = '')` : `org_id = $${at}::uuid`;
  const page = `select id, created_at, epoch, xact_id from audit_log where ${own(7)} and (created_at, id) > ($1::timestamptz, $2::bigint) order by created_at, id limit 20000`;
  return {
    rowsById: statement(
      `audit_rows_${kind}`,
      `select a.id::text, encode(private.audit_row_hash(a), 'hex') as hash from audit_log a where a.id = any($1::bigint[]) and ${own(2)}`,
    ),
    countRows: statement(
      `audit_count_${kind}`,
      `with p as materialized (${page})
       select count(*)::text as rows, count(*) filter (where ${covered})::text as covered,
              min(id) filter (where epoch > $3::int or (epoch = $3::int and xact_id >= pg_snapshot_xmax(pg_current_snapshot())))::text as impossible,
              (select created_at::text from p order by created_at desc, id desc limit 1) as last_at,
              (select id::text from p order by created_at desc, id desc limit 1) as last_id
         from p`,
    ),
    uncovered: statement(
      `audit_uncovered_${kind}`,
      `with p as materialized (${page})
       select p.id::text, (select min(s.seal_no)::text from audit_seals s where s.chain = $8 and (s.epoch, s.to_xact) > (p.epoch, p.xact_id)) as seal_no
         from p
        where ${covered}
          and not exists (select from audit_seals s where s.chain = $8 and s.epoch = p.epoch and s.from_xact <= p.xact_id and s.to_xact > p.xact_id
                             and p.id = any(s.row_ids))
        order by p.epoch, p.xact_id, p.id limit 1`,
    ),
  };
}

/** Statements for organizations' chains and for the system's: a condition that fits both would use no index. */
export const chainStatements: Readonly<Record<'organization' | 'system', ChainStatements>> = {
  organization: statementsFor('organization'),
  system: statementsFor('system'),
};

/** Every chain that has a seal or a row. Only for roles that see all of them. */
export const allChains = statement<{ chain: string }>(
  'audit_all_chains',
  `select chain from audit_seals union select coalesce(org_id::text, 'system') from audit_log order by 1`,
);
