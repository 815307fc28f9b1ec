/**
 * The migrations make the schema that `migrations/schema.sql` shows, and going down and up again makes it once more.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dumpSchema } from '@novax/db/migrations/dump';
import { migrateDown, migrateUp } from '@novax/db/migrate';
import { expect, test } from 'vitest';
import { connect, MIGRATIONS_DIR, testDatabase } from '../kit/database.ts';

const objects = `
  select (select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('app', 'private', 'ai')) +
         (select count(*)::int from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
             and c.relname not like 'schema_migration%') +
         (select count(*)::int from pg_namespace where nspname in ('app', 'private', 'ai')) as left_over`;

test('the migrated schema is the reviewed one', async () => {
  await using db = await testDatabase();
  expect(await dumpSchema(db.adminUrl)).toBe(await readFile(join(MIGRATIONS_DIR, 'schema.sql'), 'utf8'));
});

test('down takes everything away, and up after it makes the same schema', async () => {
  await using db = await testDatabase();
  const before = await dumpSchema(db.adminUrl);
  const options = { url: db.url('novax_migrator'), dir: MIGRATIONS_DIR };
  const reverted = await migrateDown({ ...options, steps: 10_000 });
  await using admin = await connect(db.adminUrl);
  expect((await admin.query(objects)).rows).toEqual([{ left_over: 0 }]);
  expect((await migrateUp(options)).length).toBe(reverted.length);
  expect(await dumpSchema(db.adminUrl)).toBe(before);
});

test('every single migration can be reverted and applied again', { timeout: 120_000 }, async () => {
  await using db = await testDatabase({ migrated: false });
  const options = { url: db.url('novax_migrator'), dir: MIGRATIONS_DIR };
  for (let version = 1; ; version++) {
    const [applied] = await migrateUp({ ...options, to: version }).catch((error: { code: string }) => {
      if (error.code === 'UNKNOWN_VERSION') return [];
      throw error;
    });
    if (!applied) break;
    const after = await dumpSchema(db.adminUrl);
    await migrateDown(options);
    await migrateUp({ ...options, to: version });
    expect(await dumpSchema(db.adminUrl), `after ${version} down and up`).toBe(after);
  }
});

test('a grant, a policy or a column that changes shows in the dump', async () => {
  await using db = await testDatabase();
  await using admin = await connect(db.adminUrl);
  let last = await dumpSchema(db.adminUrl);
  for (const change of [
    'grant delete on projects to novax_api',
    'alter policy documents_select_novax_worker on documents using (true)',
    'alter table tasks alter column title set default $$x$$',
    'alter table documents no force row level security',
    'alter function private.sync_membership reset all',
    'drop trigger sync_membership on org_members',
    "comment on column documents.ai_summary is 'y'",
    'grant select (password_hash) on users to novax_api',
    'alter table events_failed disable row level security',
    'alter view ai.mv_ai_document_context reset (security_barrier)',
    'drop index idx_documents_author_id',
  ]) {
    await admin.query(change);
    const now = await dumpSchema(db.adminUrl);
    expect(now, change).not.toBe(last);
    last = now;
  }
});

test('the number of months does not show, a month that differs does', async () => {
  await using db = await testDatabase();
  await using admin = await connect(db.adminUrl);
  const before = await dumpSchema(db.adminUrl);
  await admin.query('select private.ensure_partitions(9)');
  expect(await dumpSchema(db.adminUrl)).toBe(before);
  await admin.query(
    "do $$ begin execute format('alter table audit_log_%s disable row level security', to_char(now() at time zone 'UTC', 'YYYY_MM')); end $$",
  );
  expect(await dumpSchema(db.adminUrl)).not.toBe(before);
});
