/** The search engine port: the fake, the adapter on a stub, and the adapter on a real server where `MEILI_URL` names one. */
import { randomUUID } from 'node:crypto';
import { fakeSearchEngine } from '@novax/adapters/fakes/search-engine';
import { meiliSearchEngine } from '@novax/adapters/search-engine';
import { searchInventory } from '@novax/adapters/search-inventory';
import type { SearchDocument, SearchEngine } from '@novax/domain/ports';
import { Meilisearch } from 'meilisearch';
import { describe, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { meiliStub } from './meili-stub.ts';
import { stubServer } from './stub-server.ts';
import { quiet, uniqueName } from './unique.ts';

const realUrl = process.env['MEILI_URL'];
const realKey = process.env['MEILI_MASTER_KEY'] ?? '';
if (!realUrl) process.stderr.write('SKIPPED: search engine conformance on a real Meilisearch; MEILI_URL names none\n');

const kinds: Record<string, () => Promise<{ engine: SearchEngine } & AsyncDisposable>> = {
  'fake': async () => ({ engine: fakeSearchEngine(), [Symbol.asyncDispose]: async () => undefined }),
  'Meilisearch stub': async () => {
    const stub = await meiliStub();
    const engine = meiliSearchEngine({ url: stub.url, apiKey: 'master', log: quiet });
    return { engine, [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose]() };
  },
  'Meilisearch': async () => {
    const indexName = uniqueName();
    const engine = meiliSearchEngine({ url: realUrl ?? '', apiKey: realKey, log: quiet, indexName });
    const client = new Meilisearch({ host: realUrl ?? '', apiKey: realKey });
    return { engine, [Symbol.asyncDispose]: async () => void (await client.deleteIndex(indexName)) };
  },
};

function aDocument(changes: Partial<SearchDocument> = {}): SearchDocument {
  return {
    id: randomUUID(),
    organizationId: randomUUID(),
    projectId: randomUUID(),
    title: 'Tides',
    content: 'The moon pulls the sea.',
    status: 'active',
    updatedAt: 1,
    ...changes,
  };
}

for (const [kind, make] of Object.entries(kinds)) {
  describe.skipIf(kind === 'Meilisearch' && !realUrl)(`search engine: ${kind}`, () => {
    const found = async (engine: SearchEngine, organizationId: string, q: string, projectId: string | null = null) =>
      (await engine.query({ organizationId, q, projectId, limit: 10 })).map(({ id }) => id);

    test('a document is found by its title and by its content, with a score and a snippet', async () => {
      await using at = await make();
      await at.engine.ensureIndex();
      const document = aDocument();
      await at.engine.upsert([document]);
      for (const q of ['tides', 'moon']) {
        await eventually(async () => {
          const [hit] = await at.engine.query({
            organizationId: document.organizationId,
            q,
            projectId: null,
            limit: 10,
          });
          expect(hit?.id).toBe(document.id);
          expect(hit?.score).toBeGreaterThan(0);
          expect(hit?.score).toBeLessThanOrEqual(1);
          expect(hit?.snippet).toContain('moon');
        });
      }
    });

    test('no other organization ever finds it, whatever it asks, and projects are kept apart', async () => {
      await using at = await make();
      await at.engine.ensureIndex();
      const document = aDocument();
      const neighbour = aDocument({ organizationId: document.organizationId });
      await at.engine.upsert([document, neighbour]);
      await eventually(async () => expect(await found(at.engine, document.organizationId, 'moon')).toHaveLength(2));
      expect(await found(at.engine, document.organizationId, 'moon', document.projectId)).toEqual([document.id]);
      expect(await found(at.engine, randomUUID(), 'moon')).toEqual([]);
      expect(await found(at.engine, `x" OR organizationId = "${document.organizationId}`, 'moon')).toEqual([]);
      expect(await found(at.engine, `x\\" OR organizationId = "${document.organizationId}`, 'moon')).toEqual([]);
    });

    test('a changed document is found by its new words only, and a removed one not at all', async () => {
      await using at = await make();
      await at.engine.ensureIndex();
      const document = aDocument();
      await at.engine.upsert([document]);
      await at.engine.upsert([{ ...document, content: 'The wind bends the trees.' }]);
      await eventually(async () =>
        expect(await found(at.engine, document.organizationId, 'wind')).toEqual([document.id]),
      );
      expect(await found(at.engine, document.organizationId, 'moon')).toEqual([]);
      await at.engine.remove([document.id, randomUUID()]);
      await eventually(async () => expect(await found(at.engine, document.organizationId, 'wind')).toEqual([]));
    });

    test('the better match comes first, and no more than the limit', async () => {
      await using at = await make();
      await at.engine.ensureIndex();
      const organizationId = randomUUID();
      const best = aDocument({ organizationId, title: 'Volcano' });
      const others = Array.from({ length: 5 }, () =>
        aDocument({ organizationId, content: 'A long text that says volcano once, near its end.' }),
      );
      await at.engine.upsert([...others, best]);
      await eventually(async () => expect(await found(at.engine, organizationId, 'volcano')).toHaveLength(6));
      const hits = await at.engine.query({ organizationId, q: 'volcano', projectId: null, limit: 3 });
      expect(hits).toHaveLength(3);
      expect(hits[0]?.id).toBe(best.id);
    });

    test('making the index again keeps what it holds; nothing to write is nothing done; pings are answered', async () => {
      await using at = await make();
      await at.engine.ensureIndex();
      const document = aDocument();
      await at.engine.upsert([document]);
      await at.engine.upsert([]);
      await at.engine.remove([]);
      await at.engine.ensureIndex();
      await at.engine.ping();
      await eventually(async () =>
        expect(await found(at.engine, document.organizationId, 'moon')).toEqual([document.id]),
      );
    });
  });
}

for (const kind of ['Meilisearch stub', 'Meilisearch'] as const) {
  describe.skipIf(kind === 'Meilisearch' && !realUrl)(`inventory: ${kind}`, () => {
    test('what the index holds is read whole, page by page, and of one organization alone', async () => {
      await using stub = await meiliStub();
      const options = {
        ...(kind === 'Meilisearch' ? { url: realUrl ?? '', apiKey: realKey } : { url: stub.url, apiKey: 'master' }),
        indexName: uniqueName(),
      };
      const engine = meiliSearchEngine({ ...options, log: quiet });
      const held = async (organizationId: string | null): Promise<SearchDocument[]> => {
        const all: SearchDocument[] = [];
        for await (const page of searchInventory(options, organizationId)) all.push(...page);
        return all;
      };
      expect(await held(null)).toEqual([]);
      await engine.ensureIndex();
      const organizationId = randomUUID();
      const [mine, theirs] = [aDocument({ organizationId }), Array.from({ length: 450 }, () => aDocument())];
      await engine.upsert([mine, ...theirs]);
      await eventually(async () => expect(await held(null)).toHaveLength(451));
      expect(await held(organizationId)).toEqual([mine]);
      expect((await held(null)).map(({ id }) => id).toSorted()).toEqual(
        [mine, ...theirs].map(({ id }) => id).toSorted(),
      );
      if (kind === 'Meilisearch')
        await new Meilisearch({ host: options.url, apiKey: options.apiKey }).deleteIndex(options.indexName);
    });
  });
}

describe('search engine: Meilisearch away', () => {
  test.each([
    ['not there', 'http://127.0.0.1:9', 'master'],
    ['refusing the key', null, 'wrong'],
  ])('a server that is %s is DEPENDENCY_UNAVAILABLE for every method', async (_, url, apiKey) => {
    await using stub = await meiliStub();
    const engine = meiliSearchEngine({ url: url ?? stub.url, apiKey, log: quiet });
    const query = { organizationId: randomUUID(), q: 'x', projectId: null, limit: 1 };
    for (const call of [
      () => engine.query(query),
      () => engine.upsert([aDocument()]),
      () => engine.remove(['x']),
      () => engine.ensureIndex(),
      () => engine.ping(),
      () => searchInventory({ url: url ?? stub.url, apiKey }, null).next(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    }
  });

  test('a server that never answers is given up in time', async () => {
    await using stub = await stubServer(() => null);
    const engine = meiliSearchEngine({ url: stub.url, apiKey: 'k', log: quiet, timeoutMs: 200 });
    await expect(engine.query({ organizationId: 'o', q: 'x', projectId: null, limit: 1 })).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
    });
  });
});
