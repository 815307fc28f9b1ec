/** Loads a backup into a database that holds nothing yet, and proves that it holds the same afterwards. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { bootstrapCluster } from '@novax/db/bootstrap';
import { migrateUp } from '@novax/db/migrate';
import { loadMigrations } from '@novax/db/migrations/files';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { CommandFailure } from '../cli/command.ts';
import { connectDatabase, rowOf, rowsOf } from '../database/connect.ts';
import { isMissing } from '../stack/config.ts';
import { copyIn, copyOut, pinTextFormat, qualified, tablesInOrder } from './catalogue.ts';
import type { TableShape } from './catalogue.ts';
import { collected, eraseAgain, hasFunction, knownTo } from './restore-erasures.ts';
import { makeModelIndexes, makePartitions, setIdentities } from './restore-schema.ts';
import type { Manifest, TableEntry } from './manifest.ts';
import type { BackupTarget } from './target.ts';
import { verifyBackup } from './verify.ts';

export interface RestoreOptions {
  target: BackupTarget;
  name: string;
  /** A superuser's URL of the database to fill; the database is created when it does not exist. */
  adminUrl: string;
  migrationsDir: string;
  bootstrapFile: string;
  /** People erased since whenever, who must not come back; absent when nothing outside the database names them. */
  erased?: () => AsyncIterable<string>;
  /** Folder to put the stored files into; absent leaves them out. */
  storageDir?: string;
  signal?: AbortSignal;
  onStep?: (step: { text: string; fraction: number }) => void;
}

export interface Restored {
  manifest: Manifest;
  tables: { table: string; rows: number }[];
  rows: number;
  blobs: number;
  /** How many people the backup still had and the list of the erased names; they are erased again. */
  erasedAgain: number;
}

/** Rows of these come with the migrations; the backup's replace them. */
const SEEDED = ['embedding_models', 'audit_horizon'];

/**
 * Verifies the backup, makes the schema of its version from the local migration files, and loads everything in one transaction that ends only
 * when every table has the rows and the checksum that were saved, and whoever was erased since is erased again: a failure or an end at any moment leaves an empty database. Throws
 * `CommandFailure` when the backup is broken, the migration files are not those of the backup, or the database holds rows.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { target, name, signal } = options;
  const say = (text: string, fraction: number): void => options.onStep?.({ text, fraction });
  say('verifying the backup', 0);
  const verdict = await verifyBackup(target, name, signal === undefined ? {} : { signal });
  const [fault] = verdict.faults;
  if (fault !== undefined || verdict.manifest === null) {
    throw new CommandFailure(
      `${target.location(name)} is broken: ${fault?.file}: ${fault?.problem}; nothing was restored`,
      { hint: 'novax backup list' },
    );
  }
  const { manifest } = verdict;
  await assertSameMigrations(manifest, options.migrationsDir);
  if (options.storageDir !== undefined) await assertEmptyFolder(options.storageDir);
  say(`making the schema of version ${manifest.migrations.version}`, 0.1);
  await makeSchema(options, manifest);
  await using client = await connectDatabase(options.adminUrl, { name: 'novax-restore' });
  await pinTextFormat(client);
  await client.query('begin');
  const shapes = new Map((await tablesInOrder(client)).map((shape) => [qualified(shape), shape]));
  const pairs = manifest.tables.map((entry) => ({ entry, shape: shapeOf(entry, shapes) }));
  await refuseRows(client, [...shapes.values()]);
  // Without triggers and foreign-key checks: what they would do is in the rows already, and a snapshot agrees with itself.
  await client.query('set local session_replication_role = replica');
  for (const { shape } of pairs) if (SEEDED.includes(shape.name)) await client.query(`delete from ${qualified(shape)}`);
  await makePartitions(client, manifest);
  for (const [index, { entry }] of pairs.entries()) {
    signal?.throwIfAborted();
    say(`loading table ${index + 1} of ${pairs.length}`, 0.15 + (0.5 * index) / pairs.length);
    await pipeline(
      target.read(name, entry.file),
      createZstdDecompress(),
      client.query(copyFrom(copyIn(entry))),
      signal === undefined ? {} : { signal },
    );
  }
  await setIdentities(client, manifest);
  await client.query('set local session_replication_role = origin');
  say('building what was not in the migrations', 0.65);
  await makeModelIndexes(client);
  await client.query('select count(*) from private.ensure_partitions()');
  for (const [index, pair] of pairs.entries()) {
    signal?.throwIfAborted();
    say(`comparing table ${index + 1} of ${pairs.length}`, 0.7 + (0.25 * index) / pairs.length);
    await assertEqual(client, pair);
  }
  // Only now, so that what was compared is what was saved; before whatever writes to the trail here.
  if (pairs.some(({ shape }) => shape.name === 'audit_horizon')) await client.query('call private.start_audit_epoch()');
  const erased = await knownTo(client, await collected(options.erased));
  // A backup from before there was a list has no function for it either.
  const late = erased.length > 0 && !(await hasFunction(client));
  if (!late) await eraseAgain(client, erased);
  await refreshViews(client);
  await client.query('commit');
  if (late) {
    say('erasing again who was erased', 0.96);
    await migrateUp({ url: options.adminUrl, dir: options.migrationsDir });
    await client.query('begin');
    await eraseAgain(client, erased);
    await refreshViews(client);
    await client.query('commit');
  }
  say('statistics', 0.97);
  await client.query('analyze');
  const blobs = options.storageDir === undefined ? 0 : await restoreBlobs(options.storageDir, manifest, options);
  const tables = manifest.tables.map((entry) => ({ table: `${entry.schema}.${entry.name}`, rows: entry.rows }));
  return { manifest, tables, rows: tables.reduce((sum, { rows }) => sum + rows, 0), blobs, erasedAgain: erased.length };
}

async function assertSameMigrations(manifest: Manifest, dir: string): Promise<void> {
  const { version, files } = manifest.migrations;
  const local = await loadMigrations(dir);
  if (local.length < version) {
    throw new CommandFailure(`the backup is of schema version ${version}, this release ends at ${local.length}`, {
      hint: 'restore it with the release that made it, or a newer one',
    });
  }
  const saved = new Map(files.map((file) => [file.version, file]));
  for (const file of local.slice(0, version)) {
    const other = saved.get(file.version);
    if (other?.sha256 !== file.sha256) {
      throw new CommandFailure(`${file.up.file} is not the file that the backup was made with`, {
        hint: 'restore it with the release that made it',
      });
    }
  }
}

async function makeSchema(options: RestoreOptions, manifest: Manifest): Promise<void> {
  const database = decodeURIComponent(new URL(options.adminUrl).pathname.slice(1));
  if (database === '' || ['postgres', 'template0', 'template1'].includes(database))
    throw new CommandFailure(`"${database}" is no database to restore into`);
  await bootstrapCluster({ adminUrl: options.adminUrl, database, passwords: {}, sqlFile: options.bootstrapFile });
  {
    await using client = await connectDatabase(options.adminUrl, { name: 'novax-restore' });
    const { migrated } = await rowOf<{ migrated: boolean }>(
      client,
      `select to_regclass('public.schema_migrations') is not null as migrated`,
    );
    if (migrated) {
      await refuseRows(client, await tablesInOrder(client));
      const [at] = await rowsOf<{ version: number }>(
        client,
        'select version::int as version from public.schema_migrations',
      );
      if ((at?.version ?? 0) > manifest.migrations.version) {
        throw new CommandFailure(
          `the database is at schema version ${at?.version}, the backup at ${manifest.migrations.version}`,
          { hint: 'restore into a new database, then migrate up' },
        );
      }
    }
  }
  await migrateUp({ url: options.adminUrl, dir: options.migrationsDir, to: manifest.migrations.version });
}

async function refuseRows(client: pg.ClientBase, shapes: readonly TableShape[]): Promise<void> {
  for (const shape of shapes) {
    if (SEEDED.includes(shape.name)) continue;
    const { filled } = await rowOf<{ filled: boolean }>(
      client,
      `select exists (select from ${qualified(shape)}) as filled`,
    );
    if (filled) {
      throw new CommandFailure(
        `the database is not empty: ${shape.schema}.${shape.name} holds rows; nothing was changed`,
        { hint: 'name a database that does not exist yet: it is created' },
      );
    }
  }
}

/** The backup's tables and columns must be those of the schema just made; anything else would be loaded somewhere it does not belong. */
function shapeOf(entry: TableEntry, shapes: ReadonlyMap<string, TableShape>): TableShape {
  const shape = shapes.get(qualified(entry));
  if (shape === undefined)
    throw new CommandFailure(`the schema has no table ${entry.schema}.${entry.name}, the backup does`);
  const missing = entry.columns.filter((column) => !shape.columns.includes(column));
  if (missing.length > 0)
    throw new CommandFailure(`${entry.schema}.${entry.name} has no column ${missing.join(', ')}, the backup does`);
  return shape;
}

/** Exports the table again, as it was exported, and compares rows and checksum. */
async function assertEqual(
  client: pg.Client,
  { entry, shape }: { entry: TableEntry; shape: TableShape },
): Promise<void> {
  const hash = createHash('sha256');
  const rows = client.query(copyTo(copyOut({ ...shape, columns: entry.columns })));
  await pipeline(rows, new Writable({ write: (chunk: Buffer, _encoding, done) => done(void hash.update(chunk)) }));
  if (rows.rowCount === entry.rows && hash.digest('hex') === entry.contentSha256) return;
  throw new CommandFailure(
    `${entry.schema}.${entry.name} holds ${rows.rowCount} rows after loading, ${entry.rows} were saved, or their contents differ; nothing was restored`,
  );
}

async function refreshViews(client: pg.ClientBase): Promise<void> {
  const views = await rowsOf<{ view: string }>(
    client,
    `select format('%I.%I', schemaname, matviewname) as view from pg_matviews where schemaname = 'private' order by 1`,
  );
  for (const { view } of views) await client.query(`refresh materialized view ${view}`);
}

async function assertEmptyFolder(dir: string): Promise<void> {
  const found = await readdir(dir).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  if (found.length > 0)
    throw new CommandFailure(`${dir} is not empty; stored files are restored into an empty folder only`);
}

async function restoreBlobs(dir: string, manifest: Manifest, { target, name }: RestoreOptions): Promise<number> {
  const root = resolve(dir);
  for (const blob of manifest.blobs) {
    const path = resolve(root, blob.path);
    if (!path.startsWith(root + sep)) throw new CommandFailure(`${blob.path} lies outside ${root}`);
    await mkdir(dirname(path), { recursive: true });
    await pipeline(target.read(name, blob.file), createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }));
  }
  return manifest.blobs.length;
}
