/**
 * Every policy and every row-security flag earns its place: without it, or with its condition replaced by `true`, some
 * probe of the fixed world answers otherwise. What no probe notices is listed by name.
 */
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { fixedWorld, ORG_A, ORG_B, type ProbedTable } from '../kit/policies/fixture.ts';
import { type Command, type Outcome, Prober } from '../kit/policies/probe.ts';

interface Policy {
  readonly name: string;
  /** `schema.name`, quoted. */
  readonly table: string;
  readonly role: string;
  readonly command: Exclude<Command, 'truncate'>;
  readonly using: string | null;
  readonly check: string | null;
}

interface Mutant {
  readonly name: string;
  /** Statements that make it, run by the superuser. */
  readonly sql: string;
  /** What is tried before and after. */
  readonly probes: () => Promise<Outcome[]>;
}

let db: TestDatabase;
let admin: Client & AsyncDisposable;
let tables: Map<string, ProbedTable>;
let policies: Policy[];
let prober: Prober;

beforeAll(async () => {
  db = await testDatabase();
  admin = await connect(db.adminUrl);
  await admin.query('begin');
  tables = new Map((await fixedWorld(admin)).map((table) => [table.name, table]));
  prober = new Prober(admin);
  const { rows } = await admin.query<Policy>(`
    select p.polname as name, '"' || n.nspname || '"."' || c.relname || '"' as table, r::regrole::text as role,
           case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end as command,
           pg_get_expr(p.polqual, c.oid) as using, pg_get_expr(p.polwithcheck, c.oid) as check
      from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace, unnest(p.polroles) r
     order by 2, 1`);
  policies = rows;
});
afterAll(async () => {
  await admin.end();
  await db[Symbol.asyncDispose]();
});

function tableOf(name: string): ProbedTable {
  const table = tables.get(name);
  if (table === undefined) throw new Error(`${name} has policies and is not in the fixed world`);
  return table;
}

/** The outcomes of a policy's own command for everyone who asks as its role. */
const own = (policy: Policy) => async (): Promise<Outcome[]> =>
  Object.values(await prober.outcomes(policy.role, tableOf(policy.table), policy.command));

/** The part of a membership condition that narrows a person to the organization they chose. */
const NARROWING = /\(m\.org_id = COALESCE\(\( SELECT .*?\), m\.org_id\)\)/gs;

/** The memberships' own policy narrows too, and would hide that another's has lost it. */
const WIDE_MEMBERSHIPS = `alter policy memberships_select_novax_api on app.memberships
  using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))`;

/** A row of one's own given away, as if no column were withheld from the role: the new row's check alone is in the way. */
function giveAway(policy: Policy): () => Promise<Outcome[]> {
  const table = tableOf(policy.table);
  // A person's own row may stand in any organization: there, the person is what must not change.
  const byOrganization = table.orgColumn !== '' && (policy.check ?? '').includes(table.orgColumn);
  const column = byOrganization ? table.orgColumn : table.personColumn;
  const value = byOrganization ? `'${ORG_B}'` : 'gen_random_uuid()';
  const caller =
    policy.role === 'novax_api'
      ? { name: 'owner', person: 'owner', org: '' }
      : { name: 'in A', person: '', org: ORG_A };
  return async () => [await prober.attempt(policy.role, caller, `update ${policy.table} set ${column} = ${value}`)];
}

function mutantsOf(policy: Policy): Mutant[] {
  const where = `${policy.table} ${policy.name}`;
  const on = `policy "${policy.name}" on ${policy.table}`;
  const mutants: Mutant[] = [{ name: `${where}: dropped`, sql: `drop ${on}`, probes: own(policy) }];
  const clauses = [
    policy.using !== null && policy.using !== 'true' ? 'using (true)' : '',
    policy.check !== null && policy.check !== 'true' ? 'with check (true)' : '',
  ].join(' ');
  // Where the condition is `true` already, nothing would change: those few stand in the lint's allow-list, with reasons.
  if (clauses.trim() !== '')
    mutants.push({ name: `${where}: ${clauses.trim()}`, sql: `alter ${on} ${clauses}`, probes: own(policy) });
  if (policy.command === 'update' && policy.check !== 'true')
    mutants.push({
      name: `${where}: with check (true) alone`,
      sql: `alter ${on} with check (true)`,
      probes: giveAway(policy),
    });
  const unnarrowed = (text: string | null): string => (text ?? '').replace(NARROWING, 'true');
  if (NARROWING.test(`${policy.using} ${policy.check}`)) {
    const using = policy.using === null ? '' : `using (${unnarrowed(policy.using)})`;
    const check = policy.check === null ? '' : `with check (${unnarrowed(policy.check)})`;
    mutants.push({
      name: `${where}: whatever organization is chosen`,
      sql: `alter ${on} ${using} ${check}`,
      probes: async () => [await prober.elsewhere(policy.role, tableOf(policy.table), policy.command)],
    });
  }
  return mutants;
}

/** The owner of a table is the one whom only the flags bind; readers show that row security is on at all. */
function flagMutants(table: ProbedTable, readers: readonly string[]): Mutant[] {
  const byOwner = async (): Promise<Outcome[]> => Object.values(await prober.outcomes('novax_owner', table, 'delete'));
  const byReaders = async (): Promise<Outcome[]> => {
    const outcomes: Outcome[] = [];
    for (const role of readers) outcomes.push(...Object.values(await prober.outcomes(role, table, 'select')));
    return outcomes;
  };
  return [
    {
      name: `${table.name}: not forced`,
      sql: `alter table ${table.name} no force row level security`,
      probes: byOwner,
    },
    {
      name: `${table.name}: not enabled`,
      sql: `alter table ${table.name} disable row level security`,
      probes: async () => [...(await byOwner()), ...(await byReaders())],
    },
  ];
}

/** Names of the mutants that no probe notices. */
async function survivors(mutants: readonly Mutant[]): Promise<string[]> {
  const alive: string[] = [];
  for (const { name, sql, probes } of mutants) {
    const before = await probes();
    await admin.query(`savepoint mutant; ${sql}`);
    const after = await probes();
    await admin.query('rollback to savepoint mutant');
    if (JSON.stringify(before) === JSON.stringify(after)) alive.push(`${name}: ${before.join(' ')}`);
  }
  return alive;
}

/** Gives every role every column, so that policies alone stand in the way. */
const widely = (): string =>
  policies
    .filter(({ command }) => command === 'update')
    .map(({ table, role }) => `grant update on ${table} to ${role}`)
    .join('; ');

test('every mutant of every policy is noticed', { timeout: 120_000 }, async () => {
  const mutants = policies.flatMap(mutantsOf);
  const alone = mutants.filter(({ name }) => name.endsWith(' alone'));
  const unnarrowed = mutants.filter(({ name }) => name.endsWith(' chosen'));
  const alive = await survivors(mutants.filter((mutant) => !alone.includes(mutant) && !unnarrowed.includes(mutant)));
  alive.push(
    ...(await survivors([
      {
        name: 'app.memberships: whatever organization is chosen',
        sql: WIDE_MEMBERSHIPS,
        probes: async () => [await prober.elsewhere('novax_api', tableOf('"app"."memberships"'), 'select')],
      },
    ])),
  );
  await admin.query(`savepoint memberships; ${WIDE_MEMBERSHIPS}`);
  alive.push(...(await survivors(unnarrowed)));
  await admin.query('rollback to savepoint memberships');
  await admin.query(`savepoint wide; ${widely()}`);
  alive.push(...(await survivors(alone)));
  await admin.query('rollback to savepoint wide');
  console.log(`${policies.length} policies, ${mutants.length + 1} mutants, ${alive.length} survivors`);
  expect(alive).toEqual([]);
  expect(policies.length).toBeGreaterThan(150);
});

test('every table without one of its row-security flags is noticed', { timeout: 120_000 }, async () => {
  const { rows } = await admin.query<{ name: string }>(`
    select '"' || n.nspname || '"."' || c.relname || '"' as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relrowsecurity and not c.relispartition and n.nspname in ('public', 'app', 'private', 'ai') order by 1`);
  const mutants = rows.flatMap(({ name }) => {
    const readers = policies
      .filter(({ table, command }) => table === name && command === 'select')
      .map(({ role }) => role);
    return flagMutants(tableOf(name), readers);
  });
  const alive = await survivors(mutants);
  console.log(`${rows.length} tables, ${mutants.length} mutants, ${alive.length} survivors`);
  expect(alive).toEqual([]);
});

test('a change that changes nothing survives, so the probes are not red for everything', async () => {
  const [policy] = policies.filter(({ name }) => name === 'documents_select_novax_api');
  if (policy === undefined) throw new Error('no such policy');
  const same = `alter policy "${policy.name}" on ${policy.table} using (${policy.using})`;
  expect(await survivors([{ name: 'same', sql: same, probes: own(policy) }])).toHaveLength(1);
});
