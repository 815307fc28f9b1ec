/** Sealing under load: one linear chain per organization, every committed row once, at most a moment behind, at next to no cost. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { startTrail } from '../kit/trail.ts';

const writers = 50;
const rowsEach = 200;

test('50 writers, 10 organizations, rollbacks and open transactions: one linear chain each, every committed row under one seal', async () => {
  await using trail = await startTrail(10);
  const { admin, organizations } = trail;
  await using first = await connect(trail.database.url('novax_worker'));
  await using second = await connect(trail.database.url('novax_worker'));
  // One transaction that stays open over all sealing so far and commits at the end, one that never does.
  await trail.write(first, { orgId: organizations[0] ?? '', end: 'open' });
  let writing = true;
  let [sealedMeanwhile, runs, rolledBack, seed] = [0, 0, 0, 1];
  const chance = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const sealing = (async () => {
    while (writing) {
      sealedMeanwhile += await trail.seal(500);
      runs += 1;
      await turn();
    }
  })();
  const started = performance.now();
  const write = async (n: number): Promise<void> => {
    await using client = await connect(trail.database.url('novax_worker'));
    for (let left = rowsEach; left > 0;) {
      const count = Math.min(left, 1 + Math.floor(chance() * 3));
      const orgId = organizations[Math.floor(chance() * organizations.length)] ?? '';
      const end = chance() < 0.3 ? 'rollback' : 'commit';
      await trail.write(client, { orgId, count, end: 'open' });
      if (chance() < 0.2) await turn();
      await client.query(end);
      if (end === 'rollback') rolledBack += 1;
      left -= count;
      if (n === 7 && left === 100) await trail.write(second, { orgId: organizations[1] ?? '', end: 'open' });
      if (n === 3 && left < 100 && left + count >= 100) await first.query('commit');
    }
  };
  // Forty at a time: the server's connections are shared with others.
  const queue = Array.from({ length: writers }, (_, n) => n);
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      for (let n = queue.shift(); n !== undefined; n = queue.shift()) await write(n);
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  writing = false;
  await sealing;
  await first.query('commit');
  await second.query('rollback');
  await trail.sealAll();
  const { rows: facts } = await admin.query(
    `select (select count(*)::int from audit_log) as rows,
            (select count(*)::int from (select unnest(row_ids) from audit_seals) s) as sealed,
            (select count(distinct (a.id))::int from audit_log a join (select chain, unnest(row_ids) as id from audit_seals) s
                on s.id = a.id and s.chain = a.org_id::text) as covered,
            (select count(*)::int from audit_seals) as seals,
            (select count(*)::int from (select previous_hash from audit_seals group by chain, previous_hash having count(*) > 1) f) as forks`,
  );
  const { rows, sealed, covered, seals, forks } = facts[0];
  const verdicts = await trail.verify();
  process.stdout.write(
    `audit chains: ${rows} rows committed by ${writers} writers (${rolledBack} transactions rolled back) at ${Math.round(rows / seconds)} rows/s, ${sealedMeanwhile} sealed meanwhile in ${runs} runs; ${seals} seals, ${forks} forks\n`,
  );
  expect([...verdicts.values()].filter(({ firstBroken }) => firstBroken !== null)).toEqual([]);
  expect(verdicts.size).toBe(10);
  expect({ sealed, covered, forks }).toEqual({ sealed: rows, covered: rows, forks: 0 });
  expect([...verdicts.values()].reduce((sum, { entries }) => sum + entries, 0)).toBe(rows);
  expect(sealedMeanwhile).toBeGreaterThan(0);
}, 180_000);

test('a row whose transaction is open is not sealed past, and with nothing to seal nothing is written', async () => {
  await using trail = await startTrail(2);
  const [one = '', two = ''] = trail.organizations;
  await using slow = await connect(trail.database.url('novax_worker'));
  await using quick = await connect(trail.database.url('novax_worker'));
  await trail.write(slow, { orgId: one, end: 'open' });
  await trail.write(quick, { orgId: two });
  expect(await trail.seal()).toBe(0);
  await slow.query('commit');
  await trail.sealAll();
  const { rows } = await trail.admin.query('select row_ids from audit_seals order by chain = $1 desc', [one]);
  expect(rows.map(({ row_ids }) => row_ids)).toEqual([['1'], ['2']]);
  const before = await trail.admin.query('select pg_current_xact_id() as xact');
  for (let run = 0; run < 20; run += 1) await trail.seal();
  const changed = await trail.admin.query(
    `select (select count(*)::int from audit_seals where xmin::text::bigint >= $1::bigint) +
            (select count(*)::int from audit_horizon where xmin::text::bigint >= $1::bigint) as n`,
    [before.rows[0].xact],
  );
  expect(changed.rows[0].n).toBe(0);
});

test('sealed rows that move from the DEFAULT partition into their month keep their seals', async () => {
  await using trail = await startTrail(1);
  const [orgId = ''] = trail.organizations;
  await trail.admin.query(
    `insert into audit_log (org_id, actor_type, action, entity_type, entity_id, created_at)
     select $1, 'system', 'update', 'x', gen_random_uuid(), date_trunc('month', now()) + make_interval(months => n) - interval '1 microsecond' * (n % 2)
       from generate_series(1, 8) n`,
    [orgId],
  );
  await trail.sealAll();
  const inDefault = async () => (await trail.admin.query('select from only audit_log_default')).rowCount;
  expect(await inDefault()).toBeGreaterThan(0);
  await trail.admin.query('select private.ensure_partitions(12)');
  expect(await inDefault()).toBe(0);
  expect((await trail.verify()).get(orgId)).toMatchObject({ entries: 8, pending: 0, firstBroken: null });
});

test('two sealers at once make one chain', async () => {
  await using trail = await startTrail(3);
  await using client = await connect(trail.database.url('novax_worker'));
  for (let n = 0; n < 60; n += 1) {
    await trail.write(client, { orgId: trail.organizations[n % 3] ?? '' });
    if (n % 4 === 0) await Promise.all([trail.seal(2), trail.seal(2), trail.seal(2)]);
  }
  await trail.sealAll(2);
  const verdicts = await trail.verify();
  expect([...verdicts.values()].map(({ firstBroken, entries }) => [firstBroken, entries])).toEqual([
    [null, 20],
    [null, 20],
    [null, 20],
  ]);
});

test('a sealer that dies between looking and storing leaves everything to the next one', async () => {
  await using trail = await startTrail(1);
  await using client = await connect(trail.database.url('novax_worker'));
  await trail.write(client, { orgId: trail.organizations[0] ?? '', count: 5 });
  await client.query('begin');
  const settled = await eventually(async () => {
    const { rows } = await client.query('select from private.audit_settled(100)');
    expect(rows).toHaveLength(1);
    return rows;
  });
  expect(settled).toHaveLength(1);
  // While it holds the lock, others find nothing.
  expect(await trail.seal()).toBe(0);
  await client.query('rollback');
  await trail.sealAll();
  expect((await trail.verify()).get(trail.organizations[0] ?? '')).toMatchObject({
    seals: 1,
    entries: 5,
    firstBroken: null,
  });
});
