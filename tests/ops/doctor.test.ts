/** The doctor against real servers: healthy ones pass, and each thing broken on purpose is named with its mend. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runChecks } from '../../apps/ops/src/doctor/check.ts';
import type { Finding } from '../../apps/ops/src/doctor/check.ts';
import { judgeDisk, judgeNode } from '../../apps/ops/src/doctor/host-checks.ts';
import { judgeClock, judgeServerVersion, judgeVector } from '../../apps/ops/src/doctor/server-checks.ts';
import { connect, type TestDatabase, testDatabase } from '../kit/database.ts';
import { servers } from '../kit/servers.ts';
import { addressesOf, novax } from './run-novax.ts';

let db: TestDatabase;
let storage: string;
let env: Record<string, string>;

beforeAll(async () => {
  db = await testDatabase();
  storage = await mkdtemp(join(tmpdir(), 'novax-doctor-'));
  const { queueRedisUrl, cacheRedisUrl, natsUrl } = servers();
  env = {
    ...addressesOf(db),
    QUEUE_REDIS_URL: queueRedisUrl,
    CACHE_REDIS_URL: cacheRedisUrl,
    NATS_URL: natsUrl,
    STORAGE_DRIVER: 'fs',
    STORAGE_DIR: storage,
  };
});
afterAll(async () => {
  await rm(storage, { recursive: true, force: true });
  await db[Symbol.asyncDispose]();
});

interface Report {
  healthy: boolean;
  failures: number;
  findings: Finding[];
}

async function doctor(
  overrides: Record<string, string | undefined> = {},
): Promise<Report & { code: number; of: (name: string) => Finding }> {
  const { code, stdout } = await novax('doctor -o json', { ...env, ...overrides });
  // Printed by the command under test.
  const report = JSON.parse(stdout) as Report;
  return {
    ...report,
    code,
    of: (name) =>
      report.findings.find((finding) => finding.name === name) ?? expect.fail(`no finding named ${name}: ${stdout}`),
  };
}

test('servers as they must be have no failure, and every part is looked at', async () => {
  const report = await doctor();
  expect(report.findings.filter(({ status }) => status === 'fail')).toEqual([]);
  expect(report).toMatchObject({ code: 0, healthy: true });
  for (const name of [
    'node',
    'storage',
    'disk',
    'postgresql',
    'vector',
    'timescaledb',
    'pg_stat_statements',
    'role novax_api',
    'role novax_definer',
    'DATABASE_BACKUP_URL',
    'migrations',
    'policies',
    'partitions',
    'default partitions',
    'outbox',
    'dead letters',
    'queue server',
    'cache server',
    'nats',
    'clock postgresql',
    'clock queue server',
  ])
    report.of(name);
  expect(await readdir(storage)).toEqual([]);
  const { stdout } = await novax('doctor', env);
  expect(stdout).toMatch(/^ok {4}migrations +version \d+$/m);
});

test('settings are printed without a password in them', async () => {
  const { stdout } = await novax('doctor --env', {
    ...env,
    DATABASE_URL: env['DATABASE_URL']?.replace('novax-test@', 'hunter2@'),
  });
  expect(stdout).toMatch(/DATABASE_URL +postgresql:\/\/novax_api:\*\*\*@/);
  expect(stdout).not.toMatch(/hunter2|novax-test@/);
});

test('where nothing runs it says so, how to start, and exits 1', async () => {
  const { code, stdout } = await novax('doctor', {});
  expect(code).toBe(1);
  expect(stdout).toMatch(/FAIL +stack +nothing is running here.*→ start with: npx novax up/);
});

test('a setting that cannot be read is a finding, not a crash', async () => {
  const { code, stdout } = await novax('doctor', { DATABASE_URL_FILE: '/nonexistent/url' });
  expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining('DATABASE_URL_FILE') });
});

test('a secret may come from a file', async () => {
  const file = join(storage, 'migrator-url');
  await writeFile(file, `${db.url('novax_migrator')}\n`);
  const report = await doctor({ DATABASE_MIGRATOR_URL: undefined, DATABASE_MIGRATOR_URL_FILE: file });
  await rm(file);
  expect(report.of('DATABASE_MIGRATOR_URL').status).toBe('ok');
});

describe('each thing broken on purpose is named', () => {
  /** Breaks a database of its own by `sql`, as superuser. */
  async function broken(sql: string): Promise<Awaited<ReturnType<typeof doctor>>> {
    await using own = await testDatabase();
    {
      await using admin = await connect(own.adminUrl);
      await admin.query(sql);
    }
    // Awaited here: the database goes with this scope.
    return await doctor(addressesOf(own));
  }
  const cases: readonly (readonly [
    what: string,
    sql: string,
    name: string,
    status: Finding['status'],
    found: RegExp,
  ])[] = [
    [
      'a runtime role that owns a table',
      'create table public.mine (id uuid primary key); alter table public.mine owner to novax_api',
      'role novax_api',
      'fail',
      /owns 1 tables or views/,
    ],
    [
      'row-level security not forced',
      'alter table public.documents no force row level security',
      'policies',
      'fail',
      /public\.documents/,
    ],
    [
      'a policy dropped with the whole table open',
      'alter table public.audit_log_default disable row level security',
      'policies',
      'fail',
      /audit_log_default/,
    ],
    ['a dirty migration', 'update public.schema_migrations set dirty = true', 'migrations', 'fail', /dirty/],
    [
      'an edited migration',
      `update public.schema_migration_files set sha256 = repeat('0', 64) where version = 1`,
      'migrations',
      'fail',
      /edited .*schemas/,
    ],
    [
      'a migration missing',
      'update public.schema_migrations set version = version - 1',
      'migrations',
      'fail',
      /version \d+ of \d+/,
    ],
    [
      'a migration of a later release',
      'update public.schema_migrations set version = 999',
      'migrations',
      'fail',
      /this release knows/,
    ],
    [
      'a row that no month fits',
      `insert into public.audit_log (actor_type, action, entity_type, entity_id, created_at) values ('system', 'access', 'x', gen_random_uuid(), '2001-01-01')`,
      'default partitions',
      'warn',
      /1 in audit_log_default/,
    ],
    [
      'partitions that end this month',
      `do $$ declare p text; begin for p in select c.relname from pg_class c where c.relname ~ '^inbox_\\d{4}_\\d{2}$' and c.relname > to_char(now() at time zone 'UTC', '"inbox_"YYYY_MM') loop execute 'drop table public.' || p; end loop; end $$`,
      'partitions',
      'warn',
      /inbox/,
    ],
    [
      'an event nobody relays',
      `insert into public.events (event_type, aggregate_type, aggregate_id, payload, actor_type, created_at) values ('user.registered', 'user', gen_random_uuid(), '{}', 'system', now() - interval '1 hour')`,
      'outbox',
      'warn',
      /1 wait, the oldest for 1 h/,
    ],
    [
      'a dead letter',
      `insert into public.dead_letters (source, name, dedupe_key, payload, error) values ('job', 'embed-document', 'a', '{}', 'boom')`,
      'dead letters',
      'warn',
      /1 wait/,
    ],
    ['vector missing', 'drop extension vector cascade', 'vector', 'fail', /not created/],
    ['an empty database', 'drop schema public cascade; create schema public', 'partitions', 'fail', /there are none/],
  ];
  test.each(cases)('%s', async (_what, sql, name, status, found) => {
    const finding = (await broken(sql)).of(name);
    expect(finding).toMatchObject({ status, found: expect.stringMatching(found) });
    expect(finding.mend).not.toBe('');
    expect(finding.mend).toBeDefined();
  });

  test('an address that signs in as the wrong role', async () => {
    expect((await doctor({ DATABASE_URL: db.url('novax_backup') })).of('DATABASE_URL')).toMatchObject({
      status: 'fail',
      found: 'signs in as novax_backup, not novax_api',
    });
  });

  test('the queue on a server that evicts and keeps no log', async () => {
    const report = await doctor({ QUEUE_REDIS_URL: servers().cacheRedisUrl });
    expect(report.of('queue server')).toMatchObject({
      status: 'fail',
      found: expect.stringContaining('allkeys-lru'),
      mend: expect.stringContaining('noeviction'),
    });
    expect(report.of('queue server log')).toMatchObject({ status: 'fail' });
    expect(report.code).toBe(1);
  });

  test('servers that are not there, or never answer: each a failure in its own line, all within seconds', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    // A TCP server's address is an object.
    const port = (silent.address() as AddressInfo).port;
    const began = performance.now();
    const report = await doctor({
      QUEUE_REDIS_URL: 'redis://127.0.0.1:1',
      CACHE_REDIS_URL: `redis://127.0.0.1:${port}`,
      NATS_URL: `nats://127.0.0.1:${port}`,
      DATABASE_AI_URL: `postgresql://novax_ai@127.0.0.1:${port}/x`,
      STORAGE_DIR: '/proc/nowhere',
    });
    silent.close();
    expect(performance.now() - began).toBeLessThan(20_000);
    for (const name of ['queue server', 'cache server', 'nats', 'DATABASE_AI_URL', 'storage'])
      expect(report.of(name), name).toMatchObject({ status: 'fail' });
    expect(report.of('migrations').status).toBe('ok');
  });
});

test('a check that throws or hangs is a finding, and at most three run at once', async () => {
  let running = 0;
  let most = 0;
  const slow = {
    name: 'slow',
    mend: 'wait',
    run: async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running -= 1;
      return [];
    },
  };
  const findings = await runChecks(
    [
      {
        name: 'throws',
        mend: 'a',
        run: () => {
          throw new Error('boom');
        },
      },
      { name: 'hangs', mend: 'b', run: () => new Promise(() => undefined) },
      ...Array.from({ length: 9 }, () => slow),
    ],
    { timeoutMs: 50 },
  );
  expect(findings).toEqual([
    { status: 'fail', name: 'throws', found: 'boom', mend: 'a' },
    { status: 'fail', name: 'hangs', found: 'no answer within 0.05 s', mend: 'b' },
  ]);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(3);
});

test('versions, clocks and disks are judged by their limits', () => {
  expect([150_012, 160_000, 170_009, 170_010, 180_000].map((number) => judgeServerVersion(number, '').status)).toEqual([
    'fail',
    'ok',
    'warn',
    'ok',
    'ok',
  ]);
  expect([null, '0.7.4', '0.8.0', '0.8.3', '0.8.4', '0.10.0'].map((version) => judgeVector(version).status)).toEqual([
    'fail',
    'fail',
    'warn',
    'warn',
    'ok',
    'ok',
  ]);
  expect(['22.9.0', '24.0.0', '25.1.0'].map((version) => judgeNode(version).status)).toEqual(['fail', 'ok', 'ok']);
  const clock = (theirs: number) => judgeClock('clock', { theirs, before: 10_000, after: 10_500 }).status;
  expect([7_999, 8_000, 10_200, 12_500, 12_501].map(clock)).toEqual(['fail', 'ok', 'ok', 'ok', 'fail']);
  const disk = (free: number) => judgeDisk('/', { free: free * 2 ** 30, total: 200 * 2 ** 30 }).status;
  expect([0.5, 5, 15, 50].map(disk)).toEqual(['fail', 'warn', 'ok', 'ok']);
});
