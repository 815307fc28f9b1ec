/** The few routes of Meilisearch that the adapter uses, over HTTP, with naive search: enough to hold the adapter to the port. */
import { fakeSearchEngine } from '@novax/adapters/fakes/search-engine';
import type { SearchDocument } from '@novax/domain/ports';
import { type StubAnswer, type StubRequest, type StubServer, stubServer } from './stub-server.ts';

const task = {
  taskUid: 1,
  indexUid: 'documents',
  status: 'enqueued',
  type: 'documentAdditionOrUpdate',
  enqueuedAt: '2026-01-02T03:04:05Z',
};
const doneTask = {
  ...task,
  uid: 1,
  status: 'succeeded',
  error: null,
  startedAt: task.enqueuedAt,
  finishedAt: task.enqueuedAt,
};

/** A stub that keeps documents and parses the filters it is sent, refusing any other. */
export async function meiliStub(): Promise<StubServer> {
  const engine = fakeSearchEngine();
  const held = new Map<string, SearchDocument>();
  return stubServer(async (request): Promise<StubAnswer> => {
    if (request.headers.authorization !== 'Bearer master')
      return { status: 403, body: { message: 'no key', code: 'invalid_api_key', type: 'auth', link: '' } };
    const route = `${request.method} ${request.path.replace(/^\/indexes\/[^/]+/, '/indexes/:index').replace(/^\/tasks\/.*/, '/tasks/:id')}`;
    switch (route) {
      case 'GET /health':
        return { body: { status: 'available' } };
      case 'POST /indexes':
      case 'PATCH /indexes/:index/settings':
        return { status: 202, body: task };
      case 'GET /tasks/:id':
        return { body: doneTask };
      case 'POST /indexes/:index/documents':
        await engine.upsert(request.json<SearchDocument[]>());
        for (const document of request.json<SearchDocument[]>()) held.set(document.id, document);
        return { status: 202, body: task };
      case 'POST /indexes/:index/documents/delete-batch':
        await engine.remove(request.json<string[]>());
        for (const id of request.json<string[]>()) held.delete(id);
        return { status: 202, body: task };
      case 'POST /indexes/:index/search':
        return search(request);
      case 'GET /indexes/:index/documents':
        return page([...held.values()], Number(request.query.get('offset')), Number(request.query.get('limit')));
      case 'POST /indexes/:index/documents/fetch': {
        const { filter, offset, limit } = request.json<{ filter: string; offset: number; limit: number }>();
        const [, organizationId] = /^organizationId = "([^"]*)"$/.exec(filter) ?? [];
        const of = [...held.values()].filter((document) => document.organizationId === organizationId);
        return page(of, offset, limit);
      }
      default:
        return { status: 404, body: { message: route, code: 'not_found', type: 'invalid_request', link: '' } };
    }
  });

  function page(all: readonly SearchDocument[], offset: number, limit: number): StubAnswer {
    return { body: { results: all.slice(offset, offset + limit), offset, limit, total: all.length } };
  }

  async function search(request: StubRequest): Promise<StubAnswer> {
    const { q, filter, limit } = request.json<{ q: string; filter: string[]; limit: number }>();
    const equal = new Map(
      filter
        .map((one) => /^(\w+) = "((?:[^"\\]|\\.)*)"$/.exec(one) ?? [])
        .map(([, field, value]) => [field, value?.replace(/\\(.)/g, '$1')]),
    );
    const organizationId = equal.get('organizationId');
    if (organizationId === undefined || equal.size !== filter.length) {
      return {
        status: 400,
        body: { message: 'filter', code: 'invalid_search_filter', type: 'invalid_request', link: '' },
      };
    }
    const hits = await engine.query({ organizationId, q, projectId: equal.get('projectId') ?? null, limit });
    return {
      body: {
        hits: hits.map(({ id, score, snippet }) => ({
          id,
          _rankingScore: score,
          _formatted: { id, content: snippet },
        })),
        query: q,
      },
    };
  }
}
