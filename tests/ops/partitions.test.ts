/** `novax partitions` against a real database. */
import { expect, test } from 'vitest';
import { runway } from '../../apps/ops/src/partitions/partitions.ts';
import { connect, testDatabase } from '../kit/database.ts';
import { addressesOf, novax } from './run-novax.ts';

interface Listed {
  tables: {
    table: string;
    runwayDays: number;
    partitions: { name: string; from: string | null; to: string | null; bytes: number }[];
    default: { rows: number; exact: boolean } | null;
  }[];
  troubles: string[];
}
const thisMonth = new Date().toISOString().slice(0, 7);

test('a fresh database lists every kept table with its months, and has no trouble', async () => {
  await using db = await testDatabase();
  const { code, stdout } = await novax('partitions list --check -o json', addressesOf(db));
  // Printed by the command under test.
  const { tables, troubles } = JSON.parse(stdout) as Listed;
  expect({ code, troubles }).toEqual({ code: 0, troubles: [] });
  expect(tables.map(({ table }) => table)).toEqual([
    'audit_log',
    'events_published',
    'inbox',
    'metric_samples',
    'usage_samples',
    'webhook_deliveries',
  ]);
  for (const { runwayDays, partitions, default: rest } of tables) {
    expect(runwayDays).toBeGreaterThan(88);
    expect(partitions[0]?.from).toBe(`${thisMonth}-01T00:00:00.000Z`);
    expect(rest).toMatchObject({ rows: 0, exact: true });
  }
});

test('rows in a DEFAULT are counted exactly and named; --check exits 1; ensure moves those of a coming month', async () => {
  await using db = await testDatabase();
  await using admin = await connect(db.adminUrl);
  await admin.query(`insert into public.audit_log (actor_type, action, entity_type, entity_id, created_at)
                     select 'system', 'access', 'x', gen_random_uuid(), date_trunc('month', now()) + interval '5 months 3 days' from generate_series(1, 7)`);
  const before = await novax('partitions list --check', addressesOf(db));
  expect(before.code).toBe(1);
  expect(before.stderr).toContain('audit_log: 7 rows in audit_log_default');
  expect((await novax('partitions list', addressesOf(db))).code).toBe(0);

  const ensured = await novax('partitions ensure --months 6 -o json', addressesOf(db));
  expect(ensured.code).toBe(0);
  // Printed by the command under test.
  const { created } = JSON.parse(ensured.stdout) as { created: { table: string; partition: string }[] };
  expect(created).toHaveLength(18);
  expect((await novax('partitions list --check', addressesOf(db))).code).toBe(0);
  expect((await admin.query('select from only public.audit_log_default')).rowCount).toBe(0);
  expect((await admin.query('select from public.audit_log')).rowCount).toBe(7);
  expect((await novax('partitions ensure --months 6', addressesOf(db))).stdout).toMatch(/^0 partitions made/m);
});

test('the migrator may keep partitions where no worker is known, and a role that sees no rows says that it estimates', async () => {
  await using db = await testDatabase();
  const { DATABASE_MIGRATOR_URL } = addressesOf(db);
  expect((await novax('partitions ensure', { DATABASE_MIGRATOR_URL })).code).toBe(0);
  // Printed by the command under test.
  const { tables } = JSON.parse((await novax('partitions list -o json', { DATABASE_MIGRATOR_URL })).stdout) as Listed;
  expect(tables.every((table) => table.default?.exact === false)).toBe(true);
});

test('a month count that is none is refused with exit 2, an unmigrated database with exit 1', async () => {
  await using db = await testDatabase({ migrated: false });
  expect((await novax('partitions ensure --months many', addressesOf(db))).code).toBe(2);
  expect((await novax('partitions list', addressesOf(db))).code).toBe(1);
  expect((await novax('partitions list', {})).stderr).toContain('npx novax up');
});

test('runway ends at the first gap', () => {
  const month = (from: string, to: string) => ({ from: `${from}-01T00:00:00.000Z`, to: `${to}-01T00:00:00.000Z` });
  const now = Date.UTC(2026, 0, 31, 12);
  expect(runway([month('2026-02', '2026-03'), month('2026-01', '2026-02'), month('2026-04', '2026-05')], now)).toBe(28);
  expect(runway([month('2026-02', '2026-03')], now)).toBe(0);
  expect(runway([{ from: null, to: null }], now)).toBe(0);
});
