/** `novax migrate` against a real server. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LOGIN_ROLES, withDatabase } from '@novax/db/bootstrap';
import { dumpSchema } from '@novax/db/migrations/dump';
import { expect, test } from 'vitest';
import { connect, MIGRATIONS_DIR, TEST_PASSWORD, testAdminUrl, testDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { startProcess } from '../kit/faults/processes.ts';
import { addressesOf, novax } from './run-novax.ts';

/** Addresses of a database that does not exist yet; dropped afterwards. */
function absentDatabase() {
  const name = `novax_test_up_${randomBytes(4).toString('hex')}`;
  const adminUrl = withDatabase(testAdminUrl(), name);
  const url = (role: string): string => {
    const target = new URL(adminUrl);
    target.username = role;
    target.password = TEST_PASSWORD;
    return target.href;
  };
  return {
    name,
    adminUrl,
    env: { ...addressesOf({ url }), DATABASE_ADMIN_URL: testAdminUrl(), NOVAX_HYPERTABLES: 'off' },
    [Symbol.asyncDispose]: async () => {
      await using maintenance = await connect(withDatabase(testAdminUrl(), 'postgres'));
      await maintenance.query(`drop database if exists "${name}" with (force)`);
    },
  };
}

test('up on a server without the database makes it, its roles sign in, and a second run changes nothing', async () => {
  await using db = absentDatabase();
  const first = await novax('migrate up -o json', db.env);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  // Printed by the command under test.
  const { applied, bootstrapped } = JSON.parse(first.stdout) as {
    applied: { version: number }[];
    bootstrapped: boolean;
  };
  expect(bootstrapped).toBe(true);
  expect(applied.map(({ version }) => version)).toEqual(applied.map((_, index) => index + 1));
  expect(applied.length).toBeGreaterThan(15);
  for (const role of LOGIN_ROLES) {
    const target = new URL(db.adminUrl);
    target.username = role;
    target.password = TEST_PASSWORD;
    await using client = await connect(target.href);
    expect((await client.query('select session_user as user')).rows).toEqual([{ user: role }]);
  }
  const again = await novax('migrate up', db.env);
  expect(again.code).toBe(0);
  expect(again.stderr).toContain('nothing was missing');
}, 60_000);

test('without an administrator it migrates what exists, and says what it took for granted', async () => {
  await using db = await testDatabase({ migrated: false });
  const { code, stderr } = await novax('migrate up', addressesOf(db));
  expect(code).toBe(0);
  expect(stderr).toContain('DATABASE_ADMIN_URL is not set');
  expect((await novax('migrate status', addressesOf(db))).stdout).toMatch(/version (\d+) of \1\n/);
}, 60_000);

test('down needs --steps, and --yes off a terminal; what it reverts, plan names and up applies again', async () => {
  await using db = await testDatabase();
  const env = addressesOf(db);
  expect((await novax('migrate down', env)).code).toBe(2);
  expect((await novax('migrate down --steps 0 --yes', env)).code).toBe(2);
  const asked = await novax('migrate down --steps 2', env);
  expect(asked.code).toBe(2);
  expect(asked.stderr).toMatch(/reverting 2 migrations \(.+, .+\) loses what they stored[^]*--yes/);
  expect((await novax('migrate plan -o json', env)).stdout).toContain('"plan": []');
  const down = await novax('migrate down --steps 2 --yes -o json', env);
  // Printed by the command under test.
  const { reverted } = JSON.parse(down.stdout) as { reverted: { version: number; name: string }[] };
  expect(reverted).toHaveLength(2);
  // Printed by the command under test.
  const { plan } = JSON.parse((await novax('migrate plan -o json', env)).stdout) as { plan: { version: number }[] };
  expect(plan.map(({ version }) => version)).toEqual(reverted.map(({ version }) => version).reverse());
  expect((await novax('migrate status', env)).stdout).toMatch(/pending/);
  expect((await novax('migrate up', env)).code).toBe(0);
}, 60_000);

test.each([
  // Told to stop it rolls back and says so; killed, it leaves the rolling back to the server.
  ['SIGTERM', 130],
  ['SIGKILL', 'SIGKILL'],
] as const)(
  '%s in the middle of a file: nothing of it is applied, and the next run finishes',
  async (signal, how) => {
    await using db = await testDatabase({ migrated: false });
    const env = addressesOf(db);
    expect((await novax('migrate up --to 5', env)).code).toBe(0);
    await using admin = await connect(db.adminUrl);
    await admin.query('begin; lock table public.organizations in access exclusive mode');
    {
      await using migrate = await startProcess({
        script: 'apps/ops/src/main.ts',
        args: ['migrate', 'up'],
        env: { ...env, NOVAX_DIR: '/nonexistent/novax' },
        ready: /taken to exist/,
      });
      await using watcher = await connect(db.adminUrl);
      await eventually(
        async () => {
          const { rows } = await watcher.query(
            `select from pg_stat_activity where application_name = 'novax-migrate' and wait_event_type = 'Lock' and datname = current_database()`,
          );
          expect(rows).toHaveLength(1);
        },
        { timeoutMs: 20_000 },
      );
      const started = performance.now();
      migrate.signal(signal);
      expect(await migrate.ended).toBe(how);
      expect(performance.now() - started).toBeLessThan(3_000);
    }
    await admin.query('rollback');
    const { rows } = await admin.query('select version::int, dirty from public.schema_migrations');
    expect(rows[0]).toMatchObject({ dirty: false });
    expect(rows[0].version).toBeGreaterThanOrEqual(5);
    expect((await novax('migrate up', env)).code).toBe(0);
    expect((await novax('migrate status', env)).code).toBe(0);
    expect(await dumpSchema(db.adminUrl)).toBe(await readFile(join(MIGRATIONS_DIR, 'schema.sql'), 'utf8'));
  },
  60_000,
);

test('status exits 1 on a dirty database, up refuses it and names force, force mends it', async () => {
  await using db = await testDatabase();
  const env = addressesOf(db);
  await using admin = await connect(db.adminUrl);
  await admin.query('update public.schema_migrations set dirty = true');
  const { rows } = await admin.query<{ version: string }>('select version from public.schema_migrations');
  expect((await novax('migrate status', env)).code).toBe(1);
  const refused = await novax('migrate up', env);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('novax migrate force');
  expect((await novax('migrate force twelve', env)).code).toBe(2);
  expect((await novax('migrate force 999', env)).code).toBe(1);
  expect((await novax(`migrate force ${rows[0]?.version}`, env)).code).toBe(0);
  expect((await novax('migrate status', env)).code).toBe(0);
}, 60_000);

test('lint passes the files and the schema they make, and fails on a table without policies', async () => {
  await using db = await testDatabase();
  const env = addressesOf(db);
  const clean = await novax('migrate lint', env);
  expect(clean.stdout).toMatch(/files: clean\ncatalogue: 0 findings/);
  expect(clean.code).toBe(0);
  await using admin = await connect(db.adminUrl);
  await admin.query('create table public.open_to_all (id uuid primary key)');
  const dirty = await novax('migrate lint -o json', env);
  expect(dirty.code).toBe(1);
  expect(dirty.stdout).toContain('public.open_to_all');
}, 60_000);

test('with no database anywhere, lint looks at the files alone, and every other verb says how to start', async () => {
  expect((await novax('migrate lint', {})).stdout).toContain('catalogue: not checked');
  for (const verb of ['up', 'status', 'plan', 'down --steps 1 --yes', 'force 1']) {
    const { code, stderr } = await novax(`migrate ${verb}`, {});
    expect({ verb, code }).toEqual({ verb, code: 1 });
    expect(stderr).toContain('npx novax up');
  }
}, 60_000);
