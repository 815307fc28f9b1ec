/** Searches that were asked before: answered from the cache, to those alone who may see the answer, and not beyond the next change. */
import { cacheKeys } from '@novax/contracts/cache-keys';
import type { SearchMode } from '@novax/contracts/api/search';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMember, newPerson, unique } from '../kit/actors.ts';
import { startTestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { startSearchYard, type SearchYard } from '../kit/search-yard.ts';
import { servers } from '../kit/servers.ts';

let yard: SearchYard;
beforeAll(async () => {
  yard = await startSearchYard();
});
afterAll(() => yard[Symbol.asyncDispose]());

const owner = () => yard.actors.owner.client;

describe('a search that was asked before', () => {
  test.each(['fulltext', 'semantic', 'hybrid'] as const)('is answered from the cache (%s)', async (mode) => {
    const { organizationId, projectId } = await yard.place();
    const q = unique('wombat');
    await makeDocument(owner(), { projectId, content: q });
    const first = await owner().search.query.query({ organizationId, q, mode });
    const before = await yard.node.counts();
    const second = await owner().search.query.query({ organizationId, q, mode });
    const after = await yard.node.counts();
    expect({ ...second, tookMs: 0 }).toEqual({ ...first, tookMs: 0 });
    if (mode !== 'semantic') expect(first.hits).toHaveLength(1);
    expect(after['redis hit']).toBe((before['redis hit'] ?? 0) + 1);
    expect(after['redis miss']).toBe(before['redis miss']);
    expect(yard.loads(q)).toBe(mode === 'fulltext' ? 0 : 1);
  });

  test('is answered from the cache on another node', async () => {
    await using other = await yard.another();
    const { organizationId } = await yard.place();
    const q = unique('wombat');
    await owner().search.query.query({ organizationId, q });
    await other.as(yard.actors.owner).search.query.query({ organizationId, q });
    expect(yard.loads(q)).toBe(1);
  });

  test('in another way is another search: mode, place and number of hits', async () => {
    const { organizationId, projectId } = await yard.place();
    const { id: elsewhere } = await makeProject(owner(), { organizationId });
    const q = unique('wombat');
    const { id } = await makeDocument(owner(), { projectId, content: q });
    const { id: other } = await makeDocument(owner(), { projectId: elsewhere, content: `${q} elsewhere` });
    const ask = async (input: { mode?: SearchMode; projectId?: string; limit?: number }): Promise<string[]> => {
      const { hits } = await owner().search.query.query({ organizationId, q, mode: 'fulltext', ...input });
      return hits.map((hit) => hit.id);
    };
    for (let round = 0; round < 2; round++) {
      expect((await ask({})).toSorted()).toEqual([id, other].toSorted());
      expect(await ask({ projectId })).toEqual([id]);
      expect(await ask({ projectId: elsewhere })).toEqual([other]);
      expect(await ask({ limit: 1 })).toHaveLength(1);
      expect(await ask({ mode: 'semantic' })).toEqual([]);
    }
  });

  test('is kept for two minutes, and its generation for a day', async () => {
    const { organizationId } = await yard.place();
    await owner().search.query.query({ organizationId, q: unique('wombat') });
    const redis = new Redis(servers().cacheRedisUrl);
    const [entry = ''] = await eventually(async () => {
      const keys = await redis.keys(`org:${organizationId}:g*:search:*`);
      expect(keys).toHaveLength(1);
      return keys;
    });
    const [left, generationLeft] = [await redis.pttl(entry), await redis.pttl(cacheKeys.generation(organizationId))];
    redis.disconnect();
    expect(left).toBeGreaterThan(100_000);
    expect(left).toBeLessThanOrEqual(120_000);
    expect(generationLeft).toBeGreaterThan(23 * 60 * 60 * 1000);
  });

  test('is found anew where a part that is down was left out of the answer', async () => {
    const { organizationId, projectId } = await yard.place();
    const q = unique('wombat');
    await makeDocument(owner(), { projectId, content: q });
    yard.model.up = false;
    try {
      expect(await owner().search.query.query({ organizationId, q })).toMatchObject({ engine: 'postgres' });
    } finally {
      yard.model.up = true;
    }
    expect(await owner().search.query.query({ organizationId, q })).toMatchObject({ engine: 'postgres+pgvector' });
  });
});

describe('a change', () => {
  test('is in the next answer of whoever made it, on every node, thirty times over', { timeout: 60_000 }, async () => {
    await using other = await yard.another();
    const { organizationId, projectId } = await yard.place();
    const q = unique('wombat');
    const nodes = [owner(), other.as(yard.actors.owner)];
    const ids: string[] = [];
    for (let turn = 0; turn < 30; turn++) {
      const writer = nodes[turn % 2] ?? owner();
      ids.push((await makeDocument(writer, { projectId, content: q })).id);
      const answers = await Promise.all(
        nodes.map((client) => client.search.query.query({ organizationId, q, mode: 'fulltext', limit: 50 })),
      );
      for (const { hits } of answers) expect(hits.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    }
  });

  test.each([
    ['an edit', ({ id, version }) => owner().documents.update.mutate({ id, version, content: 'something else' })],
    ['an archived document', ({ id }) => owner().documents.archive.mutate({ id })],
    ['a deleted document', ({ id }) => owner().documents.delete.mutate({ id })],
    ['a deleted project', ({ projectId }) => owner().projects.delete.mutate({ id: projectId })],
  ] satisfies [string, (document: { id: string; version: number; projectId: string }) => Promise<unknown>][])(
    'takes out of the next answer what it took away: %s',
    async (_, change) => {
      const { organizationId, projectId } = await yard.place();
      const q = unique('wombat');
      const document = await makeDocument(owner(), { projectId, content: q });
      const search = { organizationId, q, mode: 'fulltext' } as const;
      expect((await owner().search.query.query(search)).hits).toHaveLength(1);
      await change({ ...document, projectId });
      expect((await owner().search.query.query(search)).hits).toEqual([]);
    },
  );

  test(
    'of a process that cannot tell the cache server is in the answers as soon as its event is handled',
    { timeout: 60_000 },
    async () => {
      await using apart = await yard.another({
        CACHE_REDIS_URL: undefined,
        NATS_NAMESPACE: yard.api.env.NATS_NAMESPACE,
      });
      await using _workers = await yard.api.startWorkers({ WORKER_ROLES: ['relay', 'fan-out'] });
      const { organizationId, projectId } = await yard.place();
      const q = unique('wombat');
      const search = { organizationId, q, mode: 'fulltext' } as const;
      // What the place itself was made of is on its way still: its events must not be what ends the answer.
      await eventually(
        async () => {
          const { rows } = await yard.admin.query(`select from events where status <> 'published' and org_id = $1`, [
            organizationId,
          ]);
          expect(rows).toEqual([]);
        },
        { timeoutMs: 20_000 },
      );
      expect((await owner().search.query.query(search)).hits).toEqual([]);
      const { id } = await makeDocument(apart.as(yard.actors.owner), { projectId, content: q });
      await eventually(async () => expect((await owner().search.query.query(search)).hits).toMatchObject([{ id }]), {
        timeoutMs: 20_000,
      });
    },
  );
});

describe('an answer is for those alone who may see it', () => {
  test('another organization that asks the same finds its own', async () => {
    const [mine, theirs] = [await yard.place(), await yard.place()];
    const q = unique('wombat');
    const { id: here } = await makeDocument(owner(), { projectId: mine.projectId, content: q });
    const { id: there } = await makeDocument(owner(), { projectId: theirs.projectId, content: q });
    for (let round = 0; round < 2; round++)
      for (const [{ organizationId }, id] of [[mine, here] as const, [theirs, there] as const]) {
        const { hits } = await owner().search.query.query({ organizationId, q, mode: 'fulltext' });
        expect(hits).toMatchObject([{ id }]);
      }
  });

  test('roles of another class have an answer of their own, the same one', async () => {
    const { organizationId, projectId } = await yard.place();
    const q = unique('wombat');
    const { id } = await makeDocument(owner(), { projectId, content: q });
    const people = {
      owner: yard.actors.owner,
      admin: await newPerson(yard.api),
      member: await newPerson(yard.api),
      viewer: await newPerson(yard.api),
    };
    for (const role of ['admin', 'member', 'viewer'] as const)
      await addMember(yard.api, { organizationId, userId: people[role].id, role });
    for (let round = 0; round < 2; round++)
      for (const { client } of Object.values(people))
        expect((await client.search.query.query({ organizationId, q })).hits).toMatchObject([{ id }]);
    expect(yard.loads(q)).toBe(2);
  });

  test('an outsider, a removed member, and another organization’s API key get NOT_FOUND, though the answer lies there', async () => {
    const { organizationId } = await yard.place();
    const elsewhere = await yard.place();
    const q = unique('wombat');
    const input = { organizationId, q };
    const member = await newPerson(yard.api);
    await addMember(yard.api, { organizationId, userId: member.id, role: 'member' });
    const keyOf = async (place: { organizationId: string }): Promise<string> => {
      const { organizationId: of } = place;
      const { key } = await owner().apiKeys.create.mutate({
        organizationId: of,
        name: 'A key',
        scopes: ['search:read'],
      });
      return `Bearer ${key}`;
    };
    const [key, otherKey] = [await keyOf({ organizationId }), await keyOf(elsewhere)];
    const ask = async (authorization: string) => call(yard.node.url, 'search.query', { input, authorization });
    // The class of members, then that of owners and their keys.
    expect((await ask(member.authorization)).status).toBe(200);
    expect((await ask(yard.actors.owner.authorization)).status).toBe(200);
    expect((await ask(key)).status).toBe(200);
    expect(yard.loads(q)).toBe(2);
    expect((await ask(yard.actors.outsider.authorization)).code).toBe('NOT_FOUND');
    expect((await ask(otherKey)).code).toBe('NOT_FOUND');
    await owner().members.remove.mutate({ organizationId, userId: member.id });
    // Also behind the product's back, which no change tells the cache of.
    const second = await newPerson(yard.api);
    await addMember(yard.api, { organizationId, userId: second.id, role: 'member' });
    expect((await ask(second.authorization)).status).toBe(200);
    await yard.admin.query('delete from org_members where org_id = $1 and user_id = $2', [organizationId, second.id]);
    for (const { authorization } of [member, second]) expect((await ask(authorization)).code).toBe('NOT_FOUND');
  });
});

describe('the cache server is not needed', () => {
  test('no server is named: everything is found anew', async () => {
    await using node = await yard.another({ CACHE_REDIS_URL: undefined });
    const { organizationId } = await yard.place();
    const q = unique('wombat');
    for (let turn = 0; turn < 2; turn++) await node.as(yard.actors.owner).search.query.query({ organizationId, q });
    expect(yard.loads(q)).toBe(2);
    expect(await node.counts()).toEqual({});
  });

  test('one that keeps what is old when it is full is refused by API and workers, naming the setting', async () => {
    const wrong = { CACHE_REDIS_URL: servers().queueRedisUrl };
    const refusal = { name: 'AppError', message: expect.stringContaining('allkeys-lru') };
    await expect(startTestApi({ env: wrong })).rejects.toMatchObject(refusal);
    await expect(yard.api.startWorkers({ ...wrong, WORKER_ROLES: ['fan-out'] })).rejects.toMatchObject(refusal);
  });
});
