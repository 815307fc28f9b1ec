/**
 * Applies and reverts the numbered SQL pairs of a folder; reads and writes golang-migrate's own table, so either tool
 * may go on from the other.
 */
import { describeSqlError, MigrationError, sqlState } from './migrations/errors.ts';
import { loadMigrations, type Migration, type MigrationScript } from './migrations/files.ts';
import {
  assertConsistent,
  ensureLedger,
  type Ledger,
  readLedger,
  reconcileFiles,
  recordFile,
  setVersion,
} from './migrations/ledger.ts';
import {
  cancellable,
  DEFAULT_LOCK_POLICY,
  lockOutOthers,
  type LockPolicy,
  type MigratorSession,
  openSession,
  withLockRetry,
} from './migrations/session.ts';
import { escapeIdentifier } from 'pg';

/**
 * What every function of the migrator takes. `url` must reach PostgreSQL directly: session locks do not survive a
 * transaction pooler.
 */
export interface MigrateOptions {
  url: string;
  /** Folder of `000001_name.up.sql` / `.down.sql` pairs. */
  dir: string;
  log?: (line: string) => void;
  lock?: Partial<LockPolicy>;
  /**
   * Aborted, no further file begins and the one in hand is rolled back; one that runs outside a transaction is let finish, as an interrupted
   * one would leave the database dirty. Rejects with the signal's reason.
   */
  signal?: AbortSignal | undefined;
}

export interface AppliedMigration {
  version: number;
  name: string;
  direction: 'up' | 'down';
  durationMs: number;
}

export interface MigrationStatus {
  /** 0 before the first migration. */
  current: number;
  latest: number;
  dirty: boolean;
  migrations: {
    version: number;
    name: string;
    state: 'applied' | 'pending' | 'edited';
    /** Null when pending, or when another tool applied it. */
    appliedAt: Date | null;
    durationMs: number | null;
  }[];
}

/**
 * Applies what is pending, up to and including version `to`. Each file is one transaction together with its
 * bookkeeping, so a failing file leaves nothing behind; a file whose only statement is a CONCURRENTLY one runs outside
 * a transaction with the dirty mark set. Runners that start together apply each file once. Throws `MigrationError` (see
 * its codes); files before the failing one stay applied.
 */
export async function migrateUp(options: MigrateOptions & { to?: number }): Promise<AppliedMigration[]> {
  return migrate(options, 'up', (migrations, { current }) => {
    const to = options.to ?? migrations.length;
    if (!Number.isInteger(to) || to < 0 || to > migrations.length) {
      throw new MigrationError(
        'UNKNOWN_VERSION',
        `there is no version ${to}; this folder ends at ${migrations.length}`,
      );
    }
    return migrations.filter((m) => m.version > current && m.version <= to);
  });
}

/** Reverts the newest `steps` applied migrations (1 unless told), newest first; the same guarantees as `migrateUp`. */
export async function migrateDown(options: MigrateOptions & { steps?: number }): Promise<AppliedMigration[]> {
  const steps = options.steps ?? 1;
  return migrate(options, 'down', (migrations, { current }) =>
    migrations
      .filter((m) => m.version <= current)
      .reverse()
      .slice(0, steps),
  );
}

/**
 * What the database holds and what is pending. Read-only: works on a fresh database, creates nothing, waits for nobody.
 */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationStatus> {
  const migrations = await loadMigrations(options.dir);
  await using session = await openSession(options.url);
  const { current, dirty, files } = await readLedger(session);
  return {
    current,
    latest: migrations.length,
    dirty,
    migrations: migrations.map(({ version, name, sha256 }) => {
      const file = version <= current ? files.get(version) : undefined;
      const edited = file !== undefined && (file.sha256 !== sha256 || file.name !== name);
      const state = version > current ? 'pending' : edited ? 'edited' : 'applied';
      return { version, name, state, appliedAt: file?.appliedAt ?? null, durationMs: file?.durationMs ?? null };
    }),
  };
}

/**
 * The files `migrateUp` would run now, in order, and how. Read-only; throws what `migrateUp` would throw before its
 * first file.
 */
export async function migrationPlan(
  options: MigrateOptions & { to?: number },
): Promise<{ version: number; name: string; file: string; transactional: boolean; statements: number }[]> {
  const migrations = await loadMigrations(options.dir);
  await using session = await openSession(options.url);
  const ledger = await readLedger(session);
  assertConsistent(migrations, ledger);
  return migrations
    .filter((m) => m.version > ledger.current && m.version <= (options.to ?? migrations.length))
    .map(({ version, name, up }) => ({
      version,
      name,
      file: up.file,
      transactional: up.transactional,
      statements: up.statements,
    }));
}

/**
 * Declares that the schema is at `version` (0: before the first) and clean, running nothing: the mend after a dirty
 * stop was repaired by hand.
 */
export async function forceVersion(options: MigrateOptions & { version: number }): Promise<void> {
  const migrations = await loadMigrations(options.dir);
  if (!Number.isInteger(options.version) || options.version < 0 || options.version > migrations.length) {
    throw new MigrationError(
      'UNKNOWN_VERSION',
      `there is no version ${options.version}; this folder ends at ${migrations.length}`,
    );
  }
  await using session = await openSession(options.url);
  await using _lock = await lockOutOthers(session, lockPolicy(options));
  await inTransaction(session, async () => {
    await ensureLedger(session.client);
    await setVersion(session.client, options.version, false);
    await reconcileFiles(session.client, migrations, await readLedger(session));
  });
}

function lockPolicy(options: MigrateOptions): LockPolicy {
  return { ...DEFAULT_LOCK_POLICY, ...options.lock };
}

async function migrate(
  options: MigrateOptions,
  direction: 'up' | 'down',
  choose: (migrations: Migration[], ledger: Ledger) => Migration[],
): Promise<AppliedMigration[]> {
  const migrations = await loadMigrations(options.dir);
  const log = options.log ?? (() => {});
  await using session = await openSession(options.url);
  await using _lock = await lockOutOthers(session, lockPolicy(options), options.signal);
  const ledger = await readLedger(session);
  assertConsistent(migrations, ledger);
  const chosen = choose(migrations, ledger);
  if (chosen.length === 0) return [];
  await inTransaction(session, async () => {
    await ensureLedger(session.client);
    for (const file of await reconcileFiles(session.client, migrations, ledger))
      log(`${file} was applied by another tool; its checksum is recorded`);
  });
  const done: AppliedMigration[] = [];
  for (const migration of chosen) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    await runOne({ session, migration, direction, options });
    const durationMs = Math.round(performance.now() - started);
    log(`${migration[direction].file} (${durationMs} ms)`);
    done.push({ version: migration.version, name: migration.name, direction, durationMs });
  }
  return done;
}

interface Step {
  session: MigratorSession;
  migration: Migration;
  direction: 'up' | 'down';
  options: MigrateOptions;
}

async function runOne(step: Step): Promise<void> {
  const { session, migration, direction, options } = step;
  const script = migration[direction];
  const policy = lockPolicy(options);
  try {
    if (!script.transactional) return await runAlone(step, script);
    const { url, signal, log = () => {} } = options;
    await withLockRetry(session, { url, file: script.file, policy, log, signal }, () =>
      inTransaction(session, async () => {
        const started = performance.now();
        await session.client.query(`set local lock_timeout = ${Math.round(policy.timeoutMs)}`);
        await cancellable(session, { url, signal }, () => session.client.query(script.sql));
        await resumeRole(session);
        await bookkeep(step, performance.now() - started);
      }),
    );
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    const left = script.transactional ? 'nothing of it was applied' : 'the database is marked dirty';
    throw new MigrationError('FAILED', `${script.file}: ${describeSqlError(error, script.sql)}; ${left}`, error);
  }
}

/**
 * A CONCURRENTLY file: dirty mark, statement, mark off. No lock timeout, because such a statement blocks neither
 * readers nor writers while it waits, and interrupting it leaves an invalid index.
 */
async function runAlone(step: Step, script: MigrationScript): Promise<void> {
  const { session, migration, direction } = step;
  const started = performance.now();
  const target = direction === 'up' ? migration.version : migration.version - 1;
  await inTransaction(session, () => setVersion(session.client, target, true));
  await session.client.query(script.sql);
  await inTransaction(session, () => bookkeep(step, performance.now() - started));
}

async function bookkeep({ session, migration, direction }: Step, durationMs: number): Promise<void> {
  const { client } = session;
  if (direction === 'up') {
    await setVersion(client, migration.version, false);
    await recordFile(client, migration, Math.round(durationMs));
  } else {
    await setVersion(client, migration.version - 1, false);
    await client.query('delete from public.schema_migration_files where version >= $1', [migration.version]);
  }
}

async function inTransaction(session: MigratorSession, work: () => Promise<unknown>): Promise<void> {
  await session.client.query('begin');
  try {
    await resumeRole(session);
    await work();
    await session.client.query('commit');
  } catch (error) {
    // The first error is the one to report; a connection already lost cannot roll back and need not.
    await session.client.query('rollback').catch(() => {});
    throw error;
  }
}

/**
 * A file may take another role (views are made by the role that owns them); bookkeeping and the next file start as the
 * owner again.
 */
async function resumeRole({ client, role }: MigratorSession): Promise<void> {
  await client.query(`set local role ${escapeIdentifier(role)}`);
}
