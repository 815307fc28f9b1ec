/** Backups against a real server: what is saved comes back equal, and what is broken, half-made or partial is never called good. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withDatabase } from '@novax/db/bootstrap';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBackup } from '../../apps/ops/src/backup/create.ts';
import { parseManifest, serializeManifest } from '../../apps/ops/src/backup/manifest.ts';
import type { Manifest } from '../../apps/ops/src/backup/manifest.ts';
import { databaseRecord, totalRows } from '../../apps/ops/src/backup/record.ts';
import { restoreBackup } from '../../apps/ops/src/backup/restore.ts';
import { directoryTarget } from '../../apps/ops/src/backup/target.ts';
import { listBackups, verifyBackup } from '../../apps/ops/src/backup/verify.ts';
import { BOOTSTRAP_SQL, connect, MIGRATIONS_DIR, type TestDatabase, testDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { fillDatabase } from './backup-fixture.ts';

const DOCUMENTS = 2000;
const MAIN = fileURLToPath(new URL('../../apps/ops/src/main.ts', import.meta.url));
let db: TestDatabase;
let folder: string;
let storage: string;
let manifest: Manifest;

beforeAll(async () => {
  db = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'novax-backup-'));
  storage = join(folder, 'storage');
  await mkdir(join(storage, 'ab'), { recursive: true });
  await writeFile(join(storage, 'ab', 'file one'), Buffer.from([0, 1, 2, 255, 10, 13]));
  await writeFile(join(storage, 'empty'), '');
  {
    await using admin = await connect(db.adminUrl);
    await fillDatabase(admin, DOCUMENTS);
  }
  manifest = await createBackup({
    url: db.url('novax_backup'),
    target: directoryTarget(join(folder, 'good')),
    storageDir: storage,
    record: databaseRecord(db.url('novax_worker'), (text) => expect.fail(text)),
  });
}, 120_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await db[Symbol.asyncDispose]();
});

const good = () => directoryTarget(join(folder, 'good'));
const restoreOptions = { migrationsDir: MIGRATIONS_DIR, bootstrapFile: BOOTSTRAP_SQL };

/** Per table: rows and a hash over every row in order, by the server itself and over every column, generated ones too. */
async function fingerprint(url: string): Promise<Record<string, string>> {
  await using client = await connect(url);
  await client.query(`set timezone = 'UTC'`);
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('public', 'app') and c.relkind in ('r', 'p') and not c.relispartition and c.relname not in ('schema_migrations', 'schema_migration_files', 'backup_runs', 'audit_horizon')`,
  );
  const prints: Record<string, string> = {};
  for (const { name } of rows) {
    const { rows: print } = await client.query<{ print: string }>(
      `select count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') as print from ${name} t`,
    );
    prints[name] = print[0]?.print ?? '';
  }
  return prints;
}

test('a backup restored into a new database gives every table back: same count, same hash of all rows', async () => {
  const name = `${db.name}_restored`;
  const url = withDatabase(db.adminUrl, name);
  try {
    const restored = await restoreBackup({
      ...restoreOptions,
      target: good(),
      name: manifest.name,
      adminUrl: url,
      storageDir: join(folder, 'storage-back'),
    });
    const before = await fingerprint(db.adminUrl);
    expect(before['public.documents']).toMatch(new RegExp(`^${DOCUMENTS} `));
    expect(before['public.ai_embeddings']).toMatch(new RegExp(`^${DOCUMENTS} `));
    expect(before['public.events']).toMatch(new RegExp(`^${DOCUMENTS} `));
    expect(await fingerprint(url)).toEqual(before);
    expect(restored.rows).toBe(totalRows(manifest));
    expect(await readFile(join(folder, 'storage-back', 'ab', 'file one'))).toEqual(Buffer.from([0, 1, 2, 255, 10, 13]));
    await using client = await connect(url);
    const inDefault = await client.query<{ n: number }>(
      'select ((select count(*) from public.audit_log_default) + (select count(*) from public.events_published_default))::int as n',
    );
    expect(inDefault.rows[0]?.n).toBe(0);
    const indexes = await client.query(`select from pg_class where relname ~ '_embedding_model_3$'`);
    expect(indexes.rowCount).toBe(8);
    const next = await client.query<{ id: string }>(
      `insert into public.audit_log (actor_type, action, entity_type, entity_id) values ('system', 'access', 'backup', gen_random_uuid()) returning id`,
    );
    expect(Number(next.rows[0]?.id)).toBe(DOCUMENTS + 1);
    const views = await client.query<{ n: number }>('select count(*)::int as n from private.mv_ai_document_context');
    expect(views.rows[0]?.n).toBe(DOCUMENTS);
    await expect(
      restoreBackup({ ...restoreOptions, target: good(), name: manifest.name, adminUrl: url }),
    ).rejects.toThrow(/not empty: .* holds rows; nothing was changed/);
    expect((await client.query('select from public.documents')).rowCount).toBe(DOCUMENTS);
  } finally {
    await using maintenance = await connect(withDatabase(db.adminUrl, 'postgres'));
    await maintenance.query(`drop database if exists "${name}" with (force)`);
  }
}, 120_000);

test('a partition of a past month comes back as that partition, closed to everybody, its rows in it', async () => {
  const source = await testDatabase();
  await using _source = source;
  {
    await using admin = await connect(source.adminUrl);
    await admin.query(
      `set role novax_owner; create table public.audit_log_2020_02 partition of public.audit_log for values from ('2020-02-01 00:00:00+00') to ('2020-03-01 00:00:00+00'); reset role`,
    );
    await admin.query(
      `insert into public.audit_log (actor_type, action, entity_type, entity_id, created_at) values ('system', 'access', 'x', gen_random_uuid(), '2020-02-29 23:59:59.999999+00')`,
    );
  }
  const target = directoryTarget(join(folder, 'past'));
  const { name } = await createBackup({ url: source.url('novax_backup'), target });
  const into = await testDatabase({ migrated: false });
  await using _into = into;
  await restoreBackup({ ...restoreOptions, target, name, adminUrl: into.adminUrl });
  await using client = await connect(into.adminUrl);
  expect((await client.query('select from public.audit_log_2020_02')).rowCount).toBe(1);
  const { rows } = await client.query(
    `select relrowsecurity, relforcerowsecurity, relowner::regrole::text as owner from pg_class where relname = 'audit_log_2020_02'`,
  );
  expect(rows).toEqual([{ relrowsecurity: true, relforcerowsecurity: true, owner: 'novax_owner' }]);
  await expect(client.query('truncate public.audit_log_2020_02')).rejects.toThrow(/append-only/);
}, 120_000);

test('a sound backup has no fault, and its record says so', async () => {
  const verdict = await verifyBackup(good(), manifest.name);
  expect(verdict.faults).toEqual([]);
  expect(verdict.rows).toBe(totalRows(manifest));
  await using worker = await connect(db.url('novax_worker'));
  const { rows } = await worker.query(
    `select status, encode(sha256, 'hex') as sha256 from public.backup_runs where manifest ->> 'name' = $1`,
    [manifest.name],
  );
  expect(rows).toEqual([{ status: 'succeeded', sha256: manifest.sha256 }]);
});

/** Every mutant: which file is broken, and how. `names` is the file that must be blamed first. */
function mutants(): { kind: string; names: string; break: (dir: string) => Promise<void> }[] {
  const file = (table: string): string =>
    manifest.tables.find(({ name }) => name === table)?.file ?? expect.fail(`no table ${table}`);
  const flip = (path: string, share: number) => async (dir: string) => {
    const bytes = await readFile(join(dir, path));
    const at = Math.min(bytes.length - 1, Math.floor(bytes.length * share));
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(join(dir, path), bytes);
  };
  const cut = (path: string, keep: (bytes: number) => number) => async (dir: string) =>
    truncate(join(dir, path), keep((await readFile(join(dir, path))).length));
  const edit = (change: (text: string) => string) => async (dir: string) => {
    const text = await readFile(join(dir, 'manifest.json'), 'utf8');
    const changed = change(text);
    expect(changed).not.toBe(text);
    await writeFile(join(dir, 'manifest.json'), changed);
  };
  const swap = (a: string, b: string) => async (dir: string) => {
    await rename(join(dir, a), join(dir, 'x'));
    await rename(join(dir, b), join(dir, a));
    await rename(join(dir, 'x'), join(dir, b));
  };
  const [documents, events, embeddings, audit, users] = [
    'documents',
    'events',
    'ai_embeddings',
    'audit_log',
    'users',
  ].map((name) => file(name)) as [string, string, string, string, string]; // five names in, five files out
  return [
    ...[0, 0.3, 0.99].map((share) => ({
      kind: `bit ${share} of documents`,
      names: documents,
      break: flip(documents, share),
    })),
    ...[0.001, 0.5, 1].map((share) => ({
      kind: `bit ${share} of vectors`,
      names: embeddings,
      break: flip(embeddings, share),
    })),
    { kind: 'bit of a stored file', names: 'blobs/ab/file one', break: flip('blobs/ab/file one', 0.5) },
    { kind: 'last byte cut', names: events, break: cut(events, (bytes) => bytes - 1) },
    { kind: 'half cut', names: audit, break: cut(audit, (bytes) => bytes >> 1) },
    { kind: 'emptied', names: users, break: cut(users, () => 0) },
    { kind: 'bytes added', names: users, break: async (dir) => writeFile(join(dir, users), 'x', { flag: 'a' }) },
    { kind: 'table deleted', names: documents, break: async (dir) => rm(join(dir, documents)) },
    { kind: 'stored file deleted', names: 'blobs/empty', break: async (dir) => rm(join(dir, 'blobs/empty')) },
    { kind: 'two tables swapped', names: [documents, events].sort()[0] ?? '', break: swap(documents, events) },
    {
      kind: 'manifest: row count',
      names: 'manifest.json',
      break: edit((text) => text.replace(/"rows": 2000/, '"rows": 1999')),
    },
    {
      kind: 'manifest: a table left out',
      names: 'manifest.json',
      break: edit((text) =>
        serializeManifest({ ...parseManifest(text, manifest.name), tables: manifest.tables.slice(1) }).text.replace(
          /"sha256": "[0-9a-f]+"\n\}/,
          `"sha256": "${manifest.sha256}"\n}`,
        ),
      ),
    },
    { kind: 'manifest: one space more', names: 'manifest.json', break: edit((text) => text.replace('{\n', '{ \n')) },
    { kind: 'manifest: half', names: 'manifest.json', break: cut('manifest.json', (bytes) => bytes >> 1) },
    {
      kind: 'manifest: of another backup',
      names: 'manifest.json',
      break: edit(
        (text) =>
          serializeManifest({ ...parseManifest(text, manifest.name), name: 'another-20260101T000000Z-000000' }).text,
      ),
    },
    { kind: 'manifest: deleted', names: 'manifest.json', break: async (dir) => rm(join(dir, 'manifest.json')) },
    {
      kind: 'manifest: of a later format',
      names: 'manifest.json',
      break: edit((text) => text.replace('"formatVersion": 1', '"formatVersion": 2')),
    },
  ];
}

test('every one of twenty broken backups is flagged, the broken file is named, and none is restored', async () => {
  const all = mutants();
  expect(all.length).toBeGreaterThanOrEqual(20);
  const missed: string[] = [];
  for (const [index, mutant] of all.entries()) {
    const target = directoryTarget(join(folder, `mutant-${index}`));
    await cp(good().location(manifest.name), target.location(manifest.name), { recursive: true });
    await mutant.break(target.location(manifest.name));
    const { faults } = await verifyBackup(target, manifest.name);
    if (faults[0]?.file !== mutant.names) missed.push(`${mutant.kind}: ${JSON.stringify(faults)}`);
    await expect(
      restoreBackup({
        ...restoreOptions,
        target,
        name: manifest.name,
        adminUrl: withDatabase(db.adminUrl, 'novax_never'),
      }),
      mutant.kind,
    ).rejects.toThrow(/nothing was restored/);
    await rm(join(folder, `mutant-${index}`), { recursive: true });
  }
  expect(missed).toEqual([]);
  await using admin = await connect(db.adminUrl);
  expect((await admin.query(`select from pg_database where datname = 'novax_never'`)).rowCount).toBe(0);
}, 60_000);

test('a role bound by row-level security is refused before anything is written', async () => {
  const target = directoryTarget(join(folder, 'bound'));
  await expect(createBackup({ url: db.url('novax_worker'), target })).rejects.toThrow(
    /novax_worker is bound by row-level security/,
  );
  expect(await target.list()).toEqual([]);
});

test('a table that the role may not read is an error that names it, never a backup without it', async () => {
  const own = await testDatabase();
  await using _own = own;
  await using admin = await connect(own.adminUrl);
  await admin.query(
    'create table public.kept_from_backup (id int); revoke all on public.kept_from_backup from novax_backup',
  );
  const target = directoryTarget(join(folder, 'denied'));
  await expect(createBackup({ url: own.url('novax_backup'), target })).rejects.toThrow(
    /may not read public\.kept_from_backup/,
  );
  expect(await target.list()).toEqual([]);
});

/** A table that is saved late is locked, so that the process waits in the middle of its work, and is killed there. */
test('a process killed in the middle leaves an incomplete backup that is named, the next one is whole, and the record is put right', async () => {
  const dir = join(folder, 'killed');
  await using admin = await connect(db.adminUrl);
  await admin.query('begin; lock table public.tasks in access exclusive mode');
  const env = {
    ...process.env,
    DATABASE_BACKUP_URL: db.url('novax_backup'),
    DATABASE_WORKER_URL: db.url('novax_worker'),
    BACKUP_DIR: dir,
  };
  const child = spawn(process.execPath, [MAIN, 'backup', 'create'], { env, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await using watcher = await connect(db.adminUrl);
  await eventually(
    async () => {
      const { rowCount } = await watcher.query(
        `select from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.application_name = 'novax-backup'`,
      );
      expect(rowCount).toBe(1);
    },
    { timeoutMs: 20_000 },
  );
  await expect(createBackup({ url: db.url('novax_backup'), target: directoryTarget(dir) })).rejects.toThrow(
    /another backup of this database is being made \(server process \d+\)/,
  );
  child.kill('SIGKILL');
  await ended;
  await admin.query('rollback');
  await eventually(
    async () => {
      expect(
        (await watcher.query(`select from pg_stat_activity where application_name = 'novax-backup'`)).rowCount,
      ).toBe(0);
    },
    { timeoutMs: 10_000 },
  );

  const target = directoryTarget(dir);
  const [left, ...none] = await listBackups(target);
  expect(none).toEqual([]);
  expect(left).toMatchObject({ state: 'incomplete' });
  expect((await readdir(join(target.location(left?.name ?? ''), 'tables'))).length).toBeGreaterThan(0);
  expect((await verifyBackup(target, left?.name ?? '')).faults[0]?.problem).toMatch(/never finished/);

  const second = await cli(['backup', 'create'], env);
  expect(second.stderr).toContain(`${target.location(left?.name ?? '')} is incomplete`);
  expect(second.code).toBe(0);
  expect((await listBackups(target)).map(({ state }) => state).sort()).toEqual(['complete', 'incomplete']);
  const { rows } = await watcher.query(`select status, error from public.backup_runs where manifest ->> 'name' = $1`, [
    left?.name,
  ]);
  expect(rows).toEqual([{ status: 'failed', error: 'its process ended before the backup was whole' }]);
  expect((await cli(['backup', 'verify', '-o', 'json'], env)).code).toBe(0);
}, 60_000);

test('what is written after the snapshot is in no table of the backup: it is one instant', async () => {
  const own = await testDatabase();
  await using _own = own;
  const target = directoryTarget(join(folder, 'instant'));
  await using admin = await connect(own.adminUrl);
  const register = (name: string) =>
    admin.query(
      `insert into public.users (email, email_normalized, username, username_normalized, password_hash) values ($1, $1, $1, $1, 'x')`,
      [name],
    );
  await register('before');
  const nothing = async (): Promise<void> => undefined;
  // The record is begun once the snapshot stands, and before the first table is read.
  const saved = await createBackup({
    url: own.url('novax_backup'),
    target,
    record: { closeStale: nothing, start: async () => void (await register('after')), succeed: nothing, fail: nothing },
  });
  expect(saved.tables.find(({ name }) => name === 'users')?.rows).toBe(1);
  expect((await admin.query('select from public.users')).rowCount).toBe(2);
});

test('a backup that is stopped leaves no manifest', async () => {
  const target = directoryTarget(join(folder, 'stopped'));
  const stop = new AbortController();
  const making = createBackup({
    url: db.url('novax_backup'),
    target,
    signal: stop.signal,
    onTable: ({ index }) => index === 12 && stop.abort(),
  });
  await expect(making).rejects.toThrow(/abort/i);
  expect((await listBackups(target)).map(({ state }) => state)).toEqual(['incomplete']);
});

test('a restore that is stopped half-way leaves a database without a row, and the next one fills it', async () => {
  await using into = await testDatabase({ migrated: false });
  const stop = new AbortController();
  const options = { ...restoreOptions, target: good(), name: manifest.name, adminUrl: into.adminUrl };
  const onStep = ({ text }: { text: string }): void => {
    if (text.startsWith('comparing table 20')) stop.abort();
  };
  await expect(restoreBackup({ ...options, signal: stop.signal, onStep })).rejects.toThrow(/abort/i);
  {
    await using client = await connect(into.adminUrl);
    expect((await client.query('select from public.users union all select from public.documents')).rowCount).toBe(0);
  }
  expect((await restoreBackup(options)).rows).toBe(totalRows(manifest));
}, 60_000);

test('with addresses from the environment and no folder named, the command asks for one instead of writing into the program', async () => {
  const { code, stderr } = await cli(['backup', 'create'], {
    ...process.env,
    DATABASE_BACKUP_URL: db.url('novax_backup'),
  });
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('BACKUP_DIR') });
});

function cli(args: string[], env: NodeJS.ProcessEnv): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}
