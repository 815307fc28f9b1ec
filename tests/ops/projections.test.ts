/** Every projection broken by hand: a dry run names what is broken and touches nothing, a rebuild mends it and nothing else, and nobody outside hears of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { meiliSearchEngine } from '@novax/adapters/search-engine';
import { connectJobQueue } from '@novax/adapters/queues';
import type { JobQueue, SearchEngine } from '@novax/domain/ports';
import { newId } from '@novax/runtime/ids';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { meiliStub } from '../conformance/meili-stub.ts';
import type { StubServer } from '../conformance/stub-server.ts';
import { makeActors, newPerson, type Actors } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';
import { addressesOf, novax } from './run-novax.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let stub: StubServer;
let engine: SearchEngine;
let queue: JobQueue;
let actors: Actors;
let workers: AsyncDisposable;
let env: Record<string, string>;
let storage: string;
let erased: string;
let ids: {
  org: string;
  project: string;
  document: string;
  long: string;
  archived: string;
  task: string;
  otherOrg: string;
  theirs: string;
};

beforeAll(async () => {
  storage = await mkdtemp(join(tmpdir(), 'novax-projections-'));
  stub = await meiliStub();
  engine = meiliSearchEngine({ url: stub.url, apiKey: 'master', log: quiet });
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  actors = await makeActors(api);
  const prefix = api.workersEnv.QUEUE_PREFIX ?? '';
  queue = await connectJobQueue({ url: servers().queueRedisUrl, prefix, log: quiet });
  env = {
    ...addressesOf(api.database),
    QUEUE_REDIS_URL: servers().queueRedisUrl,
    QUEUE_PREFIX: prefix,
    MEILI_URL: stub.url,
    MEILI_MASTER_KEY: 'master',
    STORAGE_DRIVER: 'fs',
    STORAGE_DIR: storage,
  };
  const { owner, outsider, organizationId: org, outsiderOrganizationId: otherOrg } = actors;
  const { id: project } = await makeProject(owner.client, { organizationId: org });
  const { id: otherProject } = await makeProject(outsider.client, { organizationId: otherOrg });
  const words = Array.from({ length: 400 }, (_, n) => `Sentence number ${n} tells of the river and the sea.`).join(' ');
  const [document, long, archived, theirs] = await Promise.all([
    makeDocument(owner.client, { projectId: project }),
    makeDocument(owner.client, { projectId: project, content: words }),
    makeDocument(owner.client, { projectId: project }),
    makeDocument(outsider.client, { projectId: otherProject }),
  ]);
  await owner.client.documents.archive.mutate({ id: archived.id });
  const { rows } = await admin.query<{ id: string }>(
    `insert into tasks (org_id, project_id, creator_id, title) values ($1, $2, $3, 'A task') returning id`,
    [org, project, owner.id],
  );
  ids = {
    org,
    project,
    otherOrg,
    document: document.id,
    long: long.id,
    archived: archived.id,
    theirs: theirs.id,
    task: rows[0]?.id ?? '',
  };
  const person = await newPerson(api, 'erased');
  erased = person.id;
  await person.client.users.erase.mutate({ password: person.password, confirm: 'erase me' });
  await behind(`update erasures set erased_at = now() - interval '1 hour'`);
  // No longer on their way through the stream; the worker's start pays what is owed then.
  await behind(`update documents set updated_at = now() - interval '1 hour'`);
  workers = await startJobs();
  await eventually(async () => expect((await replay('--projection all --wait')).code).toBe(0), { timeoutMs: 60_000 });
}, 120_000);
afterAll(async () => {
  await workers[Symbol.asyncDispose]();
  await queue.close();
  await admin[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
  await stub[Symbol.asyncDispose]();
  await rm(storage, { recursive: true });
});

function startJobs(): Promise<AsyncDisposable> {
  return api.startWorkers({
    WORKER_ROLES: ['jobs'],
    MEILI_URL: stub.url,
    MEILI_MASTER_KEY: 'master',
    STORAGE_DRIVER: 'fs',
    STORAGE_DIR: storage,
  });
}

/** Changes rows behind every trigger and key. */
async function behind(sql: string, values: readonly unknown[] = []): Promise<void> {
  await admin.query('begin');
  await admin.query(`set local session_replication_role = 'replica'`);
  await admin.query(sql, [...values]);
  await admin.query('commit');
}

interface Shown {
  name: string;
  missing: number;
  stale: number;
  extra: number;
  state: string;
  reason: string | null;
  examples: { kind: string; organizationId: string | null; id: string }[];
}

async function replay(args: string, changes: Record<string, string | undefined> = {}) {
  const { code, stdout, stderr } = await novax(`events replay ${args} -o json`, { ...env, ...changes });
  // Printed by the command under test.
  const { projections = [], left = [] } = JSON.parse(stdout || '{}') as { projections?: Shown[]; left?: Shown[] };
  return { code, stderr, projections, left };
}

/** Counts of those that differ, by name. */
function differing(shown: readonly Shown[]): Record<string, string> {
  return Object.fromEntries(
    shown
      .filter(({ state }) => state === 'differs')
      .map(({ name, missing, stale, extra }) => [name, `${missing} missing, ${stale} stale, ${extra} extra`]),
  );
}

/** What the outside could hear of, and the trail. */
async function heard(): Promise<Record<string, number>> {
  const { rows } = await admin.query(
    `select (select count(*) from events)::int as events, (select count(*) from mails)::int as mails,
            (select count(*) from notifications)::int as notifications, (select count(*) from webhook_deliveries)::int as webhooks,
            (select count(*) from inbox)::int as inbox, (select count(*) from dead_letters)::int as letters,
            (select count(*) from audit_log where entity_type <> 'projections')::int as trail,
            (select coalesce(sum(version), 0) from documents)::int as versions,
            (select extract(epoch from max(updated_at))::int from documents) as updated`,
  );
  return rows[0];
}

interface Breach {
  readonly what: string;
  readonly projection: string;
  readonly shows: string;
  readonly example: () => string;
  readonly cause: () => Promise<unknown>;
}

const copy = (id: string) => ({
  id,
  organizationId: ids.org,
  projectId: ids.project,
  title: 'Nobody wrote this',
  content: 'At any time.',
  status: 'active',
  updatedAt: 1,
});
const orphan = newId();

const breaches: readonly Breach[] = [
  {
    what: 'a membership that is gone',
    projection: 'memberships',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => actors.viewer.id,
    cause: () => behind('delete from app.memberships where user_id = $1', [actors.viewer.id]),
  },
  {
    what: 'a membership with another role',
    projection: 'memberships',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => actors.member.id,
    cause: () => behind(`update app.memberships set role = 'owner' where user_id = $1`, [actors.member.id]),
  },
  {
    what: 'a membership of somebody who is no member',
    projection: 'memberships',
    shows: '0 missing, 0 stale, 1 extra',
    example: () => actors.outsider.id,
    cause: () =>
      behind(`insert into app.memberships (user_id, org_id, role) values ($1, $2, 'owner')`, [
        actors.outsider.id,
        ids.org,
      ]),
  },
  {
    what: 'the words of another text',
    projection: 'document-texts',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.document,
    cause: () => behind(`update documents set search_vector = to_tsvector('other') where id = $1`, [ids.document]),
  },
  {
    what: 'no words at all',
    projection: 'document-texts',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => ids.document,
    cause: () => behind('update documents set search_vector = null where id = $1', [ids.document]),
  },
  {
    what: 'the hash of another text',
    projection: 'document-texts',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.archived,
    cause: () => behind(`update documents set content_hash = sha256('other') where id = $1`, [ids.archived]),
  },
  {
    what: 'vectors that are gone',
    projection: 'vectors',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => ids.document,
    cause: () => admin.query('delete from ai_embeddings where document_id = $1', [ids.document]),
  },
  {
    what: 'vectors of another text',
    projection: 'vectors',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.document,
    cause: () =>
      admin.query(`update ai_embeddings set content_hash = sha256('x') where document_id = $1`, [ids.document]),
  },
  {
    what: 'one vector of several that is gone',
    projection: 'vectors',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.long,
    cause: () => admin.query('delete from ai_embeddings where document_id = $1 and chunk_no = 1', [ids.long]),
  },
  {
    what: 'a count of vectors that is wrong',
    projection: 'embedding-counts',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.org,
    cause: () => behind('update org_stats set embedding_count = 4711 where org_id = $1', [ids.org]),
  },
  {
    what: 'a count of vectors that is gone',
    projection: 'embedding-counts',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => ids.org,
    cause: () => behind('delete from org_stats where org_id = $1', [ids.org]),
  },
  {
    what: 'a summary that is gone, though it is noted as made',
    projection: 'summaries',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => ids.document,
    cause: () => behind('update documents set ai_summary = null where id = $1', [ids.document]),
  },
  {
    what: 'a summary of another text',
    projection: 'summaries',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.long,
    cause: () =>
      behind(`update documents set ai_metadata = ai_metadata || '{"summary_of": "another"}' where id = $1`, [ids.long]),
  },
  {
    what: 'a document that the engine has lost, though it had confirmed it',
    projection: 'search-index',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => ids.document,
    cause: () => engine.remove([ids.document]),
  },
  {
    what: 'a document of which the engine holds another text',
    projection: 'search-index',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.document,
    cause: () => engine.upsert([copy(ids.document)]),
  },
  {
    what: 'an archived document that the engine still has',
    projection: 'search-index',
    shows: '0 missing, 0 stale, 1 extra',
    example: () => ids.archived,
    cause: () => engine.upsert([copy(ids.archived)]),
  },
  {
    what: 'a copy in the engine of what never was',
    projection: 'search-index',
    shows: '0 missing, 0 stale, 1 extra',
    example: () => orphan,
    cause: () => engine.upsert([copy(orphan)]),
  },
  {
    what: 'an erased person whom the list in the store has lost',
    projection: 'erasure-list',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => erased,
    cause: () => rm(join(storage, 'erasures', `${erased}.json`)),
  },
  {
    what: 'a view of documents that shows an old title, and does not know it',
    projection: 'mv_ai_document_context',
    shows: '0 missing, 1 stale, 0 extra',
    example: () => ids.archived,
    cause: () => behind(`update documents set ai_metadata = ai_metadata || '{"n": 1}' where id = $1`, [ids.archived]),
  },
  {
    what: 'a view of tasks that shows a task that is done',
    projection: 'mv_ai_task_intelligence',
    shows: '0 missing, 0 stale, 1 extra',
    example: () => ids.task,
    cause: () => behind(`update tasks set status = 'done' where id = $1`, [ids.task]),
  },
  {
    what: 'a view of tasks without one that is open again',
    projection: 'mv_ai_task_intelligence',
    shows: '1 missing, 0 stale, 0 extra',
    example: () => ids.task,
    cause: () => behind(`update tasks set status = 'todo' where id = $1`, [ids.task]),
  },
];

describe('one thing broken', () => {
  beforeEach(async () => {
    expect(differing((await replay('--projection all --dry-run')).projections)).toEqual({});
  });

  test.each(breaches)('$what is named, mended, and gone', async ({ projection, shows, example, cause }) => {
    await cause();
    const before = await heard();
    const dry = await replay('--projection all --dry-run');
    expect(dry.code).toBe(0);
    expect(differing(dry.projections)).toMatchObject({ [projection]: shows });
    const named = dry.projections.find(({ name }) => name === projection);
    expect(named?.examples.map(({ id }) => id)).toEqual([example()]);
    // A dry run leaves it as it was.
    expect(differing((await replay(`--projection ${projection} --dry-run`)).projections)).toEqual({
      [projection]: shows,
    });
    const rebuilt = await replay(`--projection ${projection} --wait`);
    expect({ code: rebuilt.code, found: differing(rebuilt.projections), left: differing(rebuilt.left) }).toEqual({
      code: 0,
      found: { [projection]: shows },
      left: {},
    });
    // What it was derived for in turn, such as a view that shows it.
    expect((await replay('--projection all --wait')).code).toBe(0);
    expect(differing((await replay('--projection all --dry-run')).projections)).toEqual({});
    expect(await heard()).toEqual(before);
  });
});

async function breakEverything(): Promise<void> {
  const { viewer, outsider } = actors;
  await behind('delete from app.memberships where user_id = any($1)', [[viewer.id, outsider.id]]);
  await behind(`update documents set search_vector = null, ai_summary = null, content_hash = sha256('x')`);
  await behind('delete from ai_embeddings');
  await engine.remove([ids.document, ids.long, ids.theirs]);
  await behind(`update tasks set title = 'Another' where id = $1`, [ids.task]);
}

test('everything broken at once is rebuilt, and the outbox, mails, notifications, webhooks and inbox stay as they were', async () => {
  await breakEverything();
  const before = await heard();
  const { rows: acts } = await admin.query(`select max(id) as last from audit_log`);
  const rebuilt = await replay('--projection all --wait');
  expect(Object.keys(differing(rebuilt.projections)).toSorted()).toEqual([
    'document-texts',
    'embedding-counts',
    'memberships',
    'mv_ai_document_context',
    'mv_ai_task_intelligence',
    'search-index',
    'summaries',
    'vectors',
  ]);
  expect({ code: rebuilt.code, left: differing(rebuilt.left) }).toEqual({ code: 0, left: {} });
  expect(differing((await replay('--projection all --dry-run')).projections)).toEqual({});
  expect(await heard()).toEqual(before);
  // The act is the operator's only trace.
  const { rows } = await admin.query(
    `select org_id, actor_type, action, new_value ->> 'rebuilt' as rebuilt from audit_log where id > $1 order by id`,
    [acts[0].last],
  );
  expect(rows).toHaveLength(8);
  expect(rows).toContainEqual({ org_id: null, actor_type: 'system', action: 'update', rebuilt: 'vectors' });
});

test('a rebuild of one organization leaves the others as they are', async () => {
  await breakEverything();
  await replay(`--projection all --organization ${ids.org} --wait`);
  expect(differing((await replay(`--projection all --organization ${ids.org} --dry-run`)).projections)).toEqual({});
  const left = differing((await replay(`--projection all --organization ${ids.otherOrg} --dry-run`)).projections);
  expect(Object.keys(left).toSorted()).toEqual([
    'document-texts',
    'embedding-counts',
    'memberships',
    'search-index',
    'summaries',
    'vectors',
  ]);
  expect((await replay('--projection all --wait')).code).toBe(0);
});

test('what jobs do is owed when the rebuild ends, once however often it is asked for, and they do it without a word though the reconciler finds it too', async () => {
  await workers[Symbol.asyncDispose]();
  await behind('delete from ai_embeddings where document_id = $1', [ids.document]);
  const before = await heard();
  for (let round = 0; round < 2; round++) {
    const shown = await novax('events replay --projection vectors', env);
    expect({ code: shown.code, text: shown.stdout }).toEqual({
      code: 0,
      text: expect.stringContaining('owed, workers do it'),
    });
  }
  expect((await queue.counts()).embedding.waiting).toBe(1);
  workers = await startJobs();
  await eventually(
    async () => expect(differing((await replay('--projection vectors --dry-run')).projections)).toEqual({}),
    { timeoutMs: 30_000, everyMs: 200 },
  );
  expect(await heard()).toEqual(before);
});

test('where there is no search engine the others are rebuilt; where it does not answer they are too, and it exits 1', async () => {
  await behind('delete from app.memberships where user_id = $1', [actors.viewer.id]);
  const without = await replay('--projection all --dry-run', { MEILI_URL: undefined });
  expect(without.code).toBe(0);
  expect(without.projections).toContainEqual(
    expect.objectContaining({ name: 'search-index', state: 'absent', reason: 'no search engine is configured' }),
  );
  const away = await replay('--projection all', { MEILI_URL: 'http://127.0.0.1:9' });
  expect(away.code).toBe(1);
  expect(away.left).toContainEqual(expect.objectContaining({ name: 'search-index', state: 'failed' }));
  expect(away.left).toContainEqual(expect.objectContaining({ name: 'memberships', state: 'equal' }));
  expect(away.projections).toContainEqual(expect.objectContaining({ name: 'memberships', missing: 1 }));
});

test('a member who is leaving while memberships are rebuilt has left', async () => {
  await behind('delete from app.memberships where user_id = $1', [actors.viewer.id]);
  await using leaver = await connect(api.database.adminUrl);
  await leaver.query('begin');
  await leaver.query('delete from org_members where user_id = $1 and org_id = $2', [actors.admin.id, ids.org]);
  const rebuilding = replay('--projection memberships');
  await eventually(async () => {
    const { rowCount } = await admin.query(
      `select from pg_locks where relation = 'app.memberships'::regclass and not granted`,
    );
    expect(rowCount).toBe(1);
  });
  await leaver.query('commit');
  expect(differing((await rebuilding).left)).toEqual({});
  const { rows } = await admin.query('select user_id from app.memberships where org_id = $1', [ids.org]);
  expect(rows.map((row) => row.user_id)).not.toContain(actors.admin.id);
  expect(rows.map((row) => row.user_id)).toContain(actors.viewer.id);
});

test.each([
  ['a projection that is none', '--projection nonsense'],
  ['a projection and a range', '--projection all --from 2026-01-01'],
  ['a projection and an aggregate', `--projection all --aggregate ${orphan}`],
  ['an organization that is none', '--projection all --organization x'],
  ['an organization without a projection', `--organization ${orphan}`],
  ['waiting without a projection', '--from 2026-01-01 --to 2026-01-02 --wait'],
  ['waiting for a dry run', '--projection all --dry-run --wait'],
  ['neither a projection nor a range', '--dry-run'],
])('%s is a usage error', async (_what, args) => {
  expect((await novax(`events replay ${args}`, env)).code).toBe(2);
});
