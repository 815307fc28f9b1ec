/**
 * A differential oracle: random worlds, random statements by random actors, and a plain model that says what each must
 * see and change. The database must agree with it to the row.
 *
 * `NOVAX_ORACLE_WORLDS` is how many worlds (100; `npm run test:slow` runs 1,000), `NOVAX_ORACLE_SEED` the first one's
 * seed, which a failure prints.
 */
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { ORACLE_SETUP, runWorld, type Difference, type Tally } from '../kit/oracle/run.ts';

const WORLDS = Number(process.env['NOVAX_ORACLE_WORLDS'] ?? 100);
const STEPS = 50;
const FIRST_SEED = Number(process.env['NOVAX_ORACLE_SEED'] ?? Date.now() % 1_000_000_000);

let db: TestDatabase;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  db = await testDatabase();
  admin = await connect(db.adminUrl);
  await admin.query(ORACLE_SETUP);
});
afterAll(async () => {
  await admin.end();
  await db[Symbol.asyncDispose]();
});

async function differences(worlds: number, tally: Tally = new Map()): Promise<Difference[]> {
  const found: Difference[] = [];
  for (let n = 0; n < worlds; n++) {
    const difference = await runWorld(admin, { seed: FIRST_SEED + n, steps: STEPS, tally });
    if (difference !== undefined) found.push(difference);
  }
  return found;
}

test(
  `${WORLDS} worlds of ${STEPS} statements: the database and the model differ in nothing`,
  { timeout: 120_000 + WORLDS * 3_000 },
  async () => {
    const tally: Tally = new Map();
    const began = performance.now();
    const found = await differences(WORLDS, tally);
    const counts = [...tally].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => `${name} ${n}`);
    console.log(`seeds from ${FIRST_SEED}, ${((performance.now() - began) / 1000).toFixed(1)} s: ${counts.join(', ')}`);
    expect(found, `replay with NOVAX_ORACLE_SEED=${found[0]?.seed} NOVAX_ORACLE_WORLDS=1`).toEqual([]);
  },
);

/** Faults of the kind that a migration could bring, each in a condition that reads as if it were right. */
const PLANTED: Record<string, string> = {
  'a member may delete other people’s memberships': `alter policy org_members_delete_novax_api on org_members using (org_id in (select m.org_id from app.memberships m))`,
  'the chosen organization counts without a membership': `create policy planted on tasks for select to novax_api using (org_id = (select nullif(current_setting('app.current_org_id', true), '')::uuid))`,
  'a viewer may write': `alter policy comments_insert_novax_api on comments with check (org_id in (select m.org_id from app.memberships m))`,
  'a row may be given to another organization': `alter policy tasks_update_novax_api on tasks with check (true); alter policy documents_update_novax_api on documents with check (true)`,
  'support reads every event': `create policy planted on events for select to novax_readonly using (true)`,
  'a deleted organization keeps its members': `alter table organizations disable trigger end_memberships`,
  'a column of secrets is granted': `grant select (token_hash) on invitations to novax_worker`,
};

test.each(Object.entries(PLANTED))('the oracle notices that %s', { timeout: 240_000 }, async (_name, sql) => {
  await using own = await testDatabase();
  await using planted = await connect(own.adminUrl);
  await planted.query(`${ORACLE_SETUP}; ${sql}`);
  const tally: Tally = new Map();
  let noticed: Difference | undefined;
  // A fixed seed: whether the fault is met must not be a matter of luck.
  for (let n = 0; n < 200 && noticed === undefined; n++)
    noticed = await runWorld(planted, { seed: 1 + n, steps: STEPS, tally });
  expect(noticed).toBeDefined();
});
