/** Whatever is sent, the answer is a typed error, never a stack and never a 5xx, and the connection goes on. */
import { bodyBytesMax } from '@novax/contracts/limits';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Person } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { expectTyped, send as sendRaw, type Sent } from '../kit/raw.ts';
import { makeWorld } from '../kit/world.ts';

let api: TestApi;
let world: Awaited<ReturnType<typeof makeWorld>>;
let owner: Person;
beforeAll(async () => {
  api = await startTestApi();
  world = await makeWorld(api);
  ({ owner } = world.actors);
});
afterAll(() => api[Symbol.asyncDispose]());

const send = (sent: Omit<Sent, 'url' | 'authorization'>): ReturnType<typeof sendRaw> =>
  sendRaw({ url: api.url, authorization: owner.authorization, ...sent });

const json = (value: unknown): string => JSON.stringify(value);
const document = (changes: Record<string, unknown> = {}): string =>
  json({ projectId: world.ids.projectId, title: 'T', content: 'C', ...changes });
const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

describe('names and methods', () => {
  test.each([
    '/trpc/documents.nothing',
    '/trpc/nothing',
    '/trpc/__proto__',
    '/trpc/constructor',
    '/trpc/documents.__proto__',
    '/trpc/',
    '/trpc',
    '/trpc/%00',
    '/trpc/a%2Cb',
    '/trpc/toString,valueOf?batch=1',
    '/api/v1/nothing',
    '/api/v1/documents/%E0%A4%A',
    '/nothing',
    '//',
    '/api/v1/../../etc/passwd',
  ])('GET %s is NOT_FOUND', async (path) =>
    expectTyped(
      await send({ method: 'GET', path }),
      path.includes('%E0') ? ['NOT_FOUND', 'VALIDATION_FAILED'] : ['NOT_FOUND'],
    ),
  );

  test.each([
    ['GET', '/trpc/documents.create'],
    ['POST', '/trpc/users.me'],
  ])('%s %s is METHOD_NOT_SUPPORTED', async (method, path) =>
    expectTyped(await send({ method, path, ...(method === 'POST' ? { body: '{}' } : {}) }), ['METHOD_NOT_SUPPORTED']),
  );

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])(
    '%s on tRPC and on a route without it is refused, typed',
    async (method) => {
      for (const path of ['/trpc/users.me', '/api/v1/search'])
        expectTyped(await send({ method, path }), ['METHOD_NOT_SUPPORTED', 'NOT_FOUND']);
    },
  );
});

describe.each([
  ['thin tRPC', '/trpc/documents.create'],
  ['tRPC batch', '/trpc/documents.create?batch=1'],
  ['REST', '/api/v1/documents'],
])('bodies by %s', (face, path) => {
  const wrap = (body: string): string => (face === 'tRPC batch' ? `{"0":${body}}` : body);

  test.each([
    '{',
    '',
    '{"a":}',
    'null',
    '[]',
    '"text"',
    '1e999',
    '{"a":1,}',
    "{'a':1}",
    '\u0000',
    'undefined',
    '{"title":"\\ud800',
  ])('%j is VALIDATION_FAILED', async (body) => {
    expectTyped(
      await send({
        method: 'POST',
        path,
        body: face === 'tRPC batch' && body !== '{' && body !== '' ? wrap(body) : body,
      }),
      ['VALIDATION_FAILED'],
    );
  });

  test('10 MB are PAYLOAD_TOO_LARGE, announced or not', async () => {
    const body = Buffer.alloc(10 * 1024 * 1024, 'a');
    expectTyped(await send({ method: 'POST', path, body }), ['PAYLOAD_TOO_LARGE']);
    const chunked = await fetch(`${api.url}${path}`, {
      method: 'POST',
      headers: { 'authorization': owner.authorization, 'content-type': 'application/json' },
      body: new ReadableStream({
        start(controller) {
          for (let sent = 0; sent < 3 * bodyBytesMax; sent += 65_536)
            controller.enqueue(new Uint8Array(65_536).fill(97));
          controller.close();
        },
      }),
      // Node asks for it when the body is a stream; the types do not know it.
      ...({ duplex: 'half' } as object),
    });
    expectTyped({ status: chunked.status, text: await chunked.text() }, ['PAYLOAD_TOO_LARGE']);
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    '',
  ])('content type %j is UNSUPPORTED_MEDIA_TYPE', async (type) => {
    expectTyped(await send({ method: 'POST', path, body: wrap(document()), headers: { 'content-type': type } }), [
      'UNSUPPORTED_MEDIA_TYPE',
      'VALIDATION_FAILED',
    ]);
  });

  test.each([100, 10_000, 100_000])('%i levels of nesting are refused as what they are', async (levels) => {
    expectTyped(await send({ method: 'POST', path, body: wrap(deep(levels)) }), ['VALIDATION_FAILED']);
  });

  test('__proto__ and constructor pollute nothing', async () => {
    const body = `{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"projectId":"${world.ids.projectId}","title":"P","content":"C"}`;
    const answer = await send({ method: 'POST', path, body: wrap(body) });
    expect(answer.status).toBeLessThan(300);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
    expect(answer.text).not.toContain('polluted');
  });

  test.each([
    ['a NUL character in the title', { title: 'a\0b' }],
    ['a NUL character in the content', { content: 'a\0b' }],
    ['a lone high surrogate', { title: 'a\ud800b' }],
    ['a lone low surrogate', { content: '\udfff' }],
  ])('%s is VALIDATION_FAILED, or kept as it is, never an error of ours', async (_, changes) => {
    const answer = await send({ method: 'POST', path, body: wrap(document(changes)) });
    if (answer.status >= 300) expectTyped(answer, ['VALIDATION_FAILED']);
    expect(answer.status).toBeLessThan(500);
  });

  test.each([
    ['an id that is an object', { projectId: { $ne: null } }],
    ['an id that is a list', { projectId: ['a'] }],
    ['an id of ten thousand letters', { projectId: 'a'.repeat(10_000) }],
    ['an id that is SQL', { projectId: "' or 1=1 --" }],
    ['a title that is a number', { title: 1 }],
    ['a title of 501 characters', { title: 'x'.repeat(501) }],
    ['a blank title', { title: '   ' }],
    ['content that is null', { content: null }],
    ['content of a million and one characters', { content: 'x'.repeat(1_000_001) }],
    ['a status that is not there', { status: 'published' }],
    ['a language that is not there', { language: 'klingon' }],
  ])('%s is VALIDATION_FAILED', async (_, changes) => {
    expectTyped(await send({ method: 'POST', path, body: wrap(document(changes)) }), ['VALIDATION_FAILED']);
  });
});

describe('values', () => {
  const ask = (path: string, input: Record<string, unknown>) =>
    call(api.url, path, { input, authorization: owner.authorization });

  test.each([
    ['x'.repeat(201)],
    ['not base64 at all!'],
    [Buffer.from('2026-01-01|x').toString('base64url')],
    [Buffer.from(`9999-99-99 99:99:99|${'0'.repeat(36)}`).toString('base64url')],
    [Buffer.from(`2026-13-45 00:00:00+00|${'-'.repeat(36)}`).toString('base64url')],
    [''],
  ])('the cursor %j is VALIDATION_FAILED', async (cursor) =>
    expectTyped(await ask('documents.list', { projectId: world.ids.projectId, cursor }), ['VALIDATION_FAILED']),
  );

  test.each([0, -1, 101, 1.5, Number.MAX_SAFE_INTEGER + 1, 1e308, '10', null])(
    'the limit %j is VALIDATION_FAILED',
    async (limit) => {
      expectTyped(await ask('documents.list', { projectId: world.ids.projectId, limit }), ['VALIDATION_FAILED']);
    },
  );

  test.each([0, -1, 2 ** 31, 2 ** 53, 1.5, '1'])('the version %j is refused, typed', async (version) => {
    expectTyped(await ask('documents.update', { id: world.ids.documentId, version, title: 'T' }), [
      'VALIDATION_FAILED',
      'VERSION_CONFLICT',
    ]);
  });

  test.each([
    '\0',
    'a\0b',
    '\ud800',
    '"',
    "'",
    '\\',
    '%',
    '&|!()<->:*',
    'a & | b',
    '<script>',
    '😀'.repeat(200),
    '-'.repeat(500),
    '" or ""="',
    '((((((((((',
    'word '.repeat(90),
  ])('a search for %j is answered', async (q) => {
    for (const mode of ['fulltext', 'hybrid']) {
      const answer = await ask('search.query', { organizationId: world.ids.organizationId, q, mode });
      expect(answer.status, answer.text).toBeLessThan(500);
      if (answer.status !== 200) expectTyped(answer, ['VALIDATION_FAILED']);
    }
  });

  test('no text at all makes a search by words fail', async () => {
    const text = fc.string({
      unit: fc.constantFrom(
        '-',
        '"',
        ' ',
        'a',
        'or',
        'OR',
        '(',
        ')',
        '&',
        '|',
        '!',
        '<',
        '>',
        ':',
        '*',
        '\\',
        "'",
        'é',
        '😀',
      ),
      minLength: 1,
      maxLength: 250,
    });
    await fc.assert(
      fc.asyncProperty(text, async (q) => {
        const answer = await ask('search.query', { organizationId: world.ids.organizationId, q, mode: 'fulltext' });
        expect(q.trim() === '' ? [400] : [200], answer.text).toContain(answer.status);
      }),
      { numRuns: 300 },
    );
  });

  test('settings that hold a NUL, deep nesting or a million keys are refused or kept, never an error of ours', async () => {
    const { organizationId: id } = world.ids;
    for (const settings of [
      { a: '\0' },
      { 'a\0': 1 },
      JSON.parse(deep(500)),
      Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, n])),
    ]) {
      const answer = await ask('organizations.update', { id, settings });
      expect(answer.status, answer.text.slice(0, 200)).toBeLessThan(500);
      if (answer.status !== 200) expectTyped(answer, ['VALIDATION_FAILED']);
    }
  });

  test('the query input of tRPC that is no JSON is VALIDATION_FAILED', async () => {
    for (const input of ['{', '%', 'undefined', '%7B%22id%22%3A']) {
      expectTyped(await send({ method: 'GET', path: `/trpc/documents.get?input=${input}` }), ['VALIDATION_FAILED']);
      expectTyped(await send({ method: 'GET', path: `/trpc/documents.get?batch=1&input=${input}` }), [
        'VALIDATION_FAILED',
      ]);
    }
  });

  test('a query parameter given twice, as a list or as an object is VALIDATION_FAILED', async () => {
    const { projectId } = world.ids;
    for (const query of [
      `projectId=${projectId}&projectId=${projectId}`,
      `projectId[]=${projectId}`,
      `projectId[a]=${projectId}`,
      `projectId=${projectId}&limit=1&limit=2`,
      `projectId=${projectId}&limit=abc`,
    ]) {
      expectTyped(await send({ method: 'GET', path: `/api/v1/documents?${query}` }), ['VALIDATION_FAILED']);
    }
  });
});
