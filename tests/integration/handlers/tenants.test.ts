/** Procedures of `organizations` and `members`. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMember, newPerson, unique } from '../../kit/actors.ts';
import { startTestApi, type TestApi } from '../../kit/api.ts';
import { call, faces } from '../../kit/call.ts';
import { makeDocument, makeOrganization, makeProject } from '../../kit/factories.ts';
import { expectError, pathsOf, testGuarantees } from '../../kit/guarantees.ts';
import { makeWorld } from '../../kit/world.ts';

let api: TestApi;
let world: Awaited<ReturnType<typeof makeWorld>>;
beforeAll(async () => {
  api = await startTestApi();
  world = await makeWorld(api);
});
afterAll(() => api[Symbol.asyncDispose]());

describe.each(pathsOf('organizations', 'members'))('%s', (path) => testGuarantees(path, () => world));

test.each(faces)('organizations.create makes the caller its owner by %s, with 201 on the REST face', async (face) => {
  const { viewer } = world.actors;
  const slug = unique('made');
  const answer = await call(api.url, 'organizations.create', {
    face,
    input: { name: '  Made  ', slug },
    authorization: viewer.authorization,
  });
  expect(answer.status, answer.text).toBe(face === 'rest' ? 201 : 200);
  expect(answer.data).toMatchObject({ name: 'Made', slug, ownerId: viewer.id, status: 'active', settings: {} });
  const { organizations } = await viewer.client.users.me.query({});
  expect(organizations).toContainEqual(expect.objectContaining({ slug, role: 'owner' }));
});

test('a slug can be taken once', async () => {
  const { owner, outsider } = world.actors;
  const { slug } = await makeOrganization(owner.client);
  const again = await call(api.url, 'organizations.create', {
    input: { name: 'Again', slug },
    authorization: outsider.authorization,
  });
  expectError(again, 'ALREADY_EXISTS', 'trpc');
});

test.each(faces)('organizations.get, update and list answer a member by %s', async (face) => {
  const { admin } = world.actors;
  const { authorization } = admin;
  const { organizationId: id } = world.ids;
  const name = unique('Renamed ');
  const updated = await call(api.url, 'organizations.update', {
    face,
    input: { id, name, settings: { colour: 'blue' } },
    authorization,
  });
  expect(updated.data, updated.text).toMatchObject({ id, name, settings: { colour: 'blue' } });
  const got = await call(api.url, 'organizations.get', { face, input: { id }, authorization });
  expect(got.data).toEqual(updated.data);
  const listed = await call(api.url, 'organizations.list', { face, input: { limit: 5 }, authorization });
  expect(listed.data).toEqual({ items: [updated.data], nextCursor: null });
});

test.each(faces)('members.list names every member and their role once over its pages by %s', async (face) => {
  const { owner, admin, member, viewer } = world.actors;
  const seen = new Map<string, string>();
  let cursor: string | null = null;
  do {
    const input: Record<string, unknown> = {
      organizationId: world.ids.organizationId,
      limit: 3,
      ...(cursor === null ? {} : { cursor }),
    };
    const answer = await call(api.url, 'members.list', { face, input, authorization: viewer.authorization });
    expect(answer.status, answer.text).toBe(200);
    // The contract's own output, checked by the API before it was sent.
    const page = answer.data as { items: { userId: string; role: string }[]; nextCursor: string | null };
    for (const { userId, role } of page.items) {
      expect(seen.has(userId)).toBe(false);
      seen.set(userId, role);
    }
    cursor = page.nextCursor;
  } while (cursor !== null);
  expect(Object.fromEntries(seen)).toEqual({
    [owner.id]: 'owner',
    [admin.id]: 'admin',
    [member.id]: 'member',
    [viewer.id]: 'viewer',
    [world.ids.memberId]: 'viewer',
  });
});

test('ownership moves to another member, and the owner before is an admin from then on', async () => {
  const { owner, member, outsider } = world.actors;
  const organization = await makeOrganization(owner.client);
  const transfer = (toUserId: string, authorization: string) =>
    call(api.url, 'organizations.transferOwnership', { input: { id: organization.id, toUserId }, authorization });
  expectError(await transfer(outsider.id, owner.authorization), 'NOT_FOUND', 'trpc');
  await addMember(api, { organizationId: organization.id, userId: member.id, role: 'viewer' });
  const answer = await transfer(member.id, owner.authorization);
  expect(answer.data, answer.text).toMatchObject({ id: organization.id, ownerId: member.id });
  const { items } = await member.client.members.list.query({ organizationId: organization.id });
  expect(Object.fromEntries(items.map(({ userId, role }) => [userId, role]))).toEqual({
    [member.id]: 'owner',
    [owner.id]: 'admin',
  });
  expectError(await transfer(owner.id, owner.authorization), 'FORBIDDEN', 'trpc');
});

test.each(faces)(
  'an organization deleted by %s is out of sight with everything in it, at once and for its owner',
  async (face) => {
    const { client, authorization } = await newPerson(api);
    const { id } = await makeOrganization(client);
    const { id: projectId } = await makeProject(client, { organizationId: id });
    const { id: documentId } = await makeDocument(client, { projectId });
    const answer = await call(api.url, 'organizations.delete', { face, input: { id }, authorization });
    expect(answer.data, answer.text).toEqual({ id, status: 'deleted' });
    for (const [path, input] of [
      ['organizations.get', { id }],
      ['organizations.delete', { id }],
      ['projects.get', { id: projectId }],
      ['documents.get', { id: documentId }],
      ['documents.update', { id: documentId, version: 1, title: 'Too late' }],
      ['search.query', { organizationId: id, q: 'words' }],
    ] as const) {
      expectError(await call(api.url, path, { face, input, authorization }), 'NOT_FOUND', face);
    }
    expect(await client.organizations.list.query({})).toEqual({ items: [], nextCursor: null });
  },
);
