/** The read lane against a real server: scope, isolation of pipelined reads, failure and recovery. */
import { openReadLane, type ReadLane } from '@novax/db/read-lane';
import { statement } from '@novax/db/statement';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';

let database: TestDatabase;
let admin: Client & AsyncDisposable;
const tenants = Array.from({ length: 50 }, () => ({ userId: randomUUID(), orgId: randomUUID() }));
const nobody = { userId: null, orgId: null };

const organizations = statement<{ id: string; name: string }>(
  'test_organizations',
  'select id, name from organizations order by id',
);
const slowly = statement<{ slept: string }>('test_sleep', 'select pg_sleep($1::float8)::text as slept');
const divide = statement<{ quotient: number }>('test_divide', 'select 1 / $1::int as quotient');
/** The cast loads the extension, which the setting belongs to. */
const setting = statement<{ value: string }>(
  'test_setting',
  `select current_setting('hnsw.ef_search') as value from (select '[1]'::vector) loaded`,
);
const scope = statement<{ who: string; org: string }>(
  'test_scope',
  `select current_setting('app.current_user_id', true) as who, current_setting('app.current_org_id', true) as org`,
);
const backend = statement<{ pid: number }>('test_backend', 'select pg_backend_pid() as pid');

function lane(options: Partial<Parameters<typeof openReadLane>[0]> = {}): ReadLane & AsyncDisposable {
  const opened = openReadLane({ url: database.url('novax_api'), ...options });
  return Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close() });
}

beforeAll(async () => {
  database = await testDatabase();
  admin = await connect(database.adminUrl);
  await admin.query('begin');
  for (const [n, { userId, orgId }] of tenants.entries()) {
    await admin.query(
      `insert into users (id, email, email_normalized, username, username_normalized, password_hash) values ($1, $2, $2, $3, $3, 'x')`,
      [userId, `u${n}@example.test`, `u${n}`],
    );
    await admin.query('insert into organizations (id, name, slug, owner_id) values ($1, $2, $2, $3)', [
      orgId,
      `org-${n}`,
      userId,
    ]);
    await admin.query(`insert into org_members (org_id, user_id, role) values ($1, $2, 'owner')`, [orgId, userId]);
  }
  await admin.query('commit');
});
afterAll(async () => {
  await admin.end();
  await database[Symbol.asyncDispose]();
});

test('a read without a person sees nothing', async () => {
  await using reads = lane();
  expect(await reads.read(nobody, organizations, [])).toEqual([]);
  expect(await reads.read({ userId: '', orgId: null }, organizations, [])).toEqual([]);
});

test('a person who is no id makes an error, never rows', async () => {
  await using reads = lane();
  for (const userId of [
    "' or true --",
    'x',
    '00000000-0000-0000-0000-00000000000g',
    `${tenants[0]?.userId},${tenants[1]?.userId}`,
  ]) {
    await expect(reads.read({ userId, orgId: null }, organizations, [])).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    });
  }
});

test('a scope that cannot be set runs no statement', async () => {
  await using reads = lane();
  await admin.query(
    'create table probe_runs (at timestamptz default now()); create function probe_run() returns int language plpgsql security definer as $$ begin insert into probe_runs default values; return 1; end $$',
  );
  const probe = statement<{ one: number }>('test_probe', 'select probe_run() as one');
  await expect(reads.read({ userId: 'a\0b', orgId: null }, probe, [])).rejects.toMatchObject({ name: 'AppError' });
  expect((await admin.query('select * from probe_runs')).rowCount).toBe(0);
});

test.each([1, 2])(
  '2,000 interleaved reads of 50 tenants over %i sockets answer each tenant its own rows alone',
  async (sockets) => {
    await using reads = lane({ sockets, inFlightMax: 5_000 });
    const answers = await Promise.all(
      Array.from({ length: 2_000 }, async (_, n) => {
        const tenant = tenants[(n * 7) % tenants.length];
        if (tenant === undefined) throw new Error('no tenant');
        // Every twentieth read fails in the middle of the others.
        if (n % 20 === 0)
          await expect(reads.read({ userId: tenant.userId, orgId: null }, divide, [0])).rejects.toThrow();
        const rows = await reads.read(
          { userId: tenant.userId, orgId: n % 3 === 0 ? tenant.orgId : null },
          organizations,
          [],
        );
        return rows.length === 1 && rows[0]?.id === tenant.orgId;
      }),
    );
    expect(answers.filter((own) => !own)).toEqual([]);
  },
);

test('the organization narrows a person to it, and one that is not theirs leaves nothing', async () => {
  await using reads = lane();
  const [first, second] = tenants;
  if (first === undefined || second === undefined) throw new Error('no tenants');
  expect(await reads.read(first, organizations, [])).toMatchObject([{ id: first.orgId }]);
  expect(await reads.read({ userId: first.userId, orgId: second.orgId }, organizations, [])).toEqual([]);
});

test('a read that fails disturbs neither the one before nor the one after it', async () => {
  await using reads = lane({ sockets: 1 });
  const [tenant] = tenants;
  if (tenant === undefined) throw new Error('no tenant');
  const outcomes = await Promise.allSettled([
    reads.read(tenant, organizations, []),
    reads.read(tenant, divide, [0]),
    reads.read(tenant, organizations, []),
    reads.read(tenant, statement('test_broken', 'select no_such_column'), []),
    reads.read(tenant, divide, [1]),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']);
  expect(outcomes[4]).toMatchObject({ value: [{ quotient: 1 }] });
});

test('a statement past its time is a TIMEOUT, and the next read on the socket is served', async () => {
  await using reads = lane({ sockets: 1, statementTimeoutMs: 100 });
  const [slow, next] = await Promise.allSettled([reads.read(nobody, slowly, [5]), reads.read(nobody, divide, [1])]);
  expect(slow).toMatchObject({ reason: { code: 'TIMEOUT' } });
  expect(next).toMatchObject({ value: [{ quotient: 1 }] });
});

test('a connection that the server ends is made anew, and reads go on', async () => {
  await using reads = lane({ sockets: 1 });
  const pids = new Set<number>();
  for (let round = 0; round < 3; round++) {
    const [row] = await eventually(() => reads.read(nobody, backend, []));
    if (row === undefined) throw new Error('no row');
    pids.add(row.pid);
    await admin.query('select pg_terminate_backend($1)', [row.pid]);
    await eventually(async () =>
      expect((await admin.query('select from pg_stat_activity where pid = $1', [row.pid])).rowCount).toBe(0),
    );
  }
  expect(pids.size).toBe(3);
});

test('reads in flight when the connection dies are answered all the same', async () => {
  await using reads = lane({ sockets: 1, statementTimeoutMs: 10_000 });
  const [row] = await reads.read(nobody, backend, []);
  const inFlight = Promise.all([
    reads.read(nobody, slowly, [0.3]),
    ...Array.from({ length: 20 }, () => reads.read(nobody, divide, [1])),
  ]);
  await eventually(async () =>
    expect(
      (
        await admin.query(
          `select from pg_stat_activity where pid = $1 and query like '%pg_sleep%' and state = 'active'`,
          [row?.pid],
        )
      ).rowCount,
    ).toBe(1),
  );
  await admin.query('select pg_terminate_backend($1)', [row?.pid]);
  expect((await inFlight).slice(1)).toEqual(Array.from({ length: 20 }, () => [{ quotient: 1 }]));
});

test('settings of one statement and the scope of one read are gone at the next', async () => {
  await using reads = lane({ sockets: 1 });
  const [tenant] = tenants;
  if (tenant === undefined) throw new Error('no tenant');
  const before = await reads.read(tenant, setting, []);
  expect(before).toEqual([{ value: '40' }]);
  const tuned = { ...setting, name: 'test_setting_tuned', settings: { 'hnsw.ef_search': '321' } };
  const [during, after] = await Promise.all([reads.read(tenant, tuned, []), reads.read(nobody, setting, [])]);
  expect(during).toEqual([{ value: '321' }]);
  expect(after).toEqual(before);
  expect(await reads.read(nobody, scope, [])).toEqual([{ who: '', org: '' }]);
});

test('a lane that has too much in flight refuses, and serves again afterwards', async () => {
  await using reads = lane({ sockets: 1, inFlightMax: 10 });
  await reads.read(nobody, divide, [1]);
  const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => reads.read(nobody, divide, [1])));
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'DEPENDENCY_UNAVAILABLE' } });
  expect(await reads.read(nobody, divide, [1])).toEqual([{ quotient: 1 }]);
});

test('a closed lane refuses instead of hanging', async () => {
  const reads = openReadLane({ url: database.url('novax_api') });
  await reads.read(nobody, divide, [1]);
  await reads.close();
  await expect(reads.read(nobody, divide, [1])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
});

test('a server that falls silent fails the read within the time limit, and the lane serves again when it is back', async () => {
  await using proxy = await tcpProxy(database.url('novax_api'));
  await using reads = lane({ url: proxy.url, sockets: 1, statementTimeoutMs: 300 });
  expect(await reads.read(nobody, divide, [1])).toEqual([{ quotient: 1 }]);
  proxy.stall();
  const started = performance.now();
  await expect(reads.read(nobody, divide, [1])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  expect(performance.now() - started).toBeLessThan(12_000);
  proxy.mend();
  await eventually(async () => expect(await reads.read(nobody, divide, [1])).toEqual([{ quotient: 1 }]));
});

test('a prepared statement whose result type changed is prepared again under the caller’s feet', async () => {
  await using reads = lane({ sockets: 1 });
  await admin.query('create table public.changing (value int); grant select on public.changing to novax_api');
  const whole = statement<{ value: string | number }>('test_changing', 'select * from public.changing');
  await admin.query('insert into public.changing values (1)');
  expect(await reads.read(nobody, whole, [])).toEqual([{ value: 1 }]);
  await admin.query('alter table public.changing alter column value type varchar');
  expect(await reads.read(nobody, whole, [])).toEqual([{ value: '1' }]);
});
