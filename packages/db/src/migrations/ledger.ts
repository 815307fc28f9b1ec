/**
 * The two bookkeeping tables: golang-migrate's `schema_migrations`, kept to its letter, and `schema_migration_files`
 * for checksums.
 */
import { type Client, escapeIdentifier } from 'pg';
import { MigrationError } from './errors.ts';
import type { Migration } from './files.ts';
import type { MigratorSession } from './session.ts';

/** golang-migrate's word for "before the first migration"; it is stored only while dirty. */
const NIL_VERSION = -1;

/** What the database says about itself; `current` is 0 before the first migration. */
export interface Ledger {
  current: number;
  dirty: boolean;
  files: Map<number, { name: string; sha256: string; appliedAt: Date; durationMs: number | null }>;
}

/**
 * Creates both tables when absent, as the current role; needs an open transaction. A `schema_migrations` that
 * golang-migrate created as the login role is handed to the owner role, so that either tool can go on from the other.
 */
export async function ensureLedger(client: Client): Promise<void> {
  const { rows } = await client.query<{ owner: string; role: string; login: string }>(
    `select relowner::regrole::text as owner, quote_ident(current_user) as role, quote_ident(session_user) as login
       from pg_class where oid = to_regclass('public.schema_migrations')`,
  );
  const found = rows[0];
  if (found && found.owner !== found.role && found.owner === found.login) {
    await client.query(
      `set local role ${found.login}; alter table public.schema_migrations owner to ${found.role}; set local role ${found.role}`,
    );
  }
  await client.query(`
    create table if not exists public.schema_migrations (version bigint not null primary key, dirty boolean not null);
    create table if not exists public.schema_migration_files (
      version bigint not null primary key,
      name varchar(200) not null,
      sha256 varchar(64) not null check (sha256 ~ '^[0-9a-f]{64}$'),
      applied_at timestamptz not null default now(),
      duration_ms integer
    );
    comment on table public.schema_migrations is 'One row: the version the schema is at, as golang-migrate keeps it. No row before the first migration.';
    comment on table public.schema_migration_files is 'Checksums of the applied migrations, so that an edited file is noticed.'`);
}

/** Reads both tables; a fresh database reads as version 0 without files. Writes nothing. */
export async function readLedger({ client, role }: MigratorSession): Promise<Ledger> {
  const ledger: Ledger = { current: 0, dirty: false, files: new Map() };
  const exists = await client.query<{ owner: string | null; login: string; files: boolean }>(
    `select (select relowner::regrole::text from pg_class where oid = to_regclass('public.schema_migrations')) as owner,
            quote_ident(session_user) as login, to_regclass('public.schema_migration_files') is not null as files`,
  );
  const { owner, login } = exists.rows[0] ?? { owner: null, login: '' };
  if (owner !== null) {
    // golang-migrate creates its table as the login role, whose tables the owner role may not read.
    if (owner === login) await client.query('reset role');
    const { rows } = await client.query<{ version: string; dirty: boolean }>(
      'select version, dirty from public.schema_migrations limit 1',
    );
    await client.query(`set role ${escapeIdentifier(role)}`);
    if (rows[0]) Object.assign(ledger, { current: Math.max(0, Number(rows[0].version)), dirty: rows[0].dirty });
  }
  if (exists.rows[0]?.files) {
    const { rows } = await client.query<{
      version: string;
      name: string;
      sha256: string;
      applied_at: Date;
      duration_ms: number | null;
    }>('select version, name, sha256, applied_at, duration_ms from public.schema_migration_files order by version');
    for (const row of rows) {
      const { name, sha256, applied_at: appliedAt, duration_ms: durationMs } = row;
      ledger.files.set(Number(row.version), { name, sha256, appliedAt, durationMs });
    }
  }
  return ledger;
}

/**
 * Sets the one row as golang-migrate does. DELETE rather than its TRUNCATE, so that readers of the status are never
 * blocked.
 */
export async function setVersion(client: Client, version: number, dirty: boolean): Promise<void> {
  await client.query('delete from public.schema_migrations');
  if (version === 0 && !dirty) return;
  await client.query('insert into public.schema_migrations (version, dirty) values ($1, $2)', [
    version === 0 ? NIL_VERSION : version,
    dirty,
  ]);
}

/** Records that the up file of `migration` is what the database now holds. */
export async function recordFile(client: Client, migration: Migration, durationMs: number | null): Promise<void> {
  await client.query(
    `insert into public.schema_migration_files (version, name, sha256, duration_ms) values ($1, $2, $3, $4)
     on conflict (version) do update set name = excluded.name, sha256 = excluded.sha256, applied_at = now(), duration_ms = excluded.duration_ms`,
    [migration.version, migration.name, migration.sha256, durationMs],
  );
}

/**
 * Brings the checksums in line with the version: forgets files above it and adopts applied ones that have no checksum
 * because another tool applied them. Returns the adopted files' names.
 */
export async function reconcileFiles(client: Client, migrations: Migration[], ledger: Ledger): Promise<string[]> {
  await client.query('delete from public.schema_migration_files where version > $1', [ledger.current]);
  const adopted = migrations.filter((m) => m.version <= ledger.current && !ledger.files.has(m.version));
  for (const migration of adopted) await recordFile(client, migration, null);
  return adopted.map((m) => m.up.file);
}

/** Throws `DIRTY`, `MISSING_FILE` or `EDITED_FILE` when the folder and the database do not belong together. */
export function assertConsistent(migrations: Migration[], ledger: Ledger): void {
  if (ledger.dirty) {
    throw new MigrationError(
      'DIRTY',
      `the database is dirty at version ${ledger.current}: a file that cannot run in a transaction stopped half-way. Finish or undo its work by hand` +
        ` (an interrupted CREATE INDEX CONCURRENTLY leaves an invalid index to drop), then say what holds: novax migrate force <version>`,
    );
  }
  const newest = migrations.length;
  if (ledger.current > newest) {
    throw new MigrationError(
      'MISSING_FILE',
      `the database is at version ${ledger.current}, this folder ends at ${newest}: it belongs to an older release`,
    );
  }
  for (const migration of migrations) {
    const applied = ledger.files.get(migration.version);
    if (!applied || migration.version > ledger.current) continue;
    if (applied.sha256 !== migration.sha256 || applied.name !== migration.name) {
      throw new MigrationError(
        'EDITED_FILE',
        `${migration.up.file} was edited or renamed after it was applied (${applied.appliedAt.toISOString()}): restore it and put the change in a new migration`,
      );
    }
  }
}
