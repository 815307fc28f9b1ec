/** The embedder port: the fake, the bundled model and an OpenAI-compatible server. */
import { createEmbedder } from '@novax/adapters/embedder';
import { localEmbedder } from '@novax/adapters/embedder-local';
import { openAiEmbedder } from '@novax/adapters/embedder-openai';
import { fakeEmbedder } from '@novax/adapters/fakes/embedder';
import { type Embedder, vectorDims } from '@novax/domain/ports';
import { describe, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { stubServer } from './stub-server.ts';
import { quiet } from './unique.ts';

/** Answers like OpenAI with vectors of a fake model, last text first, since servers may answer in any order. */
async function stubModel() {
  const model = fakeEmbedder();
  return stubServer(async (request) => {
    const { input } = request.json<{ input: string[] }>();
    const vectors = await model.embed(input);
    const data = vectors.map((vector, index) => ({ index, embedding: [...vector.subarray(0, model.dims)] }));
    return { body: { data: data.toReversed() } };
  });
}

const kinds: Record<string, () => Promise<{ embedder: Embedder } & AsyncDisposable>> = {
  'fake': async () => ({ embedder: fakeEmbedder(), [Symbol.asyncDispose]: async () => undefined }),
  'bundled model': async () => {
    const embedder = localEmbedder({ log: quiet });
    return { embedder, [Symbol.asyncDispose]: () => embedder.close() };
  },
  'OpenAI-compatible server': async () => {
    const stub = await stubModel();
    const embedder = await openAiEmbedder({ baseUrl: `${stub.url}/v1`, model: 'stub', timeoutMs: 5000 });
    return { embedder, [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose]() };
  },
};

function dot(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (!a || !b) return Number.NaN;
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

describe.each(Object.entries(kinds))('embedder: %s', (_, make) => {
  test('answers one vector per text, of the stored length and norm 1, with zeros past its own length', async () => {
    await using at = await make();
    const vectors = await at.embedder.embed(['a cat', '', ' \n', '你好', '#'.repeat(20_000)]);
    expect(vectors).toHaveLength(5);
    for (const vector of vectors) {
      expect(vector).toHaveLength(vectorDims);
      expect(Math.sqrt(dot(vector, vector))).toBeCloseTo(1, 4);
      expect(vector.subarray(at.embedder.dims).every((value) => value === 0)).toBe(true);
    }
  });

  test('answers in order, the same vector for the same text, alone or among 200 others', async () => {
    await using at = await make();
    const texts = Array.from({ length: 200 }, (_, n) => `sentence number ${n}`);
    const together = await at.embedder.embed(texts);
    const [alone] = await at.embedder.embed(['sentence number 150']);
    expect(dot(alone, together[150])).toBeGreaterThan(0.999);
    expect(dot(alone, together[20])).toBeLessThan(0.999);
  });

  test('texts about the same thing lie closer than texts about different things', async () => {
    await using at = await make();
    const [cat, kitten, database] = await at.embedder.embed([
      'the cat sleeps on the sofa',
      'a cat is asleep on the couch',
      'index statistics of relational database servers',
    ]);
    expect(dot(cat, kitten)).toBeGreaterThan(dot(cat, database) + 0.1);
  });

  test('texts as long as its window are read to their end', async () => {
    await using at = await make();
    const text = 'The gardener waters the roses. '.repeat(100).slice(0, at.embedder.window.chars - 40);
    const [one, other] = await at.embedder.embed([`${text} He votes.`, `${text} Rockets burn kerosene and oxygen.`]);
    expect(dot(one, other)).toBeLessThan(0.9999);
  });

  test('no texts are no vectors', async () => {
    await using at = await make();
    expect(await at.embedder.embed([])).toEqual([]);
  });

  test('calls of the same moment each get their own vectors', async () => {
    await using at = await make();
    const calls = await Promise.all(['one', 'two', 'three'].map((text) => at.embedder.embed([text, `${text} again`])));
    expect(calls.map((vectors) => vectors.length)).toEqual([2, 2, 2]);
    const [two] = await at.embedder.embed(['two']);
    expect(dot(two, calls[1]?.[0])).toBeGreaterThan(0.999);
  });
});

describe('embedder: thread', () => {
  const script = new URL('./embedder-thread.ts', import.meta.url);

  test.each([
    ['dies', 'die', 'DEPENDENCY_UNAVAILABLE'],
    ['hangs', 'hang', 'TIMEOUT'],
    ['fails', 'fail', 'DEPENDENCY_UNAVAILABLE'],
  ])('a batch whose thread %s fails alone; texts after it are embedded', async (_, text, code) => {
    const embedder = localEmbedder({ log: quiet, script, threads: 1, timeoutMs: 500 });
    const failed = expect(embedder.embed([text])).rejects.toMatchObject({ code });
    // Enough to fall into later batches, whatever shares the first.
    await failed;
    expect(await embedder.embed(['fine'])).toHaveLength(1);
    await embedder.close();
  });

  test('at most 16 texts go to the model at once', async () => {
    const embedder = localEmbedder({ log: quiet, script, threads: 1 });
    const vectors = await embedder.embed(Array.from({ length: 34 }, () => 'x'));
    // The stand-in answers (length of text, size of batch).
    const sizes = vectors.map((vector) => Math.round((vector[1] ?? 0) / (vector[0] ?? 1)));
    expect([sizes[0], sizes[16], sizes[33]]).toEqual([16, 16, 2]);
    await embedder.close();
  });

  test('with two threads one that hangs does not hold up the other', async () => {
    const embedder = localEmbedder({ log: quiet, script, threads: 2 });
    const hanging = expect(embedder.embed(['hang'])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    expect(await embedder.embed(['fine'])).toHaveLength(1);
    await embedder.close();
    await hanging;
  });

  test('an aborted caller hears its reason at once, what it has waiting is left out, and others go on', async () => {
    const embedder = localEmbedder({ log: quiet, script, threads: 1, timeoutMs: 500 });
    const stop = new AbortController();
    const reason = new Error('no longer wanted');
    // The first batch hangs; the second, which kills its thread, never goes.
    const texts = ['hang', ...Array.from({ length: 15 }, () => 'x'), 'die'];
    const aborted = expect(embedder.embed(texts, stop.signal)).rejects.toBe(reason);
    const other = embedder.embed(['fine']);
    stop.abort(reason);
    await aborted;
    expect(await other).toHaveLength(1);
    await expect(embedder.embed(['x'], stop.signal)).rejects.toBe(reason);
    await embedder.close();
  });

  test('closing rejects what waits and what comes later', async () => {
    const embedder = localEmbedder({ log: quiet, script });
    const waiting = expect(embedder.embed(['hang'])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await embedder.close();
    await waiting;
    await expect(embedder.embed(['x'])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });
});

describe('embedder: server', () => {
  const good = { body: { data: [{ index: 0, embedding: [3, 4] }] } };

  test('a busy server is asked again when it says so, and the key is sent', async () => {
    const answers = [
      good,
      { status: 429, headers: { 'retry-after': '0' }, body: {} },
      { status: 503, headers: { 'retry-after': '0' }, body: {} },
      good,
    ];
    await using stub = await stubServer(() => answers.shift() ?? { status: 400, body: {} });
    const embedder = await openAiEmbedder({ baseUrl: stub.url, model: 'm', apiKey: 'k1', timeoutMs: 5000 });
    expect(embedder.dims).toBe(2);
    const [vector] = await embedder.embed(['x']);
    expect([vector?.[0], vector?.[1], vector?.[2]].map((value) => value?.toFixed(2))).toEqual(['0.60', '0.80', '0.00']);
    expect(stub.requests).toHaveLength(4);
    expect(stub.requests.every(({ headers }) => headers.authorization === 'Bearer k1')).toBe(true);
  });

  test('an aborted caller hears its reason at once, also while it waits for a busy server, and asks no more', async () => {
    for (const answer of [null, { status: 429, headers: { 'retry-after': '3' }, body: {} }]) {
      await using stub = await stubServer(() => (stub.requests.length === 1 ? good : answer));
      const embedder = await openAiEmbedder({ baseUrl: stub.url, model: 'm', timeoutMs: 5000 });
      const stop = new AbortController();
      const reason = new Error('no longer wanted');
      const aborted = expect(embedder.embed(['x'], stop.signal)).rejects.toBe(reason);
      await eventually(() => expect(stub.requests).toHaveLength(2));
      stop.abort(reason);
      await aborted;
      expect(stub.requests).toHaveLength(2);
    }
  });

  test('250 texts go out in batches of at most 96', async () => {
    await using stub = await stubModel();
    const embedder = await openAiEmbedder({ baseUrl: stub.url, model: 'm', timeoutMs: 5000 });
    expect(await embedder.embed(Array.from({ length: 250 }, (_, n) => `t${n}`))).toHaveLength(250);
    expect(stub.requests.slice(1).map((request) => request.json<{ input: string[] }>().input.length)).toEqual([
      96, 96, 58,
    ]);
  });

  test.each([
    ['refuses', { status: 401, body: { error: 'no' } }],
    ['answers something else', { body: { hello: 1 } }],
    ['answers text', { body: 'oops' }],
    ['answers too few vectors', { body: { data: [] } }],
    ['answers vectors too long to store', { body: { data: [{ index: 0, embedding: Array(1537).fill(1) }] } }],
  ])('a server that %s is DEPENDENCY_UNAVAILABLE', async (_, answer) => {
    await using stub = await stubServer(() => answer);
    await expect(openAiEmbedder({ baseUrl: stub.url, model: 'm', timeoutMs: 2000 })).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
    });
  });

  test('a server that never answers is a TIMEOUT, and one that is not there is DEPENDENCY_UNAVAILABLE', async () => {
    await using stub = await stubServer(() => null);
    await expect(openAiEmbedder({ baseUrl: stub.url, model: 'm', timeoutMs: 200 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    await expect(openAiEmbedder({ baseUrl: 'http://127.0.0.1:9', model: 'm', timeoutMs: 200 })).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
    });
  });

  test('the settings choose the model, and say what is missing', async () => {
    await using stub = await stubModel();
    const local = await createEmbedder({ EMBEDDING_PROVIDER: 'local' }, { log: quiet });
    const remote = await createEmbedder(
      { EMBEDDING_PROVIDER: 'openai', EMBEDDING_BASE_URL: stub.url, EMBEDDING_MODEL: 'm' },
      { log: quiet },
    );
    expect([local.modelId, local.dims, remote.modelId, remote.dims]).toEqual(['local-use-lite-en-1', 512, 'm', 256]);
    await expect(createEmbedder({ EMBEDDING_PROVIDER: 'openai' }, { log: quiet })).rejects.toThrow(
      'EMBEDDING_BASE_URL',
    );
    await local.close();
  });
});
