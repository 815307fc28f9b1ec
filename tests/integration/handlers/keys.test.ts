/** Procedures of `apiKeys`. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../kit/api.ts';
import { call, faces } from '../../kit/call.ts';
import { pathsOf, testGuarantees } from '../../kit/guarantees.ts';
import { makeWorld } from '../../kit/world.ts';

let api: TestApi;
let world: Awaited<ReturnType<typeof makeWorld>>;
beforeAll(async () => {
  api = await startTestApi();
  world = await makeWorld(api);
});
afterAll(() => api[Symbol.asyncDispose]());

describe.each(pathsOf('apiKeys'))('%s', (path) => testGuarantees(path, () => world));

test.each(faces)(
  'a key is made by %s (201 on the REST face), shown that once, listed, used and revoked',
  async (face) => {
    const { authorization, id: creatorId } = world.actors.admin;
    const { organizationId } = world.ids;
    const ask = (path: string, input: Record<string, unknown>) => call(api.url, path, { face, input, authorization });
    const scopes = ['document:read', 'project:read', 'document:read'];
    const created = await ask('apiKeys.create', { organizationId, name: '  Nightly import ', scopes });
    expect(created.status, created.text).toBe(face === 'rest' ? 201 : 200);
    // The contract's own output, checked by the API before it was sent.
    const { key, ...view } = created.data as { key: string; id: string; prefix: string };
    expect(view).toMatchObject({
      organizationId,
      creatorId,
      name: 'Nightly import',
      scopes: ['document:read', 'project:read'],
      status: 'active',
      lastUsedAt: null,
    });
    expect(key.startsWith(view.prefix)).toBe(true);
    const listed = await ask('apiKeys.list', { organizationId, limit: 100 });
    expect(listed.data, listed.text).toMatchObject({ items: expect.arrayContaining([view]) });
    expect(listed.text).not.toContain(key.slice(13));
    const input = { organizationId };
    const used = await call(api.url, 'projects.list', { face, input, authorization: `Bearer ${key}` });
    expect(used.status, used.text).toBe(200);
    expect((await ask('apiKeys.revoke', { id: view.id })).data).toEqual({ ok: true });
    expect((await ask('apiKeys.revoke', { id: view.id })).data).toEqual({ ok: true });
    const after = await ask('apiKeys.list', { organizationId, limit: 100 });
    expect(after.data).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ id: view.id, status: 'revoked' })]),
    });
  },
);

test('keys are listed newest first and once each over the pages', async () => {
  const { client } = world.actors.owner;
  const { organizationId } = world.ids;
  const made: string[] = [];
  for (let n = 0; n < 5; n += 1) {
    const { id } = await client.apiKeys.create.mutate({ organizationId, name: `Key ${n}`, scopes: ['search:read'] });
    made.unshift(id);
  }
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.apiKeys.list.query({
      organizationId,
      limit: 2,
      ...(cursor === undefined ? {} : { cursor }),
    });
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.slice(0, 5)).toEqual(made);
  expect(seen).toContain(world.ids.apiKeyId);
});
