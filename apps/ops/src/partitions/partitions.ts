/** Monthly partitions as the database has them: what is there, how long it lasts, and what fell into the DEFAULT. */
import { isTransient } from '@novax/db/errors';
import { retry } from '@novax/runtime/retry';
import type pg from 'pg';
import { escapeIdentifier } from 'pg';
import { rowOf, rowsOf } from '../database/connect.ts';

export interface Partition {
  name: string;
  /** ISO 8601, UTC; null for the DEFAULT. */
  from: string | null;
  to: string | null;
  /** An estimate, by the server's statistics. */
  rows: number;
  bytes: number;
}

export interface ManagedTable {
  table: string;
  partitions: Partition[];
  /** Whole days from now that rows have a partition of their own, without a gap; 0 when today has none. */
  runwayDays: number;
  default: { name: string; rows: number; exact: boolean } | null;
}

/** Fewer days than this call for `partitions ensure`: the schedule keeps three months. */
export const RUNWAY_WARN_DAYS = 31;
const DAY_MS = 86_400_000;

/**
 * Every RANGE-partitioned table that `private.ensure_partitions` keeps. Rows in a DEFAULT are counted exactly where the role sees them
 * (BYPASSRLS and SELECT), else estimated.
 */
export async function managedTables(client: pg.ClientBase, now = Date.now()): Promise<ManagedTable[]> {
  const rows = await rowsOf<{
    table: string;
    name: string;
    is_default: boolean;
    bound: string;
    rows: string;
    bytes: string;
    countable: boolean;
  }>(
    client,
    `select c.relname as table, d.relname as name, d.oid = p.partdefid as is_default, pg_get_expr(d.relpartbound, d.oid) as bound,
            greatest(coalesce(pg_stat_get_live_tuples(d.oid), 0), d.reltuples::bigint, 0)::text as rows, pg_total_relation_size(d.oid)::text as bytes,
            has_table_privilege(d.oid, 'select') and (select rolbypassrls or rolsuper from pg_roles where rolname = current_user) as countable
       from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
       join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0] and a.atttypid = 'timestamptz'::regtype
       join pg_inherits i on i.inhparent = c.oid join pg_class d on d.oid = i.inhrelid
      where p.partstrat = 'r' and p.partnatts = 1 and c.relnamespace = 'public'::regnamespace
      order by c.relname, d.oid = p.partdefid, d.relname`,
  );
  const tables = new Map<string, ManagedTable>();
  for (const row of rows) {
    const table = tables.get(row.table) ?? { table: row.table, partitions: [], runwayDays: 0, default: null };
    tables.set(row.table, table);
    const [, from, to] = /^FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)$/.exec(row.bound) ?? [];
    table.partitions.push({
      name: row.name,
      from: instant(from),
      to: instant(to),
      rows: Number(row.rows),
      bytes: Number(row.bytes),
    });
    if (row.is_default) {
      const exact = row.countable
        ? Number(
            (await rowOf<{ n: string }>(client, `select count(*)::text as n from public.${escapeIdentifier(row.name)}`))
              .n,
          )
        : undefined;
      table.default = { name: row.name, rows: exact ?? Number(row.rows), exact: exact !== undefined };
    }
  }
  return [...tables.values()].map((table) => ({ ...table, runwayDays: runway(table.partitions, now) }));
}

const instant = (text: string | undefined): string | null =>
  text === undefined ? null : new Date(text.replace(' ', 'T').replace(/([+-]\d{2})$/, '$1:00')).toISOString();

/** Days from `now` to the first gap. */
export function runway(partitions: readonly Pick<Partition, 'from' | 'to'>[], now: number): number {
  let end = now;
  for (const { from, to } of [...partitions].sort((a, b) => (a.from ?? '').localeCompare(b.from ?? ''))) {
    if (from === null || to === null) continue;
    if (Date.parse(from) <= end && Date.parse(to) > end) end = Date.parse(to);
  }
  return Math.floor((end - now) / DAY_MS);
}

/** What a person should do something about; [] when all is well. */
export function partitionTroubles(tables: readonly ManagedTable[]): string[] {
  return tables.flatMap(({ table, runwayDays, default: rest }) => [
    ...(runwayDays < RUNWAY_WARN_DAYS ? [`${table}: partitions last ${runwayDays} days`] : []),
    ...(rest === null ? [`${table}: has no DEFAULT partition; a row of an unexpected month is an error`] : []),
    ...(rest !== null && rest.rows > 0 ? [`${table}: ${rest.rows} rows in ${rest.name}, which no month fits`] : []),
  ]);
}

export interface EnsuredPartition {
  parent: string;
  partition: string;
  created: boolean;
}

/** Makes this month's and the following months' missing partitions; rows of such a month move there out of the DEFAULT. Idempotent, one keeper at a time. */
export async function ensurePartitions(client: pg.ClientBase, monthsAhead: number): Promise<EnsuredPartition[]> {
  return rowsOf<EnsuredPartition>(
    client,
    'select parent, partition, created from private.ensure_partitions($1::int) order by parent, partition',
    [monthsAhead],
  );
}

export interface PrunablePartition {
  parent: string;
  partition: string;
  ends: Date;
}

/** Months of published events and of the inbox that ended longer ago than `keepDays`, at least 30, and that nothing needs; oldest first. */
export async function prunablePartitions(client: pg.ClientBase, keepDays: number): Promise<PrunablePartition[]> {
  return rowsOf<PrunablePartition>(
    client,
    'select parent, partition, ends from private.prunable_partitions(make_interval(days => $1::int))',
    [keepDays],
  );
}

/** Drops the oldest of them, trying again while its locks are not free; null when there is none. */
export async function prunePartition(client: pg.ClientBase, keepDays: number): Promise<string | null> {
  const { partition } = await retry(
    () =>
      rowOf<{ partition: string | null }>(
        client,
        'select private.prune_partition(make_interval(days => $1::int)) as partition',
        [keepDays],
      ),
    { attempts: 10, baseMs: 100, capMs: 2_000, when: isTransient },
  );
  return partition;
}
