/** The AI's materialized views: refreshed when and only when something changed, without blocking readers; and how stale they are, known to the database alone. */
import { aiViews, refreshView, viewStaleness } from '@novax/db/queries/upkeep';
import { type Database, openDatabase } from '@novax/db/tx';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { makeActors, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { addressesOf, novax } from '../ops/run-novax.ts';

const documents = 'mv_ai_document_context';
const tasks = 'mv_ai_task_intelligence';

let api: TestApi;
let admin: Client & AsyncDisposable;
let db: Database;
let ids: { organization: string; project: string; document: string; task: string; user: string };
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 2 });
  const actors = await makeActors(api);
  const { client } = actors.owner;
  const project = await makeProject(client, { organizationId: actors.organizationId });
  const document = await makeDocument(client, { projectId: project.id });
  const { rows } = await admin.query<{ id: string; creator_id: string }>(
    `insert into tasks (org_id, project_id, creator_id, title) select org_id, project_id, author_id, 'A task' from documents where id = $1
     returning id, creator_id`,
    [document.id],
  );
  ids = {
    organization: actors.organizationId,
    project: project.id,
    document: document.id,
    task: rows[0]?.id ?? '',
    user: rows[0]?.creator_id ?? '',
  };
});
afterAll(async () => {
  await db.close();
  await admin[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});
beforeEach(async () => {
  for (const view of aiViews) await refreshView(db, view);
});

/** Views that do not show everything. */
async function owed(): Promise<string[]> {
  return (await viewStaleness(db)).flatMap(({ view, seconds }) => (seconds > 0 ? [view] : [])).toSorted();
}

test('what is owed outlives the process that knew of it', async () => {
  await admin.query(`update projects set name = 'Before the restart' where id = $1`, [ids.project]);
  const restarted = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 1 });
  expect((await viewStaleness(restarted)).filter(({ seconds }) => seconds > 0)).toHaveLength(2);
  await restarted.close();
});

test('nothing changed: nothing is refreshed, and nothing is stale', async () => {
  expect(await owed()).toEqual([]);
  for (const view of aiViews) expect(await refreshView(db, view)).toBe('fresh');
});

test.each([
  [
    'a new document',
    [documents],
    `insert into documents (org_id, project_id, author_id, title, language) select org_id, project_id, author_id, 'Another', language from documents where id = $1`,
    () => ids.document,
  ],
  [
    'what the AI wrote',
    [documents],
    `update documents set ai_metadata = '{"seen": true}' where id = $1`,
    () => ids.document,
  ],
  ['a task that is done', [tasks], `update tasks set status = 'done' where id = $1`, () => ids.task],
  ['a renamed project', [documents, tasks], `update projects set name = 'Renamed' where id = $1`, () => ids.project],
  [
    'a renamed organization',
    [documents, tasks],
    `update organizations set name = 'Renamed' where id = $1`,
    () => ids.organization,
  ],
  ['a renamed author', [documents, tasks], `update users set username = username || 'x' where id = $1`, () => ids.user],
  ['a task that is deleted', [tasks], `delete from tasks where id = $1`, () => ids.task],
] as const)('%s makes stale what shows it, until the refresh', async (_what, views, sql, id) => {
  await admin.query(sql, [id()]);
  expect(await owed()).toEqual([...views].toSorted());
  for (const view of aiViews)
    expect(await refreshView(db, view)).toBe(views.some((it) => it === view) ? 'refreshed' : 'fresh');
  expect(await owed()).toEqual([]);
});

test('what no view shows makes nothing stale', async () => {
  await admin.query(`update users set profile_metadata = '{"a": 1}' where id = $1`, [ids.user]);
  await admin.query(`update organizations set settings = '{"a": 1}' where id = $1`, [ids.organization]);
  expect(await owed()).toEqual([]);
});

test('a change that is rolled back makes nothing stale', async () => {
  await admin.query('begin');
  await admin.query(`update documents set title = 'Never' where id = $1`, [ids.document]);
  await admin.query('rollback');
  expect(await owed()).toEqual([]);
});

test('a change that is committed during a refresh, begun before it or after it, causes the next one, which shows it', async () => {
  await using early = await connect(api.database.adminUrl);
  await using refresher = await connect(api.database.url('novax_worker'));
  const titles = [unique('early'), unique('late')];
  await early.query('begin');
  await early.query('update documents set title = $2 where id = $1', [ids.document, titles[0]]);
  await refresher.query('begin');
  await refresher.query('select private.refresh_view($1, true)', [documents]);
  await early.query('commit');
  await admin.query(`update documents set title = title || ' ' || $2 where id = $1`, [ids.document, titles[1]]);
  await refresher.query('commit');
  expect(await owed()).toEqual([documents]);
  expect(await refreshView(db, documents)).toBe('refreshed');
  const { rows } = await admin.query(`select title from private.mv_ai_document_context where id = $1`, [ids.document]);
  expect(rows[0].title).toBe(titles.join(' '));
  expect(await owed()).toEqual([]);
});

test('two refreshes at once: the second finds the first at it and leaves', async () => {
  await admin.query(`update documents set title = 'Once' where id = $1`, [ids.document]);
  await using first = await connect(api.database.url('novax_worker'));
  await first.query('begin');
  expect((await first.query('select private.refresh_view($1) as outcome', [documents])).rows[0].outcome).toBe(
    'refreshed',
  );
  expect(await refreshView(db, documents)).toBe('busy');
  await first.query('commit');
  expect(await refreshView(db, documents)).toBe('fresh');
});

test('a refresh that fails leaves the old content, stays owed, and the next one succeeds', async () => {
  const shown = async (): Promise<string> =>
    (await admin.query(`select title from private.mv_ai_document_context where id = $1`, [ids.document])).rows[0].title;
  const before = await shown();
  const title = unique('after');
  await admin.query('update documents set title = $2 where id = $1', [ids.document, title]);
  const index = 'idx_mv_ai_document_context_id';
  await admin.query(`drop index private.${index}`);
  await expect(refreshView(db, documents)).rejects.toThrow();
  expect(await shown()).toBe(before);
  expect(await owed()).toEqual([documents]);
  await admin.query(`create unique index ${index} on private.mv_ai_document_context (id)`);
  expect(await refreshView(db, documents)).toBe('refreshed');
  expect(await shown()).toBe(title);
});

test(
  'readers never wait 50 ms for a lock while views of 20 000 documents are refreshed',
  { timeout: 120_000 },
  async () => {
    await admin.query(
      `insert into documents (org_id, project_id, author_id, title, content, language)
     select org_id, project_id, author_id, 'Document ' || n, repeat('Some words of a text. ', 20), language
       from documents, generate_series(1, 20000) n where id = $1`,
      [ids.document],
    );
    let done = false;
    const started = performance.now();
    const refreshing = refreshView(db, documents).finally(() => (done = true));
    const reads: number[] = [];
    const read = async (): Promise<void> => {
      await using reader = await connect(api.database.url('novax_worker'));
      // A read that has to wait longer for a lock fails with 55P03.
      await reader.query(`set lock_timeout = '50ms'`);
      await reader.query(`select set_config('app.current_org_id', $1, false)`, [ids.organization]);
      while (!done) {
        const at = performance.now();
        const { rowCount } = await reader.query('select title from ai.mv_ai_document_context where id = $1', [
          ids.document,
        ]);
        reads.push(performance.now() - at);
        expect(rowCount).toBe(1);
      }
    };
    await Promise.all([read(), read()]);
    expect(await refreshing).toBe('refreshed');
    const sorted = reads.toSorted((a, b) => a - b);
    process.stdout.write(
      `refresh of 20 000 documents: ${Math.round(performance.now() - started)} ms; ${reads.length} reads meanwhile, none waited 50 ms for a lock; median ${sorted[reads.length >> 1]?.toFixed(1)} ms, longest ${sorted.at(-1)?.toFixed(1)} ms\n`,
    );
    expect(reads.length).toBeGreaterThan(20);
  },
);

test('novax views refresh refreshes what is stale, and with --force the rest', async () => {
  await admin.query(`update documents set title = 'By hand' where id = $1`, [ids.document]);
  const outcomes = async (args: string): Promise<string[]> => {
    const { code, stdout } = await novax(`views refresh -o json ${args}`.trim(), addressesOf(api.database));
    expect(code).toBe(0);
    // Printed by the command under test.
    return (JSON.parse(stdout) as { views: { outcome: string }[] }).views.map(({ outcome }) => outcome);
  };
  expect(await outcomes('')).toEqual(['refreshed', 'fresh']);
  expect(await outcomes('--force')).toEqual(['refreshed', 'refreshed']);
});
