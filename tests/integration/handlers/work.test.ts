/** Procedures of `projects`, `documents` and `search`. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../kit/api.ts';
import { addMember, newPerson, unique } from '../../kit/actors.ts';
import { call, faces, rowOf } from '../../kit/call.ts';
import { makeDocument, makeOrganization, makeProject } from '../../kit/factories.ts';
import { expectError, pathsOf, testGuarantees } from '../../kit/guarantees.ts';
import { makeWorld, validInput } from '../../kit/world.ts';

let api: TestApi;
let world: Awaited<ReturnType<typeof makeWorld>>;
beforeAll(async () => {
  api = await startTestApi();
  world = await makeWorld(api);
});
afterAll(() => api[Symbol.asyncDispose]());

describe.each(pathsOf('projects', 'documents', 'search'))('%s', (path) => testGuarantees(path, () => world));

test.each(faces)(
  'a project is created (201 on the REST face), read, changed, listed, archived and deleted by %s',
  async (face) => {
    const { authorization } = world.actors.admin;
    const { organizationId } = world.ids;
    const ask = (path: string, input: Record<string, unknown>) => call(api.url, path, { face, input, authorization });
    const created = await ask('projects.create', { organizationId, name: 'Atlas', aiContext: { domain: 'maps' } });
    expect(created.status, created.text).toBe(face === 'rest' ? 201 : 200);
    expect(created.data).toMatchObject({
      organizationId,
      name: 'Atlas',
      description: '',
      status: 'active',
      aiContext: { domain: 'maps' },
    });
    // The contract's own output, checked by the API before it was sent.
    const { id } = created.data as { id: string };
    expect((await ask('projects.get', { id })).data).toEqual(created.data);
    const updated = await ask('projects.update', { id, description: 'All of them.' });
    expect(updated.data, updated.text).toMatchObject({
      id,
      name: 'Atlas',
      description: 'All of them.',
      aiContext: { domain: 'maps' },
    });
    expect((await ask('projects.list', { organizationId })).data).toMatchObject({
      items: expect.arrayContaining([updated.data]),
    });
    expect((await ask('projects.archive', { id })).data).toMatchObject({ id, status: 'archived' });
    expect((await ask('projects.archive', { id })).data).toMatchObject({ id, status: 'archived' });
    expect((await ask('projects.delete', { id })).data).toEqual({ id, status: 'deleted' });
    expectError(await ask('projects.get', { id }), 'NOT_FOUND', face);
    expectError(await ask('projects.delete', { id }), 'NOT_FOUND', face);
  },
);

test.each(faces)(
  'a document is created (201 on the REST face), read, changed, listed, archived and deleted by %s',
  async (face) => {
    const { member } = world.actors;
    const { authorization } = member;
    const { organizationId } = world.ids;
    const { id: projectId } = await makeProject(member.client, { organizationId });
    const ask = (path: string, input: Record<string, unknown>) => call(api.url, path, { face, input, authorization });
    const created = await ask('documents.create', { projectId, title: ' Rivers ', content: 'Water that runs.' });
    expect(created.status, created.text).toBe(face === 'rest' ? 201 : 200);
    const expected = {
      organizationId,
      projectId,
      authorId: member.id,
      title: 'Rivers',
      content: 'Water that runs.',
      status: 'active',
      version: 1,
      aiSummary: null,
    };
    expect(created.data).toMatchObject(expected);
    // The contract's own output, checked by the API before it was sent.
    const { id } = created.data as { id: string };
    expect((await ask('documents.get', { id })).data).toEqual(created.data);
    const updated = await ask('documents.update', { id, version: 1, content: 'Water that runs downhill.' });
    expect(updated.data, updated.text).toMatchObject({ ...expected, content: 'Water that runs downhill.', version: 2 });
    expectError(await ask('documents.update', { id, version: 1, content: 'Stale.' }), 'VERSION_CONFLICT', face);
    const list = await ask('documents.list', { projectId });
    expect(list.data).toMatchObject({ items: [{ id, version: 2 }], nextCursor: null });
    expect(list.text).not.toContain('downhill');
    expect((await ask('documents.archive', { id })).data).toMatchObject({ id, status: 'archived' });
    expect((await ask('documents.delete', { id })).data).toEqual({ id, status: 'deleted' });
    expectError(await ask('documents.get', { id }), 'NOT_FOUND', face);
    expect((await ask('documents.list', { projectId })).data).toEqual({ items: [], nextCursor: null });
  },
);

test('pages of documents hold each one once, newest first, also those of one millisecond', async () => {
  const { client } = world.actors.member;
  const { id: projectId } = await makeProject(client, { organizationId: world.ids.organizationId });
  const made = await Promise.all(Array.from({ length: 7 }, () => makeDocument(client, { projectId })));
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.documents.list.query({
      projectId,
      limit: 3,
      ...(cursor === undefined ? {} : { cursor }),
    });
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toHaveLength(7);
  expect(new Set(seen)).toEqual(new Set(made.map(({ id }) => id)));
});

test('a document cannot be made in a deleted project, nor be read or changed there', async () => {
  const { client, authorization } = world.actors.owner;
  const { id: projectId } = await makeProject(client, { organizationId: world.ids.organizationId });
  const { id } = await makeDocument(client, { projectId });
  await client.projects.delete.mutate({ id: projectId });
  for (const [path, input] of [
    ['documents.create', { projectId, title: 'Late', content: '' }],
    ['documents.get', { id }],
    ['documents.list', { projectId }],
    ['documents.update', { id, version: 1, title: 'Late' }],
  ] as const) {
    expectError(await call(api.url, path, { input, authorization }), 'NOT_FOUND', 'trpc');
  }
});

test.each(faces)('search.query finds by words what a viewer may read, by %s', async (face) => {
  const { owner, viewer } = world.actors;
  const { organizationId, projectId } = world.ids;
  const word = unique('zebra');
  const { id } = await makeDocument(owner.client, { projectId, title: 'Stripes', content: `About one ${word} only.` });
  const answer = await call(api.url, 'search.query', {
    face,
    input: { organizationId, q: word, mode: 'fulltext', limit: 3 },
    authorization: viewer.authorization,
  });
  expect(answer.data, answer.text).toMatchObject({
    hits: [{ type: 'document', id, projectId, title: 'Stripes', score: expect.any(Number) }],
    engine: 'postgres',
  });
});

test('GET /api/v1/documents?q= is search', async () => {
  const { viewer } = world.actors;
  const word = unique('okapi');
  const { id } = await makeDocument(world.actors.owner.client, { projectId: world.ids.projectId, content: word });
  const query = new URLSearchParams({ q: word, organizationId: world.ids.organizationId, mode: 'fulltext' });
  const response = await fetch(`${api.url}/api/v1/documents?${query.toString()}`, {
    headers: { authorization: viewer.authorization },
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ hits: [{ id }] });
});

test('an owner elsewhere is still only a viewer here', async () => {
  const { client, authorization, id: userId } = await newPerson(api, 'both');
  const { organizationId } = world.ids;
  const { id: ownOrganization } = await makeOrganization(client);
  const { id: ownProject } = await makeProject(client, { organizationId: ownOrganization });
  await makeDocument(client, { projectId: ownProject });
  await addMember(api, { organizationId, userId, role: 'viewer' });
  for (const path of pathsOf('organizations', 'projects', 'documents').filter(
    (one) => rowOf(one).kind === 'mutation' && rowOf(one).target !== undefined,
  )) {
    const input = validInput(path, world.ids);
    expectError(await call(api.url, path, { input, authorization }), 'FORBIDDEN', 'trpc');
  }
});
