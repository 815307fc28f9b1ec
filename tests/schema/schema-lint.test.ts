/** The schema keeps its own rules, and each rule notices what it is there for. */
import { ALLOWED } from '@novax/db/schema-lint/allow-list';
import { lintSchema, RULES } from '@novax/db/schema-lint/lint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

test('the migrated schema breaks no rule that the allow-list does not name', async () => {
  await using admin = await connect(db.adminUrl);
  expect(await lintSchema(admin)).toEqual([]);
});

test('every allowance gives a reason', () => {
  for (const { reason } of ALLOWED) expect(reason.length).toBeGreaterThan(10);
});

test('an allowance that covers nothing is a finding', async () => {
  await using admin = await connect(db.adminUrl);
  const stale = { rule: 'table-name', object: 'public.nowhere', reason: 'was needed once' };
  expect(await lintSchema(admin, [...ALLOWED, stale])).toEqual([
    expect.objectContaining({ rule: 'stale-allowance', object: 'public.nowhere' }),
  ]);
});

/** What breaks each rule: statements, run by the superuser and rolled back, and the object that must be named. */
const PLANTED: Record<string, { sql: string; object: string }> = {
  'table-name': { sql: 'create table "BadThings" ()', object: 'public."BadThings"' },
  'table-plural': { sql: 'create table thing ()', object: 'public.thing' },
  'column-name': { sql: 'create table things ("someThing" int)', object: 'public.things.someThing' },
  'foreign-key-name': { sql: 'create table things (proj uuid references projects (id))', object: 'public.things.proj' },
  'index-name': { sql: 'create index on projects (name)', object: 'public.projects_name_idx' },
  'standard-id': { sql: 'create table things (id bigint primary key)', object: 'public.things' },
  'standard-created-at': { sql: 'create table things (created_at timestamptz)', object: 'public.things' },
  'standard-updated-at': { sql: 'create table things (updated_at timestamptz not null)', object: 'public.things' },
  'closed-set-check': { sql: 'create table things (status varchar)', object: 'public.things.status' },
  'ai-column': { sql: 'create table things (ai_summary jsonb)', object: 'public.things.ai_summary' },
  'table-comment': { sql: 'create table things ()', object: 'public.things' },
  'instant-type': { sql: 'create table things (seen_at timestamp)', object: 'public.things.seen_at' },
  'no-enum': { sql: "create type mood as enum ('good')", object: 'mood' },
  'foreign-key-index': {
    sql: 'create table things (project_id uuid constraint fk_things references projects (id))',
    object: 'public.things.fk_things',
  },
  'tenant-foreign-key': {
    sql: 'create table things (org_id uuid, project_id uuid constraint fk_things references projects (id))',
    object: 'public.things.fk_things',
  },
  'invalid-index': {
    sql: 'create index idx_ai_embeddings_dims on only ai_embeddings (dims)',
    object: 'public.idx_ai_embeddings_dims',
  },
  'duplicate-index': { sql: 'create index idx_tasks_again on tasks (creator_id)', object: 'public.tasks' },
  'tenant-rls': { sql: 'alter table events_failed no force row level security', object: 'public.events_failed' },
  'rls-disabled': { sql: 'create table things ()', object: 'public.things' },
  'granted-without-rls': {
    sql: 'create table things (); grant select on things to novax_api',
    object: 'public.things',
  },
  'grant-without-policy': { sql: 'grant delete on documents to novax_api', object: 'public.documents' },
  'policy-without-grant': {
    sql: 'create policy idle on documents for delete to novax_api using (true)',
    object: 'public.documents.idle',
  },
  'policy-without-rls': { sql: 'alter table documents disable row level security', object: 'public.documents' },
  'rls-without-policy': {
    sql: 'create table things (); alter table things enable row level security',
    object: 'public.things',
  },
  'policy-per-command': {
    sql: 'create policy everything on documents to novax_api using (true)',
    object: 'public.documents.everything',
  },
  'policy-always-true': {
    sql: 'create policy open on documents for select to novax_api using (1 = 1)',
    object: 'public.documents.open',
  },
  'policy-user-data': {
    sql: "create policy vain on documents for select to novax_api using (ai_metadata ->> 'shared' = 'yes')",
    object: 'public.documents.vain',
  },
  'policy-initplan': {
    sql: "create policy slow on documents for select to novax_api using (org_id = current_setting('app.current_org_id')::uuid)",
    object: 'public.documents.slow',
  },
  'partition-grant': { sql: 'grant select on events_failed to novax_worker', object: 'public.events_failed' },
  'public-privilege': {
    sql: 'create function public.f() returns int language sql as $$ select 1 $$',
    object: 'public.f()',
  },
  'definer-search-path': {
    sql: 'create function public.f() returns int language sql security definer as $$ select 1 $$',
    object: 'public.f()',
  },
  'function-search-path': {
    sql: 'create function public.f() returns int language sql as $$ select 1 $$',
    object: 'public.f()',
  },
  'definer-reach': {
    sql: 'create function public.f() returns int language sql security definer as $$ select 1 $$; grant execute on function public.f() to novax_api',
    object: 'public.f()',
  },
  'definer-owner': {
    sql: 'create function public.f() returns int language sql security definer as $$ select 1 $$',
    object: 'public.f()',
  },
  'owner': { sql: 'create table things (); alter table things owner to novax_api', object: 'public.things' },
  'role-attribute': { sql: 'grant novax_definer to novax_readonly', object: 'novax_readonly' },
  'view-barrier': { sql: 'create view v as select 1 as one', object: 'public.v' },
  'definer-view': { sql: 'create view v with (security_barrier) as select 1 as one', object: 'public.v' },
  'materialized-view-grant': {
    sql: 'grant select on private.mv_ai_document_context to novax_worker',
    object: 'private.mv_ai_document_context',
  },
};

describe('a planted fault is found', () => {
  test('there is one for every rule', () => {
    expect(Object.keys(PLANTED).sort()).toEqual(RULES.map((rule) => rule.name).sort());
  });

  test.each(Object.entries(PLANTED))('%s', async (rule, { sql, object }) => {
    await using admin = await connect(db.adminUrl);
    await admin.query(`begin; ${sql}`);
    const findings = await lintSchema(admin);
    expect(findings.filter((finding) => finding.rule === rule).map((finding) => finding.object)).toContain(object);
    await admin.query('rollback');
  });
});
