/** The table of roles, borne out by trying: every runtime role, every table, partition and view, every command; and the ways around it. */
import { convertToHypertables } from '@novax/db/hypertables';
import type { LoginRole } from '@novax/db/bootstrap';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, testAdminUrl, testDatabase, type TestDatabase } from '../kit/database.ts';
import { fixedWorld, MEMBERS, ORG_A, personId, type ProbedTable } from '../kit/policies/fixture.ts';
import { rightsInWords } from '../kit/policies/in-words.ts';
import { COMMANDS, Prober } from '../kit/policies/probe.ts';
import { PARTITION_RIGHTS, RIGHTS, ROLES_BY_WORD, UNREADABLE } from '../kit/policies/rights.ts';
import { run } from './faults/original.ts';

const LOGINS = [
  'novax_api',
  'novax_worker',
  'novax_ai',
  'novax_readonly',
  'novax_backup',
] as const satisfies LoginRole[];
const plain = (name: string): string => name.replaceAll('"', '');

let db: TestDatabase;
let admin: Client & AsyncDisposable;
let tables: ProbedTable[];
beforeAll(async () => {
  db = await testDatabase();
  admin = await connect(db.adminUrl);
  tables = await fixedWorld(admin);
  await admin.query('analyze');
});
afterAll(async () => {
  await admin.end();
  await db[Symbol.asyncDispose]();
});

/** A connection of its own for probing, in a transaction that ends with it: a probe meets privileges and policies alone. */
async function probingConnection(): Promise<Client & AsyncDisposable> {
  const client = await connect(db.adminUrl);
  await client.query(`set session_replication_role = 'replica'; begin`);
  return client;
}

/** What probing finds, in the notation of the declaration: `api select:viewer; worker select:org`. */
async function foundRights(prober: Prober, table: ProbedTable): Promise<string> {
  const cells: string[] = [];
  for (const [word, roles] of Object.entries(ROLES_BY_WORD)) {
    const rights = new Set<string>();
    for (const role of roles) rights.add(await rightsInWords(prober, role, table));
    const [first = ''] = rights;
    if (rights.size > 1) cells.push(`${word} differs: ${[...rights].join(' / ')}`);
    else if (first !== '') cells.push(`${word} ${first}`);
  }
  return cells.join('; ');
}

test(
  'every runtime role can do to every table, partition and view what its line says, and nothing else',
  { timeout: 120_000 },
  async () => {
    await using probing = await probingConnection();
    const prober = new Prober(probing);
    const found: Record<string, string> = {};
    const declared: Record<string, string> = {};
    for (const table of tables) {
      const name = plain(table.name);
      found[name] = await foundRights(prober, table);
      declared[name] =
        table.kind === 'partition'
          ? PARTITION_RIGHTS
          : (RIGHTS[name] ?? 'not declared: add a line to tests/kit/policies/rights.ts');
    }
    expect(found).toEqual(declared);
  },
);

test('every line of the declaration is about something that exists', () => {
  const names = tables.filter(({ kind }) => kind !== 'partition').map(({ name }) => plain(name));
  expect(Object.keys(RIGHTS).toSorted()).toEqual(names.toSorted());
});

test('the probes can fail: a policy too many and a grant too many are both seen', { timeout: 120_000 }, async () => {
  const documents = tables.find(({ name }) => plain(name) === 'public.documents');
  if (documents === undefined) throw new Error('no documents');
  await using probing = await probingConnection();
  await probing.query(
    `savepoint clean; create policy planted on documents for delete to novax_api using (true); grant delete on documents to novax_api`,
  );
  expect(await foundRights(new Prober(probing), documents)).toContain(
    'api select:viewer insert:member&self update:member delete:all',
  );
  await probing.query('rollback to savepoint clean; grant truncate on documents to novax_readonly');
  expect(await foundRights(new Prober(probing), documents)).toContain('readonly select:org truncate:');
});

test('hashes of secrets are readable by no runtime role but the backup', async () => {
  const readable: string[] = [];
  for (const [table, columns] of Object.entries(UNREADABLE)) {
    for (const column of columns) {
      for (const role of LOGINS) {
        const { rows } = await admin.query<{ yes: boolean }>('select has_column_privilege($1, $2, $3, $4) as yes', [
          role,
          table,
          column,
          'SELECT',
        ]);
        if (rows[0]?.yes === true) readable.push(`${role} ${table}.${column}`);
      }
    }
  }
  const backup = Object.entries(UNREADABLE).flatMap(([table, columns]) =>
    columns.map((column) => `novax_backup ${table}.${column}`),
  );
  expect(readable).toEqual(backup);
});

describe.each(LOGINS)('signed in as %s', (role) => {
  let client: Client & AsyncDisposable;
  beforeAll(async () => {
    client = await connect(db.url(role));
    // Nothing here is refused for being a write in a read-only session: that default is the session's own to change.
    await client.query('set default_transaction_read_only = off');
    await client.query(
      `select set_config('app.current_user_id', $1, false), set_config('app.current_org_id', $2, false)`,
      [personId('owner'), ORG_A],
    );
  });
  afterAll(() => client.end());

  const code = async (sql: string): Promise<string> =>
    client.query(sql).then(
      () => 'done',
      (thrown: { code?: string }) => thrown.code ?? 'failed',
    );

  test('becoming any other role is refused', async () => {
    const { rows } = await admin.query<{ name: string }>('select rolname as name from pg_roles where rolname <> $1', [
      role,
    ]);
    const outcomes: Record<string, string> = {};
    for (const { name } of rows) {
      outcomes[`set role ${name}`] = await code(`set role "${name}"`);
      outcomes[`set session authorization ${name}`] = await code(`set session authorization "${name}"`);
    }
    expect(new Set(Object.values(outcomes)), JSON.stringify(outcomes)).toEqual(new Set(['42501']));
    expect(rows.length).toBeGreaterThan(8);
  });

  test('switching the rules off is refused', async () => {
    const attempts = [
      `set session_replication_role = 'replica'`,
      'alter table public.documents disable trigger all',
      'alter table public.audit_log disable trigger user',
      'alter table public.documents disable row level security',
      'alter table public.documents no force row level security',
      `alter role ${role} bypassrls`,
      `alter role ${role} superuser`,
      `grant novax_definer to ${role}`,
      'create policy mine on public.documents for select using (true)',
      'drop policy documents_select_novax_api on public.documents',
      'create or replace function private.sync_membership() returns trigger language plpgsql as $$ begin return null; end $$',
      'alter table public.documents owner to current_user',
      'create table public.mine ()',
      'create temporary table mine ()',
      'create schema mine',
      'create function public.mine() returns int language sql as $$ select 1 $$',
      'truncate public.documents',
      `select pg_read_file('/etc/passwd')`,
      `copy (select 1) to program 'true'`,
      `select * from pg_authid`,
      `select * from pg_statistic`,
    ];
    const outcomes: Record<string, string> = {};
    for (const sql of attempts) outcomes[sql] = await code(sql);
    expect(outcomes).toEqual(Object.fromEntries(attempts.map((sql) => [sql, '42501'])));
  });

  test('granting anything to anybody changes no privilege', async () => {
    const privileges = async (): Promise<unknown> =>
      (
        await admin.query(
          `select oid::regclass::text as name, relacl::text as acl from pg_class where relacl is not null order by 1`,
        )
      ).rows;
    const before = await privileges();
    // With some privilege and no right to pass it on, PostgreSQL warns and grants nothing; with none, it refuses.
    for (const { name } of tables) expect(await code(`grant all on ${name} to public`)).toMatch(/^(done|42501)$/);
    expect(await privileges()).toEqual(before);
  });

  test.skipIf(role === 'novax_backup')('without row security every read is refused, not answered in full', async () => {
    const outcomes: Record<string, string> = {};
    const readable: string[] = [];
    for (const { name, kind } of tables.filter((table) => table.kind === 'table')) {
      if (kind === 'table' && (await code(`select count(*) from ${name}`)) !== '42501') readable.push(name);
    }
    await client.query('set row_security = off');
    for (const name of readable) outcomes[name] = await code(`select count(*) from ${name}`);
    await client.query('reset row_security');
    expect(new Set(Object.values(outcomes)), JSON.stringify(outcomes)).toEqual(new Set(['42501']));
  });

  test.skipIf(role === 'novax_backup')('statistics show no value of a table under row security', async () => {
    const views = ['pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs'];
    for (const view of views) {
      const { rows } = await client.query<{ n: number }>(
        `select count(*)::int as n from ${view} where schemaname in ('public', 'app', 'private', 'ai')`,
      );
      expect(rows, view).toEqual([{ n: 0 }]);
    }
    // The statistics are there to be shown.
    const { rows } = await admin.query<{ n: number }>(
      `select count(*)::int as n from pg_stats where schemaname = 'public'`,
    );
    expect(rows[0]?.n).toBeGreaterThan(100);
  });

  test.skipIf(role === 'novax_backup')(
    'a partition named directly is refused for every command, and for COPY',
    async () => {
      const opened: string[] = [];
      for (const { name } of tables.filter(({ kind }) => kind === 'partition')) {
        for (const sql of [
          `select count(*) from ${name}`,
          `delete from ${name}`,
          `truncate ${name}`,
          `copy ${name} to stdout`,
          `copy ${name} from stdin`,
        ])
          if ((await code(sql)) !== '42501') opened.push(sql);
      }
      expect(opened).toEqual([]);
    },
  );
});

test('the group of the AI signs in nowhere', async () => {
  const url = new URL(db.url('novax_ai'));
  url.username = 'ai_agent_role';
  await expect(connect(url.href)).rejects.toMatchObject({ code: expect.stringMatching(/^28/) });
});

const preloaded = await run(
  testAdminUrl(),
  `select current_setting('shared_preload_libraries') ~ 'timescaledb' as yes`,
);
const hasTimescale = preloaded[0]?.['yes'] === true;
if (!hasTimescale)
  console.warn('SKIPPED: chunks of hypertables were not probed, because this server does not load timescaledb');

test.runIf(hasTimescale)(
  'a chunk of a hypertable, named directly, is refused to every runtime role',
  { timeout: 120_000 },
  async () => {
    await using own = await testDatabase();
    await using owner = await connect(own.adminUrl);
    const filled = await fixedWorld(owner);
    await convertToHypertables({ adminUrl: own.adminUrl });
    const { rows: chunks } = await owner.query<{ name: string; rows: number }>(
      `select format('%I.%I', chunk_schema, chunk_name) as name, 1 as rows from timescaledb_information.chunks where hypertable_schema = 'public'`,
    );
    expect(chunks.length).toBeGreaterThanOrEqual(2);
    const { rows: held } = await owner.query<{ n: number }>(`select count(*)::int as n from ${chunks[0]?.name ?? ''}`);
    expect(held[0]?.n).toBeGreaterThan(0);
    const opened: string[] = [];
    for (const role of [...LOGINS, 'ai_agent_role']) {
      for (const { name } of chunks) {
        for (const sql of [
          `select count(*) from ${name}`,
          `insert into ${name} default values`,
          `update ${name} set value = 0`,
          `delete from ${name}`,
          `truncate ${name}`,
        ]) {
          await owner.query('begin');
          const outcome = await owner.query(`set local session authorization ${role}; ${sql}`).then(
            () => 'done',
            (thrown: { code?: string }) => thrown.code,
          );
          await owner.query('rollback');
          if (outcome !== '42501') opened.push(`${role}: ${sql} ${outcome}`);
        }
      }
    }
    expect(opened.filter((line) => !line.startsWith('novax_backup: select'))).toEqual([]);
    // The parents answer as before.
    await owner.query('begin');
    const prober = new Prober(owner);
    for (const table of filled.filter(({ name }) => /(usage|metric)_samples"$/.test(name)))
      expect(`${table.name} ${await foundRights(prober, table)}`).toBe(`${table.name} ${RIGHTS[plain(table.name)]}`);
    await owner.query('rollback');
  },
);

test('the world that is probed has people in every role and rows of both organizations in every tenant table', () => {
  expect(MEMBERS.map(({ role }) => role)).toEqual(['viewer', 'member', 'admin', 'owner', 'owner', 'viewer']);
  expect(COMMANDS).toHaveLength(5);
  const empty = tables.filter(
    ({ kind, orgColumn, count }) =>
      kind !== 'partition' && (orgColumn !== '' ? count.a === 0 || count.b === 0 : count.all === 0),
  );
  expect(empty.map(({ name }) => name)).toEqual([]);
});
