/** The purge: what is due goes for good with all it had, what is held, kept or another tenant's stays, and dying anywhere loses nothing. */
import { fakeBlobStore } from '@novax/adapters/fakes/blobs';
import { connectJobQueue } from '@novax/adapters/queues';
import { type Database, openDatabase } from '@novax/db/tx';
import { purgeDeleted, removeOwedBlobs } from '@novax/domain/upkeep/purge';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { newPerson, type Person, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { eventually } from '../kit/eventually.ts';
import { startProcess } from '../kit/faults/processes.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let db: Database;
let owner: Person;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 4 });
  owner = await newPerson(api, 'owner');
});
afterAll(async () => {
  await db.close();
  await admin[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

/** An organization of its own for each test. */
let orgId: string;
let projectId: string;
beforeEach(async () => {
  ({ id: orgId } = await owner.client.organizations.create.mutate({ name: 'Tidy', slug: unique('tidy') }));
  ({ id: projectId } = await makeProject(owner.client, { organizationId: orgId }));
});

const policy = (kind: string, days: number, of = orgId): Promise<unknown> =>
  admin.query(`insert into retention_policies (org_id, entity_type, retain_days) values ($1, $2, $3)`, [
    of,
    kind,
    days,
  ]);

type Kind = 'organizations' | 'projects' | 'documents' | 'tasks' | 'comments' | 'attachments';

/** Marks a row as deleted so many days ago, as the clock would have it. */
async function deletedAgo(kind: Kind, id: string, days: number): Promise<void> {
  await admin.query('begin');
  await admin.query(`set local session_replication_role = 'replica'`);
  await admin.query(`update ${kind} set status = 'deleted', updated_at = now() - $2 * interval '1 day' where id = $1`, [
    id,
    days,
  ]);
  await admin.query('commit');
}

async function document(): Promise<string> {
  return (await makeDocument(owner.client, { projectId, content: 'Something written.' })).id;
}

async function insert(sql: string, values: readonly unknown[]): Promise<string> {
  const { rows } = await admin.query<{ id: string }>(`${sql} returning id`, [...values]);
  return rows[0]?.id ?? '';
}
const task = (): Promise<string> =>
  insert(`insert into tasks (org_id, project_id, creator_id, title) values ($1, $2, $3, 'A task')`, [
    orgId,
    projectId,
    owner.id,
  ]);
const comment = (documentId: string, parentId: string | null = null): Promise<string> =>
  insert(`insert into comments (org_id, document_id, parent_id, author_id, body) values ($1, $2, $3, $4, 'A remark')`, [
    orgId,
    documentId,
    parentId,
    owner.id,
  ]);
const attachment = (on: 'document_id' | 'comment_id', id: string): Promise<string> =>
  insert(
    `insert into attachments (org_id, ${on}, uploader_id, file_name, media_type, size_bytes, storage_key) values ($1, $2, $3, 'a.txt', 'text/plain', 1, $4)`,
    [orgId, id, owner.id, `${orgId}/${unique('file')}`],
  );
const hold = (kind: Kind, id: string | null): Promise<string> =>
  insert(
    `insert into legal_holds (org_id, entity_type, entity_id, reason, creator_id) values ($1, $2, $3, 'A lawsuit', $4)`,
    [orgId, kind, id, owner.id],
  );
const release = (id: string): Promise<unknown> =>
  admin.query(`update legal_holds set status = 'released', released_at = now(), released_by_id = $2 where id = $1`, [
    id,
    owner.id,
  ]);

async function exists(kind: Kind, id: string): Promise<boolean> {
  return (await admin.query(`select from ${kind} where id = $1`, [id])).rowCount === 1;
}

async function purge(): Promise<Record<string, number>> {
  const purged: Record<string, number> = {};
  for (let next: string | null | undefined; next !== null;)
    ({ next } = await purgeDeleted(
      { db, purged: (table, rows) => (purged[table] = (purged[table] ?? 0) + rows) },
      next,
    ));
  return purged;
}

async function trailOf(id: string): Promise<string[]> {
  const { rows } = await admin.query(
    `select action || ' ' || entity_type || ' by ' || actor_type as row from audit_log where entity_id = $1 and actor_type = 'system' and org_id = $2`,
    [id, orgId],
  );
  return rows.map(({ row }) => row);
}

test('a document deleted 31 days ago goes with its versions, remarks, files and vectors, and leaves its trail and its event; younger ones stay', async () => {
  const [old, young, alive] = [await document(), await document(), await document()];
  await owner.client.documents.update.mutate({ id: old, version: 1, title: 'Twice' });
  const remark = await comment(old);
  const file = await attachment('document_id', old);
  await admin.query(
    `insert into ai_embeddings (org_id, document_id, model_id, dims, char_from, char_to, content_hash, embedding)
     select $1, $2, 1, 512, 0, 1, sha256('x'), array_fill(0.1, array[1536])::vector`,
    [orgId, old],
  );
  await deletedAgo('documents', old, 31);
  await deletedAgo('documents', young, 29);
  expect(await purge()).toMatchObject({ documents: 1 });
  expect([await exists('documents', old), await exists('documents', young), await exists('documents', alive)]).toEqual([
    false,
    true,
    true,
  ]);
  expect([await exists('comments', remark), await exists('attachments', file)]).toEqual([false, false]);
  for (const table of ['document_versions', 'ai_embeddings'])
    expect((await admin.query(`select from ${table} where document_id = $1`, [old])).rowCount, table).toBe(0);
  expect(await trailOf(old)).toEqual(['delete documents by system']);
  const { rows } = await admin.query(
    `select actor_type, payload from events where aggregate_id = $1 and event_type = 'document.purged'`,
    [old],
  );
  expect(rows).toEqual([{ actor_type: 'system', payload: { documentId: old, projectId, version: 3 } }]);
  expect(await purge()).toMatchObject({ documents: 0 });
});

test('an organization says itself how long it keeps what is deleted; others are not touched by it', async () => {
  const mine = await document();
  const { id: otherOrg } = await owner.client.organizations.create.mutate({ name: 'Other', slug: unique('other') });
  const { id: otherProject } = await makeProject(owner.client, { organizationId: otherOrg });
  const { id: theirs } = await makeDocument(owner.client, { projectId: otherProject });
  await deletedAgo('documents', mine, 8);
  await deletedAgo('documents', theirs, 8);
  await admin.query(`insert into retention_policies (org_id, entity_type, retain_days) values ($1, 'documents', 7)`, [
    orgId,
  ]);
  await purge();
  expect([await exists('documents', mine), await exists('documents', theirs)]).toEqual([false, true]);
  await admin.query(`insert into retention_policies (org_id, entity_type, retain_days) values ($1, 'documents', 365)`, [
    otherOrg,
  ]);
  await deletedAgo('documents', theirs, 364);
  await purge();
  expect(await exists('documents', theirs)).toBe(true);
});

test.each([
  ['the document', 'documents', 'document'],
  ['all documents', 'documents', null],
  ['its project', 'projects', 'project'],
  ['all projects', 'projects', null],
  ['the organization', 'organizations', 'organization'],
  ['a remark on it', 'comments', 'comment'],
  ['a file of it', 'attachments', 'attachment'],
  ['a file of a remark on it', 'attachments', 'remark file'],
  ['all files', 'attachments', null],
] as const)('a hold on %s keeps a deleted document, until it is released', async (_what, kind, target) => {
  const id = await document();
  const remark = await comment(id);
  const targets = {
    'document': id,
    'project': projectId,
    'organization': orgId,
    'comment': remark,
    'attachment': await attachment('document_id', id),
    'remark file': await attachment('comment_id', remark),
  };
  await deletedAgo('documents', id, 400);
  const held = await hold(kind, target === null ? null : targets[target]);
  // A hold on something else keeps nothing.
  await hold('documents', await document());
  await purge();
  expect(await exists('documents', id)).toBe(true);
  expect(await exists('comments', remark)).toBe(true);
  await release(held);
  await purge();
  expect(await exists('documents', id)).toBe(false);
});

test('a project deleted 31 days ago goes with what is in it, but not while a part of it is held', async () => {
  const [held, free] = [await document(), await document()];
  const work = await task();
  const { id: living } = await makeProject(owner.client, { organizationId: orgId });
  const lawsuit = await hold('documents', held);
  await deletedAgo('projects', projectId, 31);
  await purge();
  expect([await exists('documents', free), await exists('tasks', work)]).toEqual([false, false]);
  expect([
    await exists('documents', held),
    await exists('projects', projectId),
    await exists('projects', living),
  ]).toEqual([true, true, true]);
  await release(lawsuit);
  await purge();
  expect([
    await exists('documents', held),
    await exists('projects', projectId),
    await exists('projects', living),
  ]).toEqual([false, false, true]);
  expect(await trailOf(projectId)).toEqual(['delete projects by system']);
});

test('a deleted remark stays while an answer to it does, and goes after it', async () => {
  const id = await document();
  const parent = await comment(id);
  const answer = await comment(id, parent);
  await deletedAgo('comments', parent, 31);
  await purge();
  expect([await exists('comments', parent), await exists('comments', answer)]).toEqual([true, true]);
  await deletedAgo('comments', answer, 31);
  expect(await purge()).toMatchObject({ comments: 2 });
  expect([await exists('comments', parent), await exists('comments', answer)]).toEqual([false, false]);
});

test('a purge that is told to stop begins no further batch; the next one goes on', async () => {
  for (let n = 0; n < 2; n += 1) await deletedAgo('documents', await document(), 31);
  const stop = new AbortController();
  const purged: number[] = [];
  const stopped = purgeDeleted({
    db,
    signal: stop.signal,
    purged: (_table, rows) => {
      purged.push(rows);
      stop.abort(new Error('told to stop'));
    },
  });
  await expect(stopped).rejects.toThrow('told to stop');
  expect(purged).toHaveLength(1);
  await purge();
});

test('files follow their rows, also those that went with a document; a store that fails is asked again', async () => {
  const blobs = fakeBlobStore();
  // What earlier tests owe.
  await removeOwedBlobs({ db, blobs });
  const id = await document();
  const files = [await attachment('document_id', id), await attachment('comment_id', await comment(id))];
  const alone = await attachment('document_id', await document());
  const kept = await attachment('document_id', await document());
  const { rows } = await admin.query<{ id: string; storage_key: string }>(
    'select id, storage_key from attachments where org_id = $1',
    [orgId],
  );
  const keys = new Map(rows.map((row) => [row.id, row.storage_key]));
  for (const key of keys.values()) await blobs.put(key, Buffer.from('x'), 'text/plain');
  await deletedAgo('documents', id, 31);
  await deletedAgo('attachments', alone, 31);
  await purge();
  await expect(
    removeOwedBlobs({ db, blobs: { ...blobs, remove: () => Promise.reject(new Error('the store is away')) } }),
  ).rejects.toThrow('away');
  const stop = new AbortController();
  const once = {
    ...blobs,
    remove: async (key: string) => {
      await blobs.remove(key);
      stop.abort(new Error('told to stop'));
    },
  };
  await expect(removeOwedBlobs({ db, blobs: once, signal: stop.signal })).rejects.toThrow('told to stop');
  expect(await removeOwedBlobs({ db, blobs })).toBe(2);
  for (const [file, key] of keys) expect(await blobs.exists(key), key).toBe(file === kept);
  expect([...files, alone]).toHaveLength(3);
  expect(await removeOwedBlobs({ db, blobs })).toBe(0);
});

test('an organization deleted 31 days ago goes with everything, but for its trail and events; a hold keeps it', async () => {
  const id = await document();
  await task();
  const lawsuit = await hold('organizations', null);
  await owner.client.organizations.delete.mutate({ id: orgId });
  await deletedAgo('organizations', orgId, 31);
  await purge();
  expect([await exists('organizations', orgId), await exists('documents', id)]).toEqual([true, true]);
  await release(lawsuit);
  expect(await purge()).toMatchObject({ organizations: 1, projects: 1 });
  expect([await exists('organizations', orgId), await exists('documents', id)]).toEqual([false, false]);
  for (const table of ['org_members', 'app.memberships', 'legal_holds'])
    expect((await admin.query(`select from ${table} where org_id = $1`, [orgId])).rowCount, table).toBe(0);
  expect(await trailOf(orgId)).toEqual(['delete organizations by system']);
  expect((await admin.query(`select from events where org_id = $1`, [orgId])).rowCount).toBeGreaterThan(2);
});

/** A document of which version 1 was superseded that many days ago, and version 2 today. */
async function revised(days: number): Promise<string> {
  const id = await document();
  await owner.client.documents.update.mutate({ id, version: 1, title: 'Twice' });
  await admin.query(`update document_versions set created_at = now() - $2 * interval '1 day' where document_id = $1`, [
    id,
    days,
  ]);
  await owner.client.documents.update.mutate({ id, version: 2, title: 'Thrice' });
  return id;
}

async function versionsOf(id: string): Promise<number[]> {
  const { rows } = await admin.query<{ version: number }>(
    'select version from document_versions where document_id = $1 order by version',
    [id],
  );
  return rows.map(({ version }) => version);
}

test('versions superseded longer ago than the policy says go, each with its trail; without a policy they all stay', async () => {
  const [old, young] = [await revised(91), await revised(89)];
  await purge();
  expect([await versionsOf(old), await versionsOf(young)]).toEqual([
    [1, 2],
    [1, 2],
  ]);
  const { rows } = await admin.query('select id from document_versions where document_id = $1 and version = 1', [old]);
  await policy('document_versions', 90);
  expect(await purge()).toMatchObject({ document_versions: 1 });
  expect([await versionsOf(old), await versionsOf(young)]).toEqual([[2], [1, 2]]);
  expect(await trailOf(rows[0].id)).toEqual(['delete document_versions by system']);
  const trail = await admin.query('select old_value from audit_log where entity_id = $1', [rows[0].id]);
  expect(trail.rows).toEqual([{ old_value: expect.objectContaining({ purged: true, version: 1, documentId: old }) }]);
  expect(await exists('documents', old)).toBe(true);
});

test.each([
  ['the document', 'documents', 'document'],
  ['its project', 'projects', 'project'],
  ['the organization', 'organizations', null],
] as const)('a hold on %s keeps its versions, until it is released', async (_what, kind, target) => {
  const id = await revised(400);
  await policy('document_versions', 90);
  const held = await hold(kind, target === null ? null : { document: id, project: projectId }[target]);
  await purge();
  expect(await versionsOf(id)).toEqual([1, 2]);
  await release(held);
  await purge();
  expect(await versionsOf(id)).toEqual([2]);
});

test('notifications older than the policy says go, read or not; a hold on the organization keeps them, and so does having no policy', async () => {
  const notify = (days: number, status: string): Promise<string> =>
    insert(
      `insert into notifications (org_id, user_id, kind, title, status, created_at) values ($1, $2, 'test', 'Something', $4, now() - $3 * interval '1 day')`,
      [orgId, owner.id, days, status],
    );
  const [read, unread, young] = [await notify(31, 'read'), await notify(31, 'unread'), await notify(29, 'read')];
  const left = async (): Promise<string[]> =>
    (await admin.query<{ id: string }>('select id from notifications where org_id = $1', [orgId])).rows
      .map(({ id }) => id)
      .toSorted();
  const all = [read, unread, young].toSorted();
  await purge();
  expect(await left()).toEqual(all);
  await policy('notifications', 30);
  const held = await hold('organizations', null);
  await purge();
  expect(await left()).toEqual(all);
  await release(held);
  expect(await purge()).toMatchObject({ notifications: 2 });
  expect(await left()).toEqual([young]);
  expect(await trailOf(unread)).toEqual(['delete notifications by system']);
});

test('an organization says itself how long it is kept once it is deleted, with all that is in it', async () => {
  const { id: longer } = await owner.client.organizations.create.mutate({ name: 'Longer', slug: unique('longer') });
  const { id: kept } = await makeProject(owner.client, { organizationId: longer });
  const mine = await document();
  await policy('organizations', 7);
  await policy('organizations', 90, longer);
  for (const [id, days] of [
    [orgId, 6],
    [longer, 89],
  ] as const) {
    await owner.client.organizations.delete.mutate({ id });
    await deletedAgo('organizations', id, days);
  }
  await purge();
  expect([await exists('documents', mine), await exists('projects', kept)]).toEqual([true, true]);
  await deletedAgo('organizations', orgId, 8);
  await purge();
  expect([await exists('organizations', orgId), await exists('documents', mine)]).toEqual([false, false]);
  expect([await exists('organizations', longer), await exists('projects', kept)]).toEqual([true, true]);
});

/** Deleted documents without the way through the API. */
async function manyDeleted(at: Client, count: number): Promise<void> {
  await at.query(
    `insert into documents (org_id, project_id, author_id, title, language, status, updated_at)
     select p.org_id, p.id, o.owner_id, 'Old', 'english', 'deleted', now() - interval '40 days'
       from (select * from projects order by created_at desc limit 1) p join organizations o on o.id = p.org_id, generate_series(1, $1)`,
    [count],
  );
}

/** Rows left, rows in the trail, events, of the organization that `manyDeleted` filled. */
async function purgeTally(at: Client): Promise<{ left: number; trail: number; events: number }> {
  const count = async (sql: string): Promise<number> =>
    Number(
      (await at.query(`${sql} and org_id = (select org_id from projects order by created_at desc limit 1)`)).rows[0].n,
    );
  return {
    left: await count('select count(*) as n from documents where true'),
    trail: await count(`select count(*) as n from audit_log where action = 'delete' and actor_type = 'system'`),
    events: await count(`select count(*) as n from events where event_type = 'document.purged'`),
  };
}

test('a run ends when it has had its share, and says where the next one goes on', async () => {
  await manyDeleted(admin, 450);
  const shares: number[] = [];
  for (let next: string | null | undefined; next !== null;) {
    const before = (await purgeTally(admin)).left;
    ({ next } = await purgeDeleted({ db, purged: () => undefined, batchesMax: 2 }, next));
    shares.push(before - (await purgeTally(admin)).left);
  }
  expect(shares.filter((rows) => rows > 0)).toEqual([200, 200, 50]);
  expect(await purgeTally(admin)).toEqual({ left: 0, trail: 450, events: 450 });
});

test('a long purge lets other upkeep run in between, and goes on by itself', { timeout: 120_000 }, async () => {
  await using own = await startTestApi();
  await using at = await connect(own.database.adminUrl);
  const person = await newPerson(own, 'owner');
  const { id: organizationId } = await person.client.organizations.create.mutate({
    name: 'Tidy',
    slug: unique('tidy'),
  });
  await makeProject(person.client, { organizationId });
  await manyDeleted(at, 4_100);
  const queue = await connectJobQueue({
    url: servers().queueRedisUrl,
    prefix: own.workersEnv.QUEUE_PREFIX,
    log: quiet,
  });
  // A sign of the other job: it marks what has expired.
  await at.query(
    `insert into invitations (org_id, inviter_id, email, email_normalized, token_hash, expires_at)
       values ($1, $2, 'late@example.com', 'late@example.com', sha256('late'), now() - interval '1 hour')`,
    [organizationId, person.id],
  );
  await queue.add([
    { name: 'purge-deleted', id: 'first', payload: {} },
    { name: 'sweep-expired', id: 'second', payload: {} },
  ]);
  await queue.close();
  await using _workers = await own.startWorkers({ WORKER_ROLES: ['jobs'] });
  await eventually(async () => expect((await purgeTally(at)).left).toBe(0), { timeoutMs: 60_000, everyMs: 100 });
  expect(await purgeTally(at)).toEqual({ left: 0, trail: 4_100, events: 4_100 });
  const { rows } = await at.query(
    `select (select max(id) from audit_log where entity_type = 'invitations' and actor_type = 'system') <
              (select max(id) from audit_log where entity_type = 'documents' and actor_type = 'system') as between`,
  );
  expect(rows).toEqual([{ between: true }]);
});

test('two purges at once purge each row once', async () => {
  await manyDeleted(admin, 450);
  const started = performance.now();
  await Promise.all([purge(), purge()]);
  process.stdout.write(`two purges of 450 documents at once: ${Math.round(performance.now() - started)} ms\n`);
  expect(await purgeTally(admin)).toEqual({ left: 0, trail: 450, events: 450 });
});

test(
  'killed in the middle, before a commit and after one, the purge leaves whole batches, and the next one finishes',
  { timeout: 60_000 },
  async () => {
    // A database of its own: nothing else to do for the worker, so that it dies where it is meant to.
    await using own = await startTestApi();
    await using at = await connect(own.database.adminUrl);
    const person = await newPerson(own, 'owner');
    const { id: organizationId } = await person.client.organizations.create.mutate({
      name: 'Tidy',
      slug: unique('tidy'),
    });
    await makeProject(person.client, { organizationId });
    await manyDeleted(at, 450);
    // The first two transactions look for files and remarks.
    for (const [crash, left] of [
      ['tx.before_commit:5', 250],
      ['tx.after_commit:4', 50],
    ] as const) {
      await using worker = await startProcess({
        script: 'apps/workers/src/main.ts',
        env: {
          ...own.workersEnv,
          METRICS_PORT: 0,
          QUEUE_PREFIX: unique('purge'),
          WORKER_ROLES: ['jobs', 'schedules'],
          NOVAX_CRASH_AT: crash,
        },
        ready: /"working"/,
      });
      expect(await worker.ended).toBe('SIGKILL');
      expect(await purgeTally(at), crash).toEqual({ left, trail: 450 - left, events: 450 - left });
    }
    await using worker = await openDatabase({ url: own.database.url('novax_worker'), poolMax: 1 }).then((it) => ({
      db: it,
      [Symbol.asyncDispose]: () => it.close(),
    }));
    await purgeDeleted({ db: worker.db, purged: () => undefined });
    expect(await purgeTally(at)).toEqual({ left: 0, trail: 450, events: 450 });
  },
);
