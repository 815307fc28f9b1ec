/** What the database says about itself that a backup has to know: tables in order of loading, partitions, identities, rights. */
import type pg from 'pg';
import { escapeIdentifier } from 'pg';
import { CommandFailure } from '../cli/command.ts';
import { rowOf, rowsOf } from '../database/connect.ts';
import type { ManifestBody } from './manifest.ts';

export interface TableShape {
  schema: 'public' | 'app';
  name: string;
  /** Stored generated columns left out: the server computes them again. */
  columns: string[];
  key: string[];
  partitions: { parent: string; name: string }[];
}

/** Bookkeeping of the migrator, which the restoring migrator writes itself. */
const NOT_SAVED = ['schema_migrations', 'schema_migration_files'];

/** Every table of `public` and `app` that holds data of its own or of its partitions, a table after those it refers to. */
export async function tablesInOrder(client: pg.ClientBase): Promise<TableShape[]> {
  const tables = await rowsOf<TableShape & { refers: string[] }>(
    client,
    `select n.nspname as schema, c.relname as name,
            array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum) as columns,
            array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality k (attnum, position)
                    join pg_attribute a on a.attnum = k.attnum
                   where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid order by k.position) as key,
            coalesce((select json_agg(json_build_object('parent', p.relname, 'name', d.relname) order by d.relname)
               from pg_partition_tree(c.oid) t join pg_class d on d.oid = t.relid join pg_class p on p.oid = t.parentrelid
              where d.relname ~ '_[0-9]{4}_[0-9]{2}$'), '[]') as partitions,
            array(select f.confrelid::regclass::text from pg_constraint f where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid) as refers
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('public', 'app') and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all ($1)
        and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
      order by n.nspname, c.relname`,
    [NOT_SAVED],
  );
  const months = await chunkMonths(client);
  return inOrder(
    tables.map((table) =>
      table.partitions.length > 0
        ? table
        : { ...table, partitions: months.filter(({ parent }) => table.schema === 'public' && parent === table.name) },
    ),
  );
}

/** Hypertables have chunks instead of months; restored, they are native again and need the months that the chunks covered. */
async function chunkMonths(client: pg.ClientBase): Promise<{ parent: string; name: string }[]> {
  const { present } = await rowOf<{ present: boolean }>(
    client,
    `select exists (select from pg_extension where extname = 'timescaledb') as present`,
  );
  if (!present) return [];
  return rowsOf(
    client,
    `select distinct c.hypertable_name::text as parent, c.hypertable_name || to_char(m, '_YYYY_MM') as name
       from timescaledb_information.chunks c,
            generate_series(date_trunc('month', c.range_start at time zone 'UTC'), c.range_end at time zone 'UTC' - interval '1 microsecond', interval '1 month') m
      where c.hypertable_schema = 'public' order by 2`,
  );
}

/** Repeatedly takes the first table all of whose references are already out; what is left of a circle goes last, by name. */
function inOrder(tables: readonly (TableShape & { refers: string[] })[]): TableShape[] {
  const short = ({ schema, name }: TableShape): string => (schema === 'public' ? name : `${schema}.${name}`);
  const known = new Set(tables.map(short));
  const out = new Set<string>();
  const ordered: TableShape[] = [];
  let waiting = [...tables];
  while (waiting.length > 0) {
    const ready = waiting.filter((table) =>
      table.refers.every((other) => out.has(unqualified(other)) || !known.has(unqualified(other))),
    );
    const next = ready.length > 0 ? ready : waiting;
    for (const { refers: _refers, ...table } of next) {
      out.add(short(table));
      ordered.push(table);
    }
    waiting = waiting.filter((table) => !out.has(short(table)));
  }
  return ordered;
}

const unqualified = (name: string): string => name.replace(/^public\./, '');

export const qualified = (table: { schema: string; name: string }): string =>
  `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.name)}`;

/** Rows of a table as text in the order of its key, in a spelling that depends on no setting once `pinTextFormat` ran. */
export function copyOut(table: Pick<TableShape, 'schema' | 'name' | 'columns' | 'key'>): string {
  const order = table.key.length > 0 ? table.key : table.columns;
  return `copy (select ${list(table.columns)} from ${qualified(table)} order by ${list(order)}) to stdout`;
}

export const copyIn = (table: Pick<TableShape, 'schema' | 'name' | 'columns'>): string =>
  `copy ${qualified(table)} (${list(table.columns)}) from stdin`;

const list = (names: readonly string[]): string => names.map((name) => escapeIdentifier(name)).join(', ');

/** Makes the text of dates, floats and bytes the same on every server. */
export async function pinTextFormat(client: pg.ClientBase): Promise<void> {
  await client.query(
    `set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; set extra_float_digits = 3; set bytea_output = 'hex';
     set client_encoding = 'UTF8'; set statement_timeout = 0; set lock_timeout = '30s'; set idle_in_transaction_session_timeout = 0`,
  );
}

/**
 * Throws `CommandFailure` unless the role sees every row of every table: row-level security filters silently, and a backup that misses rows
 * looks like one that does not. Afterwards `row_security` is off, so that a policy met nevertheless is an error and never a filter.
 */
export async function assertSeesEverything(client: pg.ClientBase, tables: readonly TableShape[]): Promise<void> {
  const role = await rowOf<{ name: string; exempt: boolean }>(
    client,
    'select rolname as name, rolbypassrls or rolsuper as exempt from pg_roles where rolname = current_user',
  );
  if (!role.exempt) {
    throw new CommandFailure(
      `the role ${role.name} is bound by row-level security: its backup would silently miss rows; nothing was saved`,
      {
        hint: 'set DATABASE_BACKUP_URL to the role novax_backup (BYPASSRLS), which "novax migrate up" makes when DATABASE_ADMIN_URL is set',
      },
    );
  }
  await client.query('set row_security = off');
  const denied = await rowsOf<{ name: string }>(
    client,
    `select t.shown as name from unnest($1::text[], $2::text[]) as t (name, shown) where not has_table_privilege(t.name, 'select')`,
    [tables.map(qualified), tables.map(({ schema, name }) => `${schema}.${name}`)],
  );
  if (denied.length > 0) {
    throw new CommandFailure(
      `the role ${role.name} may not read ${denied.map(({ name }) => name).join(', ')}; nothing was saved`,
      {
        hint: 'grant it SELECT as the owner, or run "novax migrate up" with DATABASE_ADMIN_URL set',
      },
    );
  }
}

/** Where the identity columns stand. Sequences are outside of snapshots: never behind the rows, possibly ahead. */
export async function identities(client: pg.ClientBase): Promise<ManifestBody['identities']> {
  const found = await rowsOf<{ schema: 'public' | 'app'; table: string; column: string; sequence: string }>(
    client,
    `select n.nspname as schema, c.relname as table, a.attname as column, pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) as sequence
       from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
      where n.nspname in ('public', 'app') and not c.relispartition and a.attidentity <> '' and not a.attisdropped order by 1, 2, 3`,
  );
  const standing: ManifestBody['identities'] = [];
  for (const { sequence, ...column } of found) {
    const { value } = await rowOf<{ value: string }>(
      client,
      `select case when is_called then last_value else 0 end::text as value from ${sequence}`,
    );
    standing.push({ ...column, lastValue: value });
  }
  return standing;
}

/** The schema's version and the checksums of the files that made it. Throws `CommandFailure` on an empty or half-migrated database. */
export async function migrationState(client: pg.ClientBase): Promise<ManifestBody['migrations']> {
  const { present } = await rowOf<{ present: boolean }>(
    client,
    `select to_regclass('public.schema_migration_files') is not null as present`,
  );
  if (!present)
    throw new CommandFailure('this database is not migrated: there is nothing to save', { hint: 'novax migrate up' });
  const { version, dirty } = await rowOf<{ version: number; dirty: boolean }>(
    client,
    'select version::int as version, dirty from public.schema_migrations',
  );
  if (dirty)
    throw new CommandFailure(`a migration stopped half-way at version ${version}; mend that first`, {
      hint: 'novax migrate status',
    });
  const files = await rowsOf<{ version: number; name: string; sha256: string }>(
    client,
    'select version::int as version, name, sha256 from public.schema_migration_files where version <= $1 order by version',
    [version],
  );
  return { version, files };
}
