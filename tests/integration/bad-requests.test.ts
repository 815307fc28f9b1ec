/** Requests that are no calls: too many at once, broken, or given up half-way. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { batchCallsMax } from '@novax/contracts/limits';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

test('a batch of 1,000 calls is refused, and one at the limit is answered', async () => {
  const batch = (count: number): string => `/trpc/${Array.from({ length: count }, () => 'users.me').join(',')}?batch=1`;
  const many = await send({ method: 'GET', path: batch(1_000) });
  expectTyped(many, ['VALIDATION_FAILED']);
  const most = await send({ method: 'GET', path: batch(batchCallsMax) });
  expect(most.status).toBe(200);
  expect(JSON.parse(most.text)).toHaveLength(batchCallsMax);
});

test('a batch answers each call for itself: one that fails harms no other', async () => {
  const input = encodeURIComponent(json({ 1: { id: 'x' }, 2: { id: world.ids.documentId } }));
  const answer = await send({
    method: 'GET',
    path: `/trpc/users.me,documents.get,documents.get,no.such?batch=1&input=${input}`,
  });
  expect(answer.status).toBe(207);
  expect(JSON.parse(answer.text)).toMatchObject([
    { result: { data: { id: owner.id } } },
    { error: { data: { appCode: 'VALIDATION_FAILED' } } },
    { result: { data: { id: world.ids.documentId } } },
    { error: { data: { appCode: 'NOT_FOUND' } } },
  ]);
});

test('a request id that is not one is replaced, one that is comes back', async () => {
  for (const [given, kept] of [
    ['abcdefgh-1234', true],
    ['short', false],
    ['x'.repeat(65), false],
    ['<script>alert(1)</script>', false],
  ] as const) {
    const answer = await send({ method: 'GET', path: '/trpc/users.me', headers: { 'x-request-id': given } });
    expect(answer.headers['x-request-id'] === given).toBe(kept);
  }
});

test('what is no HTTP is answered with 400 or a closed connection, and the server goes on', async () => {
  const { hostname, port } = new URL(api.url);
  for (const raw of [
    '\0\0\0\0',
    'GET\r\n\r\n',
    'POST /trpc/users.me HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(100_000)}\r\n\r\n`,
  ]) {
    const socket = connectTcp(Number(port), hostname);
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('error', () => undefined);
    socket.end(raw);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(heard === '' || /^HTTP\/1\.1 (400|431)/.test(heard), heard.slice(0, 100)).toBe(true);
  }
  expect((await call(api.url, 'users.me', { input: {}, authorization: owner.authorization })).status).toBe(200);
});

test('a caller who goes away in the middle of a body leaves nothing behind', async () => {
  const { hostname, port } = new URL(api.url);
  const socket = connectTcp(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(
    `POST /trpc/documents.create HTTP/1.1\r\nHost: x\r\nAuthorization: ${owner.authorization}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"title":`,
  );
  socket.destroy();
  await once(socket, 'close');
  expect((await call(api.url, 'users.me', { input: {}, authorization: owner.authorization })).status).toBe(200);
});
