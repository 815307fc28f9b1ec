/** One change, one transaction: the row, its audit entry and its event stand or fall together. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '@novax/db/tx';
import { createDocument } from '@novax/domain/documents/commands';
import type { Client } from 'pg';
import { makeActors, type Actors, testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';

let api: TestApi;
let actors: Actors;
let admin: Client & AsyncDisposable;
let projectId: string;
beforeAll(async () => {
  api = await startTestApi();
  actors = await makeActors(api);
  admin = await connect(api.database.adminUrl);
  ({ id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId }));
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

async function trailOf(id: string) {
  const one = async (text: string) => (await admin.query(text, [id])).rows;
  return {
    documents: await one('select title, version, updated_at from documents where id = $1'),
    audits: await one('select * from audit_log where entity_id = $1 order by id'),
    events: await one('select * from events where aggregate_id = $1 order by id'),
  };
}

/** Rows of the three tables in this organization; equal before and after means that nothing was written. */
async function counts() {
  const { rows } = await admin.query(
    `select (select count(*) from documents where org_id = $1) as documents, (select count(*) from audit_log where org_id = $1) as audits,
            (select count(*) from events where org_id = $1) as events`,
    [actors.organizationId],
  );
  return rows[0];
}

test('a created document has one audit row and one pending event of its own transaction', async () => {
  const requestId = unique('request');
  const { member } = actors;
  const input = { projectId, title: 'Kept', content: 'Text' };
  const answer = await call(api.url, 'documents.create', { input, authorization: member.authorization, requestId });
  // The contract's own output, checked by the API before it was sent.
  const { id } = answer.data as { id: string };
  const { rows } = await admin.query(
    `select d.xmin::text as document, a.xmin::text as audit, e.xmin::text as event
       from documents d join audit_log a on a.entity_id = d.id join events e on e.aggregate_id = d.id where d.id = $1`,
    [id],
  );
  expect(rows).toHaveLength(1);
  expect(new Set(Object.values(rows[0])).size).toBe(1);
  const { audits, events } = await trailOf(id);
  expect(audits).toMatchObject([
    {
      action: 'create',
      entity_type: 'documents',
      org_id: actors.organizationId,
      actor_type: 'user',
      actor_id: member.id,
      request_id: requestId,
      ip_address: '127.0.0.0/24',
      sealed: { ip: expect.any(String) },
      old_value: null,
    },
  ]);
  expect(events).toMatchObject([
    {
      event_type: 'document.created',
      status: 'pending',
      org_id: actors.organizationId,
      aggregate_version: 1,
      actor_id: member.id,
      request_id: requestId,
      payload: { documentId: id, projectId, version: 1 },
    },
  ]);
});

test('a rolled-back write leaves no document, no audit row and no event', async () => {
  await using db = Object.assign(await openDatabase({ url: api.database.url('novax_api'), poolMax: 1 }), {
    async [Symbol.asyncDispose]() {
      await db.close();
    },
  });
  const context = {
    orgId: actors.organizationId,
    actor: { type: 'user', userId: actors.owner.id },
    call: { requestId: null, ip: null, traceparent: null },
  } as const;
  const before = await counts();
  const failing = db.tenant(context, async (tx) => {
    await createDocument(tx, { projectId, title: 'Gone', content: '', status: 'active' });
    throw new Error('after everything was said');
  });
  await expect(failing).rejects.toThrow();
  expect(await counts()).toEqual(before);
});

test('a write whose event cannot be stored leaves nothing, and says INTERNAL without a reason', async () => {
  const before = await counts();
  await admin.query(
    `alter table events add constraint ck_test check (payload ->> 'projectId' <> '${projectId}') not valid`,
  );
  try {
    const input = { projectId, title: 'Gone', content: '' };
    const answer = await call(api.url, 'documents.create', { input, authorization: actors.owner.authorization });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.text).not.toContain('ck_test');
  } finally {
    await admin.query('alter table events drop constraint ck_test');
  }
  expect(await counts()).toEqual(before);
});

test('an update of a stale version is a VERSION_CONFLICT and writes nothing', async () => {
  const { client, authorization } = actors.member;
  const { id } = await makeDocument(client, { projectId });
  await client.documents.update.mutate({ id, version: 1, title: 'Second' });
  const before = await trailOf(id);
  const answer = await call(api.url, 'documents.update', { input: { id, version: 1, title: 'Stale' }, authorization });
  expect(answer).toMatchObject({ status: 409, code: 'VERSION_CONFLICT' });
  expect(await trailOf(id)).toEqual(before);
});

test('an update that changes nothing writes nothing', async () => {
  const { client } = actors.member;
  const { id, title } = await makeDocument(client, { projectId });
  const before = await trailOf(id);
  expect(await client.documents.update.mutate({ id, version: 1, title })).toMatchObject({ version: 1 });
  expect(await trailOf(id)).toEqual(before);
});

test('of ten updates of one version at once exactly one wins', async () => {
  const { client, authorization } = actors.member;
  const { id } = await makeDocument(client, { projectId });
  const titles = Array.from({ length: 10 }, (_, n) => `Version by ${n}`);
  const answers = await Promise.all(
    titles.map((title) => call(api.url, 'documents.update', { input: { id, version: 1, title }, authorization })),
  );
  expect(answers.map(({ code }) => code ?? 'OK').toSorted()).toEqual([
    'OK',
    ...Array.from({ length: 9 }, () => 'VERSION_CONFLICT'),
  ]);
  const winner = titles[answers.findIndex(({ code }) => code === undefined)];
  const { documents, audits, events } = await trailOf(id);
  expect(documents).toMatchObject([{ title: winner, version: 2 }]);
  expect(audits.map(({ action }) => action)).toEqual(['create', 'update']);
  expect(events.map(({ event_type }) => event_type)).toEqual(['document.created', 'document.updated']);
});

test('the events of one document are in the order of its versions, however its writers race', async () => {
  const { client } = actors.member;
  const { id } = await makeDocument(client, { projectId });
  const writer = async (name: string): Promise<void> => {
    for (let done = 0; done < 4;) {
      const { version } = await client.documents.get.query({ id });
      const outcome = await call(api.url, 'documents.update', {
        input: { id, version, title: unique(name) },
        authorization: actors.member.authorization,
      });
      if (outcome.code === undefined) done += 1;
    }
  };
  await Promise.all(['a', 'b', 'c'].map(writer));
  const { events } = await trailOf(id);
  expect(events.map(({ aggregate_version }) => aggregate_version)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
  expect(new Set(events.map(({ shard }) => shard)).size).toBe(1);
});

test('an audit row of a change holds only what changed, before and after', async () => {
  const { client } = actors.member;
  const { id } = await makeDocument(client, { projectId, title: 'Before' });
  await client.documents.update.mutate({ id, version: 1, title: 'After' });
  const { audits } = await trailOf(id);
  expect(audits[1]).toMatchObject({
    action: 'update',
    old_value: { title: 'Before', version: 1 },
    new_value: { title: 'After', version: 2 },
  });
  expect(Object.keys(audits[1].new_value).toSorted()).toEqual(['title', 'version']);
});

test('no audit row, event or session row ever holds a password or a token', async () => {
  const { owner } = actors;
  const tokens = owner.client.session.tokens();
  await call(api.url, 'auth.login', { input: { email: owner.email, password: 'wrong but secret' } });
  const { rows } = await admin.query(
    `select a::text as row from audit_log a union all select e::text from events e union all select s::text from sessions s union all select r::text from refresh_tokens r`,
  );
  expect(rows.length).toBeGreaterThan(10);
  const everything = rows.map(({ row }) => row).join('\n');
  const [sid = '', secret = ''] = tokens?.refreshToken.split('.') ?? [];
  for (const text of [testPassword, 'wrong but secret', tokens?.accessToken ?? '', sid, secret]) {
    expect(text).not.toBe('');
    expect(everything).not.toContain(text);
  }
  const { rows: keys } = await admin.query(
    `select distinct k from audit_log, lateral jsonb_object_keys(coalesce(old_value, '{}') || coalesce(new_value, '{}')) k`,
  );
  for (const { k } of keys) expect(k).not.toMatch(/password|token|secret|hash/i);
});

test('every mutation of the API on an organization leaves an audit row with the person, the address and the request', async () => {
  const { owner } = actors;
  const { rows: before } = await admin.query('select coalesce(max(id), 0) as id from audit_log');
  const organization = await owner.client.organizations.create.mutate({ name: 'Traced', slug: unique('traced') });
  await owner.client.organizations.update.mutate({ id: organization.id, name: 'Traced twice' });
  const project = await makeProject(owner.client, { organizationId: organization.id });
  await owner.client.projects.update.mutate({ id: project.id, name: 'Other' });
  await owner.client.projects.archive.mutate({ id: project.id });
  const document = await makeDocument(owner.client, { projectId: project.id });
  await owner.client.documents.archive.mutate({ id: document.id });
  await owner.client.documents.delete.mutate({ id: document.id });
  await owner.client.projects.delete.mutate({ id: project.id });
  await owner.client.organizations.delete.mutate({ id: organization.id });
  const { rows } = await admin.query('select * from audit_log where id > $1 order by id', [before[0].id]);
  expect(rows.map(({ entity_type, action }) => `${entity_type} ${action}`)).toEqual([
    'organizations create',
    'organizations update',
    'projects create',
    'projects update',
    'projects update',
    'documents create',
    'documents update',
    'documents delete',
    'projects delete',
    'organizations delete',
  ]);
  for (const row of rows)
    expect(row).toMatchObject({
      actor_id: owner.id,
      actor_type: 'user',
      ip_address: '127.0.0.0/24',
      sealed: { ip: expect.any(String) },
      request_id: expect.any(String),
      org_id: organization.id,
    });
});
