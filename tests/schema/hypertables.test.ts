/**
 * The measurements as hypertables: converted once, with their rows, keys, policies and grants; or left alone with the
 * reason.
 */
import { convertToHypertables } from '@novax/db/hypertables';
import { expect, test } from 'vitest';
import { connect, testAdminUrl, testDatabase } from '../kit/database.ts';
import { asking, ORG_A, ORG_B, run } from './faults/original.ts';

const preloaded = await run(
  testAdminUrl(),
  "select current_setting('shared_preload_libraries') ~ 'timescaledb' as yes",
);
const hasTimescale = preloaded[0]?.['yes'] === true;

const sample = (org: string): string =>
  `insert into usage_samples (org_id, metric, value, sampled_at) values ('${org}', 'documents', 1, now() - interval '3 days')`;

test.runIf(hasTimescale)('rows, keys, policies and grants survive, and a second run changes nothing', async () => {
  await using db = await testDatabase();
  await run(db.adminUrl, `${sample(ORG_A)}; ${sample(ORG_B)}`);
  const shape = `select (select array_agg(pg_get_constraintdef(oid) order by conname)::text from pg_constraint where conrelid = 'usage_samples'::regclass and contype in ('p', 'c')) as keys,
    (select array_agg(indexname::text order by 1)::text from pg_indexes where tablename = 'usage_samples') as indexes,
    (select array_agg(row(policyname, roles, cmd, qual, with_check)::text order by 1)::text from pg_policies where tablename = 'usage_samples') as policies,
    (select relacl::text || relowner::regrole || relrowsecurity || relforcerowsecurity from pg_class where oid = 'usage_samples'::regclass) as security`;
  const before = await run(db.adminUrl, shape);
  expect(
    (await convertToHypertables({ adminUrl: db.adminUrl })).map(({ table, state, detail }) => [table, state, detail]),
  ).toEqual([
    ['usage_samples', 'converted', '2 rows moved'],
    ['metric_samples', 'converted', '0 rows moved'],
  ]);
  expect(await run(db.adminUrl, shape)).toEqual(before);
  expect(await run(db.adminUrl, 'select count(*)::int as n from usage_samples')).toEqual([{ n: 2 }]);
  const states = (await convertToHypertables({ adminUrl: db.adminUrl })).map(({ state }) => state);
  expect(states).toEqual(['already', 'already']);
});

test.runIf(hasTimescale)(
  'a worker adds to its own organization by function alone, and the keeper of partitions passes the table by',
  async () => {
    await using db = await testDatabase();
    await convertToHypertables({ adminUrl: db.adminUrl });
    const record = "select private.record_usage('documents', 2)";
    await run(db.url('novax_worker'), asking({ org: ORG_A }, `${record}; commit`));
    expect(await run(db.adminUrl, 'select org_id, value from usage_samples')).toEqual([{ org_id: ORG_A, value: 2 }]);
    const refused = expect.objectContaining({ code: '42501' });
    await expect(run(db.url('novax_worker'), asking({}, record))).rejects.toEqual(refused);
    await expect(run(db.url('novax_worker'), asking({ org: ORG_A }, sample(ORG_B)))).rejects.toEqual(refused);
    await expect(run(db.url('novax_api'), asking({ org: ORG_A }, 'select * from usage_samples'))).rejects.toEqual(
      expect.objectContaining({ code: '42501' }),
    );
    await using admin = await connect(db.adminUrl);
    const kept = await admin.query<{ parent: string }>('select distinct parent from private.ensure_partitions()');
    expect(kept.rows.map((row) => row.parent)).not.toContain('usage_samples');
    expect(kept.rows.map((row) => row.parent)).toContain('audit_log');
  },
);

test('a hypertable’s chunks stand past its policies, which is why no runtime role holds anything on one', async () => {
  await using db = await testDatabase();
  const holders = await run(
    db.adminUrl,
    `select grantee::regrole::text as role, c.relname, privilege_type from pg_class c, aclexplode(c.relacl) x where c.relname ~ '^(usage|metric)_samples'
        and grantee::regrole::text in ('novax_api', 'novax_worker', 'novax_ai', 'ai_agent_role', 'novax_readonly')`,
  );
  expect(holders).toEqual([]);
});

test.skipIf(hasTimescale)('without the extension the native partitions stay, and the reason is given', async () => {
  await using db = await testDatabase();
  for (const { state, detail } of await convertToHypertables({ adminUrl: db.adminUrl })) {
    expect(state).toBe('skipped');
    expect(detail).toMatch(/timescaledb is not/);
  }
});
