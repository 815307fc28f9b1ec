/** Searches by a model whose every question is counted, on any number of nodes: what was found anew and what was not. */
import { fakeEmbedder } from '@novax/adapters/fakes/embedder';
import { createNovaxClient, type NovaxClient } from '@novax/client/client';
import type { Client } from 'pg';
import type { ApiEnv } from '../../apps/api/src/env.ts';
import { stubServer } from '../conformance/stub-server.ts';
import { makeActors, type Actors, type Person } from './actors.ts';
import { startTestApi, type TestApi } from './api.ts';
import { connect } from './database.ts';
import { freePort } from './free-port.ts';
import { makeOrganization, makeProject } from './factories.ts';

const modelName = 'counted-model';

export interface SearchNode {
  readonly url: string;
  /** A client of this node for somebody who signed in elsewhere. */
  as(person: Person): NovaxClient;
  /** `novax_cache_requests_total` so far, as `tier result` to count. */
  counts(): Promise<Readonly<Record<string, number>>>;
}

export interface SearchYard extends AsyncDisposable {
  readonly api: TestApi;
  readonly admin: Client;
  readonly actors: Actors;
  /** The API that everybody signed in at. */
  readonly node: SearchNode;
  /** The model: whether it answers, how many milliseconds that takes, until when it waits, and each text it was asked about. */
  readonly model: { up: boolean; delayMs: number; until: Promise<void>; readonly asked: string[] };
  /** How often the model was asked about a text: once per search that was found anew. */
  loads(q: string): number;
  /** Another node on the same database. */
  another(env?: Partial<ApiEnv>): Promise<SearchNode & AsyncDisposable>;
  /** An organization of the owner's with a project. */
  place(): Promise<{ readonly organizationId: string; readonly projectId: string }>;
}

/** Starts one API; `env` has what differs from the usual. */
export async function startSearchYard(env: Partial<ApiEnv> = {}): Promise<SearchYard> {
  await using stack = new AsyncDisposableStack();
  const words = fakeEmbedder(modelName);
  const model = { up: true, delayMs: 0, until: Promise.resolve(), asked: new Array<string>() };
  const stub = stack.use(
    await stubServer(async (request) => {
      const { input } = request.json<{ input: string[] }>();
      model.asked.push(...input);
      if (!model.up) return { status: 503, body: { error: 'down' } };
      await model.until;
      if (model.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, model.delayMs));
      const vectors = await words.embed(input);
      return {
        body: { data: vectors.map((vector, index) => ({ index, embedding: [...vector.subarray(0, words.dims)] })) },
      };
    }),
  );
  const embedder = { baseUrl: `${stub.url}/v1`, model: modelName };
  const startNode = async (changes: Partial<ApiEnv>) => {
    const port = await freePort();
    const api = await startTestApi({ embedder, env: { ...env, ...changes, METRICS_PORT: port } });
    return { api, node: nodeOf(api.url, port) };
  };
  const { api, node } = await startNode({});
  stack.use(api);
  const admin = stack.use(await connect(api.database.adminUrl));
  const actors = await makeActors(api);
  await using worker = await connect(api.database.url('novax_worker'));
  await worker.query(`select private.ensure_embedding_model($1, 'openai', $2::smallint)`, [modelName, words.dims]);
  const { DATABASE_URL, JWT_PRIVATE_KEYS } = api.env;
  const owned = stack.move();
  return {
    api,
    admin,
    actors,
    node,
    model,
    loads: (q) => model.asked.filter((text) => text === q).length,
    async another(changes = {}) {
      const started = await startNode({ DATABASE_URL, JWT_PRIVATE_KEYS, ...changes });
      return { ...started.node, [Symbol.asyncDispose]: () => started.api[Symbol.asyncDispose]() };
    },
    async place() {
      const { client } = actors.owner;
      const { id: organizationId } = await makeOrganization(client);
      const { id: projectId } = await makeProject(client, { organizationId });
      return { organizationId, projectId };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function nodeOf(url: string, metricsPort: number): SearchNode {
  return {
    url,
    as: (person) => {
      const tokens = person.client.session.tokens();
      return createNovaxClient({ url, ...(tokens === undefined ? {} : { tokens }) });
    },
    async counts() {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
      const lines = text.matchAll(/^novax_cache_requests_total\{tier="(\w+)",result="(\w+)"\} (\d+)$/gm);
      return Object.fromEntries([...lines].map(([, tier, result, count]) => [`${tier} ${result}`, Number(count)]));
    },
  };
}
