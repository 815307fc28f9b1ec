/**
 * The migrator against a real server: once only, all or nothing, never over an edited or half-run file, and never
 * waiting long for a lock.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  forceVersion,
  migrateDown,
  migrateUp,
  migrationPlan,
  migrationStatus,
  type MigrateOptions,
} from '@novax/db/migrate';
import { advisoryLockKey } from '@novax/db/migrations/session';
import { type MigrationErrorCode } from '@novax/db/migrations/errors';
import { describe, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';

type Files = Record<string, string>;

const THREE: Files = {
  '000001_books.up.sql': 'create table public.books (id bigint primary key);',
  '000001_books.down.sql': 'drop table public.books;',
  '000002_titles.up.sql':
    "alter table public.books add column title varchar(80) not null default 'a;b';\ninsert into public.books values (1);",
  '000002_titles.down.sql': 'delete from public.books; alter table public.books drop column title;',
  '000003_title_index.up.sql':
    '-- alone in its file\ncreate index concurrently idx_books_title on public.books (title);\n',
  '000003_title_index.down.sql': 'drop index concurrently public.idx_books_title;',
};

const refusal = (code: MigrationErrorCode, text: RegExp): object =>
  expect.objectContaining({ name: 'MigrationError', code, message: expect.stringMatching(text) });

interface Bench extends AsyncDisposable {
  db: TestDatabase;
  options: MigrateOptions;
  log: string[];
  write(files: Files): Promise<void>;
  /** First column of the first row, as the superuser. */
  ask(sql: string): Promise<unknown>;
}

async function bench(files: Files): Promise<Bench> {
  const db = await testDatabase({ migrated: false });
  const dir = await mkdtemp(join(tmpdir(), 'novax-migrations-'));
  const write = async (more: Files): Promise<void> => {
    for (const [name, sql] of Object.entries(more)) await writeFile(join(dir, name), sql);
  };
  await write(files);
  const log: string[] = [];
  return {
    db,
    log,
    write,
    options: { url: db.url('novax_migrator'), dir, log: (line) => log.push(line) },
    ask: async (sql) => {
      await using client = await connect(db.adminUrl);
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      return rows[0]?.[0];
    },
    [Symbol.asyncDispose]: async () => {
      await db[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

describe('going up and down', () => {
  test('a fresh database reads as version 0 and reading creates nothing', async () => {
    await using b = await bench(THREE);
    const status = await migrationStatus(b.options);
    expect(status).toMatchObject({ current: 0, latest: 3, dirty: false });
    expect(status.migrations.map((m) => m.state)).toEqual(['pending', 'pending', 'pending']);
    const plan = await migrationPlan(b.options);
    expect(plan.map((m) => [m.file, m.transactional, m.statements])).toEqual([
      ['000001_books.up.sql', true, 1],
      ['000002_titles.up.sql', true, 2],
      ['000003_title_index.up.sql', false, 1],
    ]);
    expect(await b.ask("select to_regclass('public.schema_migrations')")).toBeNull();
  });

  test('up applies in order, down reverts in reverse order, and the table reads as golang-migrate writes it', async () => {
    await using b = await bench(THREE);
    expect((await migrateUp({ ...b.options, to: 2 })).map((m) => m.version)).toEqual([1, 2]);
    expect(await b.ask('select (version, dirty)::text from schema_migrations')).toBe('(2,f)');
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([3]);
    expect(await b.ask("select indisvalid from pg_index where indexrelid = 'idx_books_title'::regclass")).toBe(true);
    expect(await migrateUp(b.options)).toEqual([]);
    expect((await migrateDown({ ...b.options, steps: 2 })).map((m) => m.version)).toEqual([3, 2]);
    expect(await b.ask('select array_agg(version)::text from schema_migration_files')).toBe('{1}');
    expect((await migrateDown(b.options)).map((m) => m.version)).toEqual([1]);
    expect(await b.ask('select count(*)::int from schema_migrations')).toBe(0);
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([1, 2, 3]);
  });

  test('what a migration creates belongs to the owner role, and so do the bookkeeping tables', async () => {
    await using b = await bench(THREE);
    await migrateUp(b.options);
    const owners = await b.ask(
      `select array_agg(distinct relowner::regrole::text)::text from pg_class
        where oid in ('books'::regclass, 'schema_migrations'::regclass, 'schema_migration_files'::regclass)`,
    );
    expect(owners).toBe('{novax_owner}');
  });

  test('a file that takes another role leaves it at its end', async () => {
    await using b = await bench({
      ...THREE,
      '000002_titles.up.sql': 'set role novax_definer;',
      '000003_title_index.up.sql': 'create table public.pens (id bigint primary key);',
    });
    await migrateUp(b.options);
    expect(await b.ask("select relowner::regrole::text from pg_class where oid = 'pens'::regclass")).toBe(
      'novax_owner',
    );
  });
});

describe('several runners', () => {
  test('five at once apply every file once, a CONCURRENTLY file included', async () => {
    await using b = await bench({
      ...THREE,
      '000001_books.up.sql':
        'create table public.books (id bigint primary key); create table public.runs (); select pg_sleep(0.3);',
    });
    const runs = await Promise.all(Array.from({ length: 5 }, () => migrateUp(b.options)));
    expect(runs.flat().map((m) => m.version)).toEqual([1, 2, 3]);
    expect(await b.ask('select count(*)::int from books')).toBe(1);
    expect(await b.ask('select (version, dirty)::text from schema_migrations')).toBe('(3,f)');
  });

  test('a migrator that holds the lock too long is named', async () => {
    await using b = await bench(THREE);
    await using other = await connect(b.db.url('novax_migrator'));
    const pid = (await other.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
    await other.query('select pg_advisory_lock($1)', [advisoryLockKey(b.db.name)]);
    await expect(migrateUp({ ...b.options, lock: { otherMigratorMs: 200 } })).rejects.toEqual(
      refusal('LOCKED', new RegExp(`pid ${pid} \\(novax_migrator`)),
    );
  });

  test("the lock is the one golang-migrate's postgres driver takes", () => {
    // crc32("public\0schema_migrations\0/novax") * 1486364155 mod 2^32
    expect(advisoryLockKey('novax')).toBe(1_935_328_832);
  });

  test('a database that golang-migrate brought half-way is taken over', async () => {
    await using b = await bench(THREE);
    await using login = await connect(b.db.url('novax_migrator'));
    await using admin = await connect(b.db.adminUrl);
    await admin.query('grant create on schema public to novax_migrator');
    await login.query(
      'create table public.schema_migrations (version bigint not null primary key, dirty boolean not null)',
    );
    await login.query('set role novax_owner; create table public.books (id bigint primary key); reset role');
    await login.query('insert into public.schema_migrations values (1, false)');
    expect((await migrationStatus(b.options)).current).toBe(1);
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([2, 3]);
    expect(b.log[0]).toContain('000001_books.up.sql was applied by another tool');
    expect((await migrationStatus(b.options)).migrations.map((m) => m.state)).toEqual([
      'applied',
      'applied',
      'applied',
    ]);
  });
});

describe('what it refuses', () => {
  test('an applied file that was edited, by name', async () => {
    await using b = await bench(THREE);
    await migrateUp({ ...b.options, to: 1 });
    await b.write({ '000001_books.up.sql': 'create table public.books (id uuid primary key);' });
    await expect(migrateUp(b.options)).rejects.toEqual(refusal('EDITED_FILE', /000001_books\.up\.sql was edited/));
    expect((await migrationStatus(b.options)).migrations[0]?.state).toBe('edited');
  });

  test('nothing about a file whose line ends alone have changed', async () => {
    await using b = await bench(THREE);
    await migrateUp({ ...b.options, to: 2 });
    await b.write({ '000002_titles.up.sql': (THREE['000002_titles.up.sql'] ?? '').replaceAll('\n', '\r\n') });
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([3]);
  });

  test('a database newer than the folder', async () => {
    await using b = await bench(THREE);
    await migrateUp(b.options);
    await using older = await bench({ '000001_books.up.sql': 'select 1', '000001_books.down.sql': 'select 1' });
    await expect(migrateUp({ ...older.options, url: b.options.url })).rejects.toEqual(
      refusal('MISSING_FILE', /version 3, this folder ends at 1/),
    );
  });

  test.each<[string, Files, MigrationErrorCode, RegExp]>([
    ['a name that is not ours', { '1_books.up.sql': '' }, 'BAD_FILE_NAME', /1_books\.up\.sql/],
    ['capitals in a name', { '000004_Books.up.sql': '' }, 'BAD_FILE_NAME', /000004_Books/],
    ['a missing down file', { '000004_pens.up.sql': 'select 1' }, 'MISSING_DOWN', /000004_pens\.down\.sql is missing/],
    ['a down file alone', { '000004_pens.down.sql': 'select 1' }, 'BAD_NUMBERING', /000004_pens\.up\.sql is missing/],
    ['a gap', { '000005_pens.up.sql': '', '000005_pens.down.sql': '' }, 'BAD_NUMBERING', /expected number 000004/],
    [
      'a number used twice',
      { '000003_pens.up.sql': '', '000003_pens.down.sql': '' },
      'BAD_NUMBERING',
      /000003 is used twice/,
    ],
    [
      'CONCURRENTLY beside another statement',
      { '000004_pens.up.sql': 'create index concurrently i on books (id); select 1', '000004_pens.down.sql': '' },
      'BAD_STATEMENT',
      /only statement/,
    ],
    [
      'a file that commits',
      { '000004_pens.up.sql': 'begin; select 1; commit;', '000004_pens.down.sql': '' },
      'BAD_STATEMENT',
      /opens and ends/,
    ],
  ])('%s, before anything runs', async (_what, files, code, text) => {
    await using b = await bench({ ...THREE, ...files });
    await expect(migrateUp(b.options)).rejects.toEqual(refusal(code, text));
    expect(await b.ask("select to_regclass('public.books')")).toBeNull();
  });

  test('a version the folder does not know', async () => {
    await using b = await bench(THREE);
    await expect(migrateUp({ ...b.options, to: 9 })).rejects.toEqual(refusal('UNKNOWN_VERSION', /no version 9/));
    await expect(forceVersion({ ...b.options, version: 9 })).rejects.toEqual(
      refusal('UNKNOWN_VERSION', /no version 9/),
    );
  });
});

describe('failing half-way', () => {
  test('a failing file leaves nothing, names its line, and keeps the files before it', async () => {
    await using b = await bench({
      ...THREE,
      '000002_titles.up.sql': 'create table public.pens ();\n\ninsert into public.nowhere values (1);',
    });
    await expect(migrateUp(b.options)).rejects.toEqual(
      refusal('FAILED', /000002_titles\.up\.sql.*nowhere.*42P01.*line 3.*nothing of it was applied/),
    );
    expect(await b.ask("select to_regclass('public.pens')")).toBeNull();
    expect(await b.ask('select (version, dirty)::text from schema_migrations')).toBe('(1,f)');
    await b.write(THREE);
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([2, 3]);
  });

  test('a CONCURRENTLY file that fails leaves the dirty mark, which refuses everything until the version is forced', async () => {
    await using b = await bench({
      ...THREE,
      '000002_titles.up.sql':
        'alter table public.books add column title text; insert into public.books values (1, $$a$$), (2, $$a$$);',
      '000003_title_index.up.sql': 'create unique index concurrently idx_books_title on public.books (title);',
    });
    await expect(migrateUp(b.options)).rejects.toEqual(refusal('FAILED', /000003.*23505.*marked dirty/));
    expect(await b.ask('select (version, dirty)::text from schema_migrations')).toBe('(3,t)');
    await expect(migrateUp(b.options)).rejects.toEqual(
      refusal('DIRTY', /dirty at version 3.*novax migrate force <version>/),
    );
    await expect(migrateDown(b.options)).rejects.toEqual(refusal('DIRTY', /dirty at version 3/));
    await using admin = await connect(b.db.adminUrl);
    await admin.query('drop index idx_books_title; delete from books where id = 2');
    await forceVersion({ ...b.options, version: 2 });
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([3]);
  });
});

describe('told to stop', () => {
  /** Resolves when a backend of the test's database runs this. */
  const running = (b: Bench, query: string): Promise<void> =>
    eventually(async () => {
      const found = await b.ask(
        `select count(*)::int from pg_stat_activity where datname = current_database() and state = 'active' and query like '%${query}%' and pid <> pg_backend_pid()`,
      );
      expect(found).toBe(1);
    });

  test('the file in hand is rolled back at once, those before it stay, and the next run goes on there', async () => {
    await using b = await bench({
      ...THREE,
      '000002_titles.up.sql': 'create table public.pens (); select pg_sleep(30);',
    });
    const stop = new AbortController();
    const going = migrateUp({ ...b.options, signal: stop.signal });
    await running(b, 'pg_sleep(30)');
    const started = performance.now();
    stop.abort();
    await expect(going).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(await b.ask("select to_regclass('public.pens')")).toBeNull();
    expect(await b.ask('select (version, dirty)::text from schema_migrations')).toBe('(1,f)');
    expect(
      await b.ask(
        `select count(*)::int from pg_locks where locktype = 'advisory'
            and database = (select oid from pg_database where datname = current_database())`,
      ),
    ).toBe(0);
    await b.write(THREE);
    expect((await migrateUp(b.options)).map((m) => m.version)).toEqual([2, 3]);
  });

  test('a CONCURRENTLY file is let finish, and none begins after it', async () => {
    await using b = await bench({
      ...THREE,
      '000004_pens.up.sql': 'create table public.pens ();',
      '000004_pens.down.sql': 'drop table public.pens;',
    });
    await migrateUp({ ...b.options, to: 2 });
    // It waits for every transaction that is older.
    await using older = await connect(b.db.adminUrl);
    await older.query('begin; insert into books values (7)');
    const stop = new AbortController();
    const going = migrateUp({ ...b.options, signal: stop.signal });
    const outcome = expect(going).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    await running(b, 'create index concurrently');
    stop.abort();
    await older.query('commit');
    await outcome;
    expect(await b.ask('select (version, dirty)::text from schema_migrations')).toBe('(3,f)');
    expect(await b.ask("select indisvalid from pg_index where indexrelid = 'idx_books_title'::regclass")).toBe(true);
  });

  test('it waits for no lock any longer, and for no other migrator', async () => {
    await using b = await bench(THREE);
    await migrateUp({ ...b.options, to: 1 });
    await using reader = await connect(b.db.adminUrl);
    await reader.query('begin; select count(*) from books');
    const stopped = expect.objectContaining({ name: 'AbortError' });
    for (const until of ['paused', 'waiting'] as const) {
      const stop = new AbortController();
      const log = (line: string): void => {
        if (until === 'paused' && line.includes('attempt 2')) stop.abort();
      };
      const lock = until === 'paused' ? { timeoutMs: 50, backoffMs: 60_000, backoffCapMs: 60_000 } : {};
      const going = migrateUp({ ...b.options, log, lock, signal: stop.signal });
      const outcome = expect(going).rejects.toThrow(stopped);
      if (until === 'waiting') {
        await running(b, 'alter table public.books');
        stop.abort();
      }
      await outcome;
    }
    await using other = await connect(b.db.url('novax_migrator'));
    await other.query('select pg_advisory_lock($1)', [advisoryLockKey(b.db.name)]);
    await expect(migrateUp({ ...b.options, signal: AbortSignal.timeout(100) })).rejects.toThrow();
    expect((await migrationStatus(b.options)).current).toBe(1);
  });
});

describe('locks held by others', () => {
  const blockedBy = async (b: Bench): Promise<Awaited<ReturnType<typeof connect>>> => {
    await migrateUp({ ...b.options, to: 1 });
    const reader = await connect(b.db.adminUrl);
    await reader.query('begin; select count(*) from books');
    return reader;
  };

  test('it gives up after the lock timeout, so that others queue behind it no longer than that', async () => {
    await using b = await bench(THREE);
    await using _reader = await blockedBy(b);
    const started = performance.now();
    await expect(migrateUp({ ...b.options, lock: { attempts: 1 } })).rejects.toEqual(
      refusal(
        'LOCKED',
        /000002_titles\.up\.sql: no lock within 1000 ms, held by pid \d+ \(novax_admin.*gave up after 1 attempts/,
      ),
    );
    expect(performance.now() - started).toBeLessThan(1_900);
    expect((await migrationStatus(b.options)).current).toBe(1);
  });

  test('it tries again and succeeds once the lock is free', async () => {
    await using b = await bench(THREE);
    await using reader = await blockedBy(b);
    const freed = new Promise<void>((resolve, reject) => {
      b.options.log = (line) => {
        b.log.push(line);
        if (line.includes('attempt 3')) reader.query('commit').then(() => resolve(), reject);
      };
    });
    expect((await migrateUp({ ...b.options, lock: { timeoutMs: 300, backoffMs: 20 } })).map((m) => m.version)).toEqual([
      2, 3,
    ]);
    await freed;
    expect(b.log.filter((line) => line.includes('no lock within 300 ms'))).toHaveLength(2);
    expect(b.log[2]).toMatch(/held by pid \d+/);
  });

  test('it holds no lock while it pauses', async () => {
    await using b = await bench(THREE);
    await using reader = await blockedBy(b);
    const counts: unknown[] = [];
    b.options.log = (line) => {
      if (line.includes('attempt 2')) void b.ask('select count(*)::int from books').then((n) => counts.push(n));
      if (line.includes('attempt 3')) void reader.query('commit');
    };
    await migrateUp({ ...b.options, lock: { timeoutMs: 100, backoffMs: 300 } });
    expect(counts).toEqual([0]);
  });
});
