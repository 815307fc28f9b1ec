/** Search by words and by meaning: both vector paths, what is left out, and what is said when a part is down. */
import { fakeEmbedder } from '@novax/adapters/fakes/embedder';
import { exactSearchMax, searchNearest } from '@novax/db/queries/search';
import { vectorText } from '@novax/db/vector-text';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stubServer, type StubServer } from '../conformance/stub-server.ts';
import { type Actors, makeActors, newPerson, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { makeDocument, makeOrganization, makeProject } from '../kit/factories.ts';

const model = 'stub-model';
const words = fakeEmbedder(model);
let stub: StubServer;
let up = true;
let api: TestApi;
let admin: Client & AsyncDisposable;
let actors: Actors;
let modelId: number;

beforeAll(async () => {
  stub = await stubServer(async (request) => {
    if (!up) return { status: 503, body: { error: 'down' } };
    const { input } = request.json<{ input: string[] }>();
    const vectors = await words.embed(input);
    return {
      body: { data: vectors.map((vector, index) => ({ index, embedding: [...vector.subarray(0, words.dims)] })) },
    };
  });
  api = await startTestApi({ embedder: { baseUrl: `${stub.url}/v1`, model } });
  admin = await connect(api.database.adminUrl);
  actors = await makeActors(api);
  await using worker = await connect(api.database.url('novax_worker'));
  const { rows } = await worker.query(`select private.ensure_embedding_model($1, 'openai', $2::smallint) as id`, [
    model,
    words.dims,
  ]);
  modelId = rows[0].id;
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
  await stub[Symbol.asyncDispose]();
});

/** An organization of the owner's with a project. */
async function place() {
  const { client } = actors.owner;
  const { id: organizationId } = await makeOrganization(client);
  const { id: projectId } = await makeProject(client, { organizationId });
  return { client, organizationId, projectId };
}

/** Stores a document's vector as the pipeline would. */
async function embed(document: { id: string; organizationId: string }, text: string): Promise<void> {
  const [vector] = await words.embed([text]);
  if (vector === undefined) throw new Error('no vector');
  await admin.query(
    `insert into ai_embeddings (org_id, document_id, model_id, dims, char_from, char_to, content_hash, embedding) values ($1, $2, $3, $4, 0, $5, '\\x00', $6::vector)`,
    [document.organizationId, document.id, modelId, words.dims, text.length, vectorText(vector)],
  );
}

test('semantic search ranks by nearness, with the cosine as score, best first', async () => {
  const { client, organizationId, projectId } = await place();
  const texts = ['red apples and green pears', 'apples', 'the deep blue sea'];
  const made = [];
  for (const content of texts) {
    const document = await makeDocument(client, { projectId, content });
    await embed(document, content);
    made.push(document);
  }
  const answer = await client.search.query.query({ organizationId, q: 'apples', mode: 'semantic' });
  expect(answer).toMatchObject({ degraded: false, engine: 'pgvector' });
  expect(answer.hits.map(({ id }) => id).slice(0, 2)).toEqual([made[1]?.id, made[0]?.id]);
  expect(answer.hits[0]?.score).toBeCloseTo(1, 5);
  expect(answer.hits.map(({ score }) => score)).toEqual(
    answer.hits.map(({ score }) => score).toSorted((a, b) => b - a),
  );
});

test('hybrid search finds what either way finds, and what both find comes first', async () => {
  const { client, organizationId, projectId } = await place();
  const word = unique('quokka');
  const both = await makeDocument(client, { projectId, title: 'Both', content: `${word} ${word}` });
  const byWord = await makeDocument(client, {
    projectId,
    title: 'Word',
    content: `one ${word} among many other words`,
  });
  const byMeaning = await makeDocument(client, { projectId, title: 'Meaning', content: 'marsupial' });
  await embed(both, word);
  await embed(byMeaning, `${word} something else`);
  const { hits, engine } = await client.search.query.query({ organizationId, q: word });
  expect(engine).toBe('postgres+pgvector');
  expect(new Set(hits.map(({ id }) => id))).toEqual(new Set([both.id, byWord.id, byMeaning.id]));
  expect(hits[0]?.id).toBe(both.id);
  expect(hits[0]?.score).toBeCloseTo(2 / 61, 3);
});

test('archived and deleted documents, documents of deleted projects and other projects are not found', async () => {
  const { client, organizationId, projectId } = await place();
  const other = await makeProject(client, { organizationId });
  const gone = await makeProject(client, { organizationId });
  const word = unique('narwhal');
  const makes = async (into: string) => {
    const document = await makeDocument(client, { projectId: into, content: word });
    await embed(document, word);
    return document.id;
  };
  const [kept, archived, deleted, elsewhere] = [
    await makes(projectId),
    await makes(projectId),
    await makes(projectId),
    await makes(other.id),
  ];
  await makes(gone.id);
  await client.documents.archive.mutate({ id: archived });
  await client.documents.delete.mutate({ id: deleted });
  await client.projects.delete.mutate({ id: gone.id });
  for (const mode of ['fulltext', 'semantic', 'hybrid'] as const) {
    const everywhere = await client.search.query.query({ organizationId, q: word, mode });
    expect(new Set(everywhere.hits.map(({ id }) => id)), mode).toEqual(new Set([kept, elsewhere]));
    const here = await client.search.query.query({ organizationId, q: word, mode, projectId });
    expect(
      here.hits.map(({ id }) => id),
      mode,
    ).toEqual([kept]);
  }
});

test('a document is found once, by its best piece', async () => {
  const { client, organizationId, projectId } = await place();
  const document = await makeDocument(client, { projectId, content: 'wombat' });
  await embed(document, 'something else');
  await admin.query(
    `insert into ai_embeddings (org_id, document_id, model_id, dims, chunk_no, char_from, char_to, content_hash, embedding)
     select org_id, document_id, model_id, dims, n, 0, 6, content_hash, $2::vector from ai_embeddings, generate_series(1, 3) n where document_id = $1`,
    [document.id, vectorText((await words.embed(['wombat']))[0] ?? new Float32Array())],
  );
  const { hits } = await client.search.query.query({ organizationId, q: 'wombat', mode: 'semantic' });
  expect(hits).toHaveLength(1);
  expect(hits[0]?.score).toBeCloseTo(1, 5);
});

test('without the model hybrid search answers by words and says so; semantic search says that it cannot', async () => {
  const { client, organizationId, projectId } = await place();
  const word = unique('axolotl');
  const { id } = await makeDocument(client, { projectId, content: word });
  up = false;
  try {
    expect(await client.search.query.query({ organizationId, q: word })).toMatchObject({
      hits: [{ id }],
      degraded: true,
      engine: 'postgres',
    });
    // One plain call: the typed client would ask again and again, as it should, and its patience is not what is tested here.
    const { authorization } = actors.owner;
    const input = { organizationId, q: word, mode: 'semantic' };
    expect(await call(api.url, 'search.query', { input, authorization })).toMatchObject({
      status: 503,
      code: 'DEPENDENCY_UNAVAILABLE',
    });
  } finally {
    up = true;
  }
});

test('a model that has embedded nothing yet finds nothing, without an error', async () => {
  const { client } = await newPerson(api);
  const { id: organizationId } = await makeOrganization(client);
  expect(await client.search.query.query({ organizationId, q: 'anything', mode: 'semantic' })).toMatchObject({
    hits: [],
  });
});

/** Fills an organization with that many documents and random vectors, by SQL: the pipeline would take minutes. */
async function fill(target: { organizationId: string; projectId: string }, count: number): Promise<void> {
  await admin.query('begin');
  await admin.query('set local synchronous_commit = off');
  await admin.query(
    `with made as (
       insert into documents (org_id, project_id, author_id, title, content, language, content_hash)
       select $1, $2, $3, 'Bulk ' || n, 'Bulk document ' || n, 'simple', sha256(n::text::bytea) from generate_series(1, $4::int) n returning id, content_hash
     )
     insert into ai_embeddings (org_id, document_id, model_id, dims, char_from, char_to, content_hash, embedding)
     select $1, made.id, $5, $6, 0, 10, made.content_hash, v.embedding
       from made, lateral (select ('[' || string_agg(case when d <= $6::int then (random() - 0.5 + 0 * length(made.id::text))::real::text else '0' end, ',') || ']')::vector as embedding
                             from generate_series(1, 1536) d) v`,
    [target.organizationId, target.projectId, actors.owner.id, count, modelId, words.dims],
  );
  await admin.query('commit');
  await admin.query('analyze ai_embeddings; analyze documents');
}

/** The plan of the nearest-neighbour statement as novax_api would run it for the owner. */
async function plan(path: 'exact' | 'hnsw', organizationId: string): Promise<string> {
  const { text, settings } = searchNearest(path, modelId);
  await using as = await connect(api.database.url('novax_api'));
  await as.query('begin');
  await as.query(`select set_config('app.current_user_id', $1, true)`, [actors.owner.id]);
  for (const [name, value] of Object.entries(settings ?? {}))
    await as.query('select set_config($1, $2, true)', [name, value]);
  const [vector] = await words.embed(['apples']);
  const { rows } = await as.query(`explain (costs off) ${text}`, [
    organizationId,
    vectorText(vector ?? new Float32Array()),
    50,
    '',
    10,
  ]);
  await as.query('rollback');
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

test(
  `an organization of more than ${exactSearchMax} vectors gets its 10 hits through the HNSW index, a smaller one by an exact scan`,
  { timeout: 120_000 },
  async () => {
    const large = await place();
    await fill(large, exactSearchMax + 100);
    const needle = await makeDocument(large.client, { projectId: large.projectId, content: 'apples' });
    await embed(needle, 'apples');
    const answer = await large.client.search.query.query({
      organizationId: large.organizationId,
      q: 'apples',
      mode: 'semantic',
      limit: 10,
    });
    expect(answer.hits).toHaveLength(10);
    expect(answer.hits[0]?.id).toBe(needle.id);
    expect(await plan('hnsw', large.organizationId)).toMatch(
      new RegExp(`Index Scan using idx_ai_embeddings_p\\d_embedding_model_${modelId}`),
    );

    const small = await place();
    const near = await makeDocument(small.client, { projectId: small.projectId, content: 'apples' });
    await embed(near, 'apples');
    expect(
      (await small.client.search.query.query({ organizationId: small.organizationId, q: 'apples', mode: 'semantic' }))
        .hits,
    ).toMatchObject([{ id: near.id }]);
    expect(await plan('exact', small.organizationId)).not.toContain(`embedding_model_${modelId}`);
  },
);
