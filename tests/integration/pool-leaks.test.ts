/**
 * Fifty tenants on two connections: whatever breaks in the middle of one request, the next one on that connection sees
 * its own organization and nothing else.
 */
import { createDocument } from '@novax/domain/documents/commands';
import { openReadLane, type ReadLane } from '@novax/db/read-lane';
import { statement } from '@novax/db/statement';
import { type Database, openDatabase, type TenantContext, type TenantTx } from '@novax/db/tx';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson, type Person } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeOrganization, makeProject } from '../kit/factories.ts';
import { type Dice, diceOf } from '../kit/oracle/dice.ts';

const TENANTS = 50;
const REQUESTS = Number(process.env['NOVAX_POOL_REQUESTS'] ?? 10_000);
/** Requests in hand at once: many more than there are connections. */
const CLIENTS = 24;
const SEED = Number(process.env['NOVAX_ORACLE_SEED'] ?? Date.now() % 1_000_000_000);

interface Tenant {
  readonly userId: string;
  readonly orgId: string;
  readonly projectId: string;
  /** Begins every title of its documents, and no other tenant's. */
  readonly mark: string;
}

let api: TestApi;
let admin: Client & AsyncDisposable;
let tenants: Tenant[];

beforeAll(async () => {
  api = await startTestApi({ env: { DATABASE_POOL_MAX: 2 } });
  admin = await connect(api.database.adminUrl);
  const dice = diceOf(SEED);
  tenants = Array.from({ length: TENANTS }, (_, n) => ({
    userId: dice.uuid(),
    orgId: dice.uuid(),
    projectId: dice.uuid(),
    mark: `tenant-${n}:`,
  }));
  await admin.query('begin');
  for (const { userId, orgId, projectId, mark } of tenants) {
    await admin.query(
      `insert into users (id, email, email_normalized, username, username_normalized, password_hash) values ($1::uuid, 'a@b', $1, 'someone', $1, 'x')`,
      [userId],
    );
    await admin.query(`insert into organizations (id, name, slug, owner_id) values ($1::uuid, 'Org', $1, $2)`, [
      orgId,
      userId,
    ]);
    await admin.query(`insert into org_members (org_id, user_id, role) values ($1, $2, 'owner')`, [orgId, userId]);
    await admin.query(`insert into projects (id, org_id, name) values ($1, $2, 'Project')`, [projectId, orgId]);
    await admin.query(`insert into documents (org_id, project_id, author_id, title) values ($1, $2, $3, $4)`, [
      orgId,
      projectId,
      userId,
      `${mark} first`,
    ]);
  }
  await admin.query('commit');
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

interface Seen {
  readonly org_id: string;
  readonly title: string;
}
const titles = statement<Seen>('test_titles', 'select org_id, title from documents');
const backend = statement<{ pid: number }>('test_pid', 'select pg_backend_pid() as pid');
const slowly = statement<{ slept: string }>('test_slowly', 'select pg_sleep($1::float8)::text as slept');
const impatient = statement<{ ms: string }>(
  'test_impatient',
  `select set_config('statement_timeout', '5', true) as ms`,
);
const divide = statement<{ quotient: number }>('test_divide', 'select 1 / $1::int as quotient');

class Abort extends Error {}

/** What the requests came to: by kind and outcome; and every row that was not the asker's. */
interface Findings {
  readonly counts: Map<string, number>;
  readonly foreign: string[];
}

interface Doors {
  readonly db: Database;
  readonly lane: ReadLane;
  readonly findings: Findings;
}

/** Notes rows that are not the tenant's; a request that saw none of its own saw wrongly too. */
function judge({ foreign }: Findings, tenant: Tenant | undefined, rows: readonly Seen[]): void {
  for (const { org_id: org, title } of rows)
    if (org !== tenant?.orgId || !title.startsWith(tenant.mark))
      foreign.push(`${tenant?.mark ?? 'nobody'} saw ${title}`);
  if (tenant !== undefined && rows.length === 0) foreign.push(`${tenant.mark} saw nothing`);
}

const contextOf = ({ orgId, userId }: Tenant): TenantContext => ({
  orgId,
  actor: { type: 'user', userId },
  call: { requestId: null, ip: null, traceparent: null },
});

/** Reads one's own rows before, does something to the transaction, and reads again if that is still possible. */
function within(doors: Doors, tenant: Tenant, act: (tx: TenantTx) => Promise<unknown>): Promise<void> {
  return doors.db.tenant(contextOf(tenant), async (tx) => {
    judge(doors.findings, tenant, await tx.sql(titles, []));
    await act(tx);
    judge(doors.findings, tenant, await tx.sql(titles, []));
  });
}

/** Does something to a backend until the statement that it runs has failed. */
async function until(failed: Promise<unknown>, attack: () => Promise<unknown>): Promise<void> {
  let over = false;
  const settled = failed.then(
    () => void (over = true),
    (thrown: unknown) => {
      over = true;
      throw thrown;
    },
  );
  // Observed here too: the loop below may still be busy when it fails.
  settled.catch(() => undefined);
  await eventually(async () => {
    if (!over) await attack();
    if (!over) throw new Error('still running');
  });
  await settled;
}

type Request = (doors: Doors, tenant: Tenant, dice: Dice) => Promise<void>;
/** The requests, by what happens in them, and how often out of a thousand. */
const REQUESTS_BY_KIND: Readonly<Record<string, { readonly often: number; readonly run: Request }>> = {
  'lane read': {
    often: 480,
    run: async ({ lane, findings }, { userId, orgId, ...tenant }, dice) =>
      judge(
        findings,
        { userId, orgId, ...tenant },
        await lane.read({ userId, orgId: dice.once(2) ? orgId : null }, titles, []),
      ),
  },
  'lane read without a person': {
    often: 50,
    run: async ({ lane, findings }) =>
      judge(findings, undefined, await lane.read({ userId: null, orgId: null }, titles, [])),
  },
  'lane read in a foreign organization': {
    often: 50,
    run: async ({ lane, findings }, { userId }, dice) => {
      const other = dice.pick(tenants.filter((tenant) => tenant.userId !== userId));
      judge(findings, undefined, await lane.read({ userId, orgId: other.orgId }, titles, []));
    },
  },
  'lane error': {
    often: 50,
    run: async ({ lane }, { userId, orgId }) => void (await lane.read({ userId, orgId }, divide, [0])),
  },
  'lane time-out': {
    often: 2,
    run: async ({ lane }, { userId, orgId }) => void (await lane.read({ userId, orgId }, slowly, [5])),
  },
  'lane terminated': {
    often: 2,
    run: async ({ lane }, { userId, orgId }) => {
      const [row] = await lane.read({ userId, orgId }, backend, []);
      await admin.query('select pg_terminate_backend($1)', [row?.pid]);
    },
  },
  'transaction': { often: 200, run: (doors, tenant) => within(doors, tenant, async () => undefined) },
  'write': {
    often: 50,
    run: (doors, tenant) =>
      within(doors, tenant, async (tx) => {
        await createDocument(tx, {
          projectId: tenant.projectId,
          title: `${tenant.mark} written`,
          content: '',
          status: 'active',
        });
        await tx.flush();
      }),
  },
  'transaction without a person': {
    often: 30,
    run: ({ db, findings }) =>
      db.inSystem('a test', async (tx) => judge(findings, undefined, await tx.sql(titles, []))),
  },
  'abort': {
    often: 40,
    run: (doors, tenant) =>
      within(doors, tenant, async (tx) => {
        await createDocument(tx, {
          projectId: tenant.projectId,
          title: `${tenant.mark} aborted`,
          content: '',
          status: 'active',
        });
        throw new Abort('changed my mind');
      }),
  },
  'error': { often: 20, run: (doors, tenant) => within(doors, tenant, (tx) => tx.sql(divide, [0])) },
  'time-out': {
    often: 10,
    run: (doors, tenant) =>
      within(doors, tenant, async (tx) => {
        await tx.sql(impatient, []);
        await tx.sql(slowly, [5]);
      }),
  },
  'cancelled': {
    often: 8,
    run: (doors, tenant) =>
      within(doors, tenant, async (tx) => {
        const [row] = await tx.sql(backend, []);
        await until(tx.sql(slowly, [5]), () => admin.query('select pg_cancel_backend($1)', [row?.pid]));
      }),
  },
  'terminated': {
    often: 8,
    run: (doors, tenant) =>
      within(doors, tenant, async (tx) => {
        const [row] = await tx.sql(backend, []);
        await until(tx.sql(slowly, [5]), () => admin.query('select pg_terminate_backend($1)', [row?.pid]));
      }),
  },
};

const KINDS = Object.entries(REQUESTS_BY_KIND).flatMap(([kind, { often }]) =>
  Array.from({ length: often }, () => kind),
);

/** Sends requests, `CLIENTS` at a time. */
async function storm(doors: Doors, requests: number): Promise<void> {
  const dice = diceOf(SEED);
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent < requests) {
      sent += 1;
      const kind = dice.pick(KINDS);
      const outcome = await REQUESTS_BY_KIND[kind]?.run(doors, dice.pick(tenants), dice).then(
        () => 'answered',
        (thrown: unknown) => codeOf(thrown),
      );
      const name = `${kind}: ${outcome}`;
      doors.findings.counts.set(name, (doors.findings.counts.get(name) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

function codeOf(thrown: unknown): string {
  if (thrown instanceof Error && thrown.cause instanceof Abort) return 'aborted';
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown);
}

function printed(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, n]) => `\n  ${n} ${name}`)
    .join('');
}

/** Documents whose title is another tenant's than their organization's. */
async function misplaced(): Promise<unknown[]> {
  const { rows } = await admin.query<Seen>(`select org_id, title from documents where title like 'tenant-%'`);
  return rows.filter(
    ({ org_id: org, title }) => !title.startsWith(tenants.find(({ orgId }) => orgId === org)?.mark ?? '!'),
  );
}

test(
  `${REQUESTS} requests of ${TENANTS} tenants over two connections and one socket see and write no foreign row`,
  { timeout: 180_000 },
  async () => {
    const url = api.database.url('novax_api');
    const db = await openDatabase({ url, poolMax: 2 });
    const lane = openReadLane({ url, sockets: 1, statementTimeoutMs: 100 });
    const findings: Findings = { counts: new Map(), foreign: [] };
    const began = performance.now();
    try {
      await storm({ db, lane, findings }, REQUESTS);
    } finally {
      await db.close();
      await lane.close();
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`seed ${SEED}, ${seconds} s, ${findings.foreign.length} foreign rows:${printed(findings.counts)}`);
    expect(findings.foreign).toEqual([]);
    expect(await misplaced()).toEqual([]);
    const { rows: aborted } = await admin.query(`select from documents where title like '%aborted'`);
    expect(aborted).toEqual([]);
    // What was meant to fail failed, and the rest came through.
    const count = (name: string): number => findings.counts.get(name) ?? 0;
    for (const kind of ['time-out', 'cancelled', 'lane time-out'])
      expect(count(`${kind}: TIMEOUT`), kind).toBeGreaterThan(0);
    expect(count('terminated: DEPENDENCY_UNAVAILABLE')).toBeGreaterThan(0);
    const answered = [...findings.counts]
      .filter(([name]) => name.endsWith(': answered'))
      .reduce((sum, [, n]) => sum + n, 0);
    expect(answered).toBeGreaterThan(REQUESTS * 0.8);
  },
);

test('the storm can find a leak: a scope that stays on the connection is seen as a foreign row', async () => {
  const findings: Findings = { counts: new Map(), foreign: [] };
  const [first, second] = tenants;
  if (first === undefined || second === undefined) throw new Error('no tenants');
  await using leaking = await connect(api.database.url('novax_api'));
  await leaking.query(`select set_config('app.current_user_id', $1, false)`, [first.userId]);
  const { rows } = await leaking.query<Seen>(titles.text);
  judge(findings, second, rows);
  judge(findings, undefined, rows);
  expect(findings.foreign.length).toBe(rows.length * 2);
  expect(rows.length).toBeGreaterThan(0);
});

test('connections that die inside transactions leave room for others', async () => {
  const [tenant] = tenants;
  if (tenant === undefined) throw new Error('no tenants');
  const db = await openDatabase({ url: api.database.url('novax_api'), poolMax: 2 });
  try {
    for (let n = 0; n < 5; n++) {
      const dying = db.tenant(contextOf(tenant), async (tx) => {
        const [row] = await tx.sql(backend, []);
        await until(tx.sql(slowly, [5]), () => admin.query('select pg_terminate_backend($1)', [row?.pid]));
      });
      await expect(dying).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    }
    await expect(db.ping()).resolves.toBeUndefined();
  } finally {
    await db.close();
  }
});

/** One request of a person, given up after some milliseconds; the answer's text, or undefined when it was too late. */
async function ask(
  person: Person,
  request: { path: string; body?: unknown },
  patienceMs: number,
): Promise<string | undefined> {
  const { path, body } = request;
  try {
    const response = await fetch(`${api.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: person.authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(patienceMs),
    });
    return await response.text();
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === 'TimeoutError') return undefined;
    throw thrown;
  }
}

test(
  'clients that hang up in the middle of their requests leave nothing behind for the next one',
  { timeout: 120_000 },
  async () => {
    const people = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        const person = await newPerson(api, 'hasty');
        const { id: organizationId } = await makeOrganization(person.client);
        const { id: projectId } = await makeProject(person.client, { organizationId });
        return { person, organizationId, projectId, mark: `hasty-${n}:` };
      }),
    );
    const dice = diceOf(SEED);
    const requests = Math.min(2_000, REQUESTS);
    const foreign: string[] = [];
    let sent = 0;
    let answered = 0;
    let abandoned = 0;
    const client = async (): Promise<void> => {
      while (sent++ < requests) {
        const asker = dice.pick(people);
        const input = (value: unknown): string => encodeURIComponent(JSON.stringify(value));
        const request = dice.pick([
          { path: `/trpc/documents.list?input=${input({ projectId: asker.projectId })}` },
          { path: `/trpc/organizations.list?input=${input({})}` },
          {
            path: '/trpc/documents.create',
            body: { projectId: asker.projectId, title: `${asker.mark} written`, content: 'Words.' },
          },
        ]);
        // Half of them have no patience: the answer is on its way, or the transaction is open.
        const text = await ask(asker.person, request, dice.once(2) ? 1 + dice.below(8) : 30_000);
        if (text === undefined) abandoned += 1;
        else answered += 1;
        for (const other of people) {
          const theirs = [other.organizationId, other.projectId, other.mark];
          if (other !== asker && theirs.some((secret) => text?.includes(secret) === true))
            foreign.push(`${asker.mark} saw ${other.mark}`);
        }
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    console.log(
      `${requests} requests: ${answered} answered, ${abandoned} abandoned, ${foreign.length} foreign answers`,
    );
    expect(foreign).toEqual([]);
    expect(abandoned).toBeGreaterThan(requests / 20);
    expect(answered).toBeGreaterThan(requests / 4);
    const { rows } = await admin.query<Seen>(`select org_id, title from documents where title like 'hasty-%'`);
    const misfiled = rows.filter(
      ({ org_id: org, title }) =>
        !title.startsWith(people.find(({ organizationId }) => organizationId === org)?.mark ?? '!'),
    );
    expect(misfiled).toEqual([]);
    expect(rows.length).toBeGreaterThan(0);
    // Abandoned transactions end: none keeps its connection.
    await eventually(async () => {
      const { rows: open } = await admin.query(
        `select pid from pg_stat_activity where datname = current_database() and usename = 'novax_api' and state like 'idle in transaction%'`,
      );
      expect(open).toEqual([]);
    });
  },
);
