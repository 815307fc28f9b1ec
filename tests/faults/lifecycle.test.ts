/** How processes begin and end: nothing is refused, cut off or left half done, however a stop signal comes. */
import { once } from 'node:events';
import { Agent, request as send, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { connectJobQueue } from '@novax/adapters/queues';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stubServer } from '../conformance/stub-server.ts';
import { makeActors, type Actors } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { apiProcess } from '../kit/faults/api-process.ts';
import { startProcess, type TestProcess } from '../kit/faults/processes.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';

let api: TestApi;
let actors: Actors;
beforeAll(async () => {
  api = await startTestApi();
  actors = await makeActors(api);
});
afterAll(() => api[Symbol.asyncDispose]());

/** How a process ended and how many milliseconds after now. */
async function ending(process: TestProcess): Promise<{ how: number | NodeJS.Signals; ms: number }> {
  const started = performance.now();
  const how = await process.ended;
  return { how, ms: performance.now() - started };
}

/** A connection that has sent this and says no more. */
async function hungSocket(url: string, sent: string): Promise<Disposable> {
  const { hostname, port } = new URL(url);
  const socket = connectTcp(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(sent);
  return { [Symbol.dispose]: () => socket.destroy() };
}

/** Takes connections and says nothing on them. */
async function silentServer(onConnection: () => void): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Makes a process say on standard output that it is about to heed SIGTERM, for the first time soon after Node itself is up. */
const telling = `--import=data:text/javascript,${encodeURIComponent("process.on('newListener',(name)=>{if(name==='SIGTERM')console.log('heeds')})")}`;

test.each([
  ['as soon as the API heeds it', 'apps/api/src/main.ts', /heeds/],
  ['as soon as the worker heeds it', 'apps/workers/src/main.ts', /heeds/],
  ['while the API starts', 'apps/api/src/main.ts', /"starting"/],
  ['while the worker starts', 'apps/workers/src/main.ts', /"starting"/],
])('SIGTERM %s: it ends at once, with 0', { timeout: 60_000 }, async (_name, script, ready) => {
  const env = script.includes('workers') ? api.workersEnv : { ...api.env, SHUTDOWN_DELAY_MS: 5_000 };
  await using process = await startProcess({ script, env: { ...env, NODE_OPTIONS: telling }, ready });
  process.signal('SIGTERM');
  const { how, ms } = await ending(process);
  expect(how).toBe(0);
  // Loading modules is not to be interrupted, and takes a loaded machine seconds; the delay is for those who serve.
  expect(ms).toBeLessThan(15_000);
});

test(
  'after SIGTERM the API says at once that it is not ready, and serves on, alive, asking callers to connect elsewhere',
  { timeout: 60_000 },
  async () => {
    await using process = await apiProcess(api, { SHUTDOWN_DELAY_MS: 3_000 });
    const get = async (path: string): Promise<{ status: number; connection: string | null }> => {
      const response = await fetch(`${process.url}${path}`);
      await response.text();
      return { status: response.status, connection: response.headers.get('connection') };
    };
    expect(await get('/readyz')).toEqual({ status: 200, connection: 'keep-alive' });
    process.signal('SIGTERM');
    const signalled = performance.now();
    await eventually(async () => expect((await get('/readyz')).status).toBe(503), { timeoutMs: 1_000 });
    const unready = performance.now() - signalled;
    expect(unready).toBeLessThan(1_000);
    for (const path of ['/healthz', '/openapi.json', '/.well-known/jwks.json'])
      expect(await get(path), path).toEqual({ status: 200, connection: 'close' });
    const { authorization } = actors.owner;
    const input = encodeURIComponent(JSON.stringify({ limit: 1 }));
    const listed = await fetch(`${process.url}/trpc/organizations.list?input=${input}`, { headers: { authorization } });
    await listed.text();
    expect({ status: listed.status, connection: listed.headers.get('connection') }).toEqual({
      status: 200,
      connection: 'close',
    });
    expect(await process.ended).toBe(0);
    const ms = performance.now() - signalled;
    globalThis.process.stdout.write(
      `readiness 503 ${Math.round(unready)} ms after SIGTERM, gone after ${Math.round(ms)} ms\n`,
    );
    expect(ms).toBeGreaterThan(2_900);
  },
);

test('a call in hand at SIGTERM is answered, though its body comes later', { timeout: 60_000 }, async () => {
  const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
  await using process = await apiProcess(api);
  const body = JSON.stringify({ projectId, title: 'Written on the way out', content: 'x' });
  const agent = new Agent({ keepAlive: true });
  const call = send(`${process.url}/trpc/documents.create`, {
    agent,
    method: 'POST',
    headers: {
      'authorization': actors.owner.authorization,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    },
  });
  call.write(body.slice(0, 10));
  await once(call, 'socket');
  // The server has the beginning once another connection is served after it.
  await (await fetch(`${process.url}/healthz`)).text();
  process.signal('SIGTERM');
  await eventually(() => expect(fetch(`${process.url}/healthz`)).rejects.toThrow());
  call.end(body.slice(10));
  // The event's only argument.
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  answer.resume();
  expect({ status: answer.statusCode, connection: answer.headers.connection }).toEqual({
    status: 200,
    connection: 'close',
  });
  const { how, ms } = await ending(process);
  expect(how).toBe(0);
  // Nobody waits for the caller to let go of a connection that was kept.
  expect(ms).toBeLessThan(3_000);
  agent.destroy();
});

const head = 'POST /trpc/sessions.create HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';

test.each([
  ['half a body', `${head}content-length: 100\r\n\r\n{`, 2_500],
  ['half a head', head, 2_500],
  ['nothing', '', 2_500],
  ['a whole request, on a connection that it keeps', 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n', 1_000],
])(
  'a caller that has sent %s and hangs does not hold the API past its deadline',
  { timeout: 60_000 },
  async (_, sent, mostMs) => {
    await using process = await apiProcess(api, { SHUTDOWN_DEADLINE_MS: 2_000 });
    using _hung = await hungSocket(process.url, sent);
    await (await fetch(`${process.url}/healthz`)).text();
    process.signal('SIGTERM');
    const { how, ms } = await ending(process);
    expect(how).toBe(0);
    expect(ms).toBeLessThan(mostMs);
  },
);

test('nor does one that hangs on the metrics hold the workers', { timeout: 60_000 }, async () => {
  let port = '';
  await using process = await startProcess({
    script: 'apps/workers/src/main.ts',
    env: { ...api.workersEnv, SHUTDOWN_DEADLINE_MS: 10_000 },
    ready: /"metricsPort":(\d+),"msg":"working"/,
    onReady: (found) => (port = found),
  });
  using _hung = await hungSocket(`http://127.0.0.1:${port}`, 'GET /metrics HTTP/1.1\r\n');
  process.signal('SIGTERM');
  const { how, ms } = await ending(process);
  expect(how).toBe(0);
  expect(ms).toBeLessThan(5_000);
});

test('a second signal ends the process at once, with 1', { timeout: 60_000 }, async () => {
  await using process = await apiProcess(api, { SHUTDOWN_DELAY_MS: 60_000 });
  process.signal('SIGTERM');
  await eventually(async () => {
    const response = await fetch(`${process.url}/readyz`);
    await response.text();
    expect(response.status).toBe(503);
  });
  process.signal('SIGTERM');
  const { how, ms } = await ending(process);
  expect(how).toBe(1);
  expect(ms).toBeLessThan(2_000);
});

test('a job that hangs at SIGTERM is put back in time, and the next worker does it', { timeout: 120_000 }, async () => {
  let hangs = true;
  let asked = 0;
  await using model = await stubServer((request) => {
    const { input } = request.json<{ input: string[] }>();
    const hung = hangs && input.some((text) => text.includes('left hanging'));
    if (hung) asked += 1;
    return hung ? null : { body: { data: input.map((_, index) => ({ index, embedding: [1, 0, 0, 0] })) } };
  });
  await using admin = await connect(api.database.adminUrl);
  const workers = () =>
    startProcess({
      script: 'apps/workers/src/main.ts',
      env: {
        ...api.workersEnv,
        WORKER_ROLES: ['relay', 'fan-out', 'jobs'],
        EMBEDDING_PROVIDER: 'openai',
        EMBEDDING_BASE_URL: model.url,
        EMBEDDING_MODEL: 'hanging-model',
        SHUTDOWN_DEADLINE_MS: 4_000,
      },
      ready: /"working"/,
    });
  const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
  const { id } = await makeDocument(actors.owner.client, { projectId, content: 'This one is left hanging.' });
  {
    await using process = await workers();
    await eventually(() => expect(asked).toBe(1), { timeoutMs: 30_000 });
    process.signal('SIGTERM');
    const { how, ms } = await ending(process);
    expect(how).toBe(0);
    expect(ms).toBeGreaterThan(1_900);
    expect(ms).toBeLessThan(4_000);
  }
  const queue = await connectJobQueue({
    url: servers().queueRedisUrl,
    prefix: api.workersEnv.QUEUE_PREFIX,
    log: quiet,
  });
  expect((await queue.counts()).embedding).toMatchObject({ waiting: 1, active: 0, delayed: 0, failed: 0 });
  hangs = false;
  await using _next = await workers();
  // Long before anybody would think it lost.
  await eventually(
    async () => expect((await admin.query('select from ai_embeddings where document_id = $1', [id])).rowCount).toBe(1),
    { timeoutMs: 10_000 },
  );
  await queue.close();
});

test('a mail server that hangs does not hold the workers past their deadline', { timeout: 60_000 }, async () => {
  const asked = Promise.withResolvers<void>();
  await using hung = await silentServer(() => asked.resolve());
  await using process = await startProcess({
    script: 'apps/workers/src/main.ts',
    env: {
      ...api.workersEnv,
      WORKER_ROLES: ['mail'],
      SMTP_URL: `smtp://127.0.0.1:${hung.port}`,
      MAIL_FROM: 'novax@example.com',
      APP_URL: 'http://app.example.com',
      SHUTDOWN_DEADLINE_MS: 4_000,
    },
    ready: /"working"/,
  });
  // The actors' addresses wait to be confirmed.
  await asked.promise;
  process.signal('SIGTERM');
  const { how, ms } = await ending(process);
  expect(how).toBe(0);
  expect(ms).toBeLessThan(3_000);
});

test('jobs in hand at SIGTERM finish, once, and none is left or stalled', { timeout: 120_000 }, async () => {
  const held = Promise.withResolvers<void>();
  const asked: string[][] = [];
  await using model = await stubServer(async (request) => {
    const { input } = request.json<{ input: string[] }>();
    asked.push(input);
    if (input.some((text) => text.includes('held back'))) await held.promise;
    return { body: { data: input.map((_, index) => ({ index, embedding: [1, 0, 0, 0] })) } };
  });
  await using admin = await connect(api.database.adminUrl);
  await using process = await startProcess({
    script: 'apps/workers/src/main.ts',
    env: {
      ...api.workersEnv,
      WORKER_ROLES: ['relay', 'fan-out', 'jobs'],
      EMBEDDING_PROVIDER: 'openai',
      EMBEDDING_BASE_URL: model.url,
      EMBEDDING_MODEL: 'held-model',
    },
    ready: /"working"/,
  });
  const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
  const { id } = await makeDocument(actors.owner.client, { projectId, content: 'This one is held back.' });
  const inHand = (): number => asked.filter((input) => input.some((text) => text.includes('held back'))).length;
  await eventually(() => expect(inHand()).toBe(1), { timeoutMs: 30_000 });
  let ended = false;
  process.signal('SIGTERM');
  void process.ended.then(() => (ended = true));
  // A second of leaving: the job is still in hand.
  const until = Date.now() + 1_000;
  await eventually(() => expect(Date.now()).toBeGreaterThan(until));
  expect(ended).toBe(false);
  held.resolve();
  expect(await process.ended).toBe(0);
  expect(inHand()).toBe(1);
  expect((await admin.query('select from ai_embeddings where document_id = $1', [id])).rowCount).toBe(1);
  const queue = await connectJobQueue({
    url: servers().queueRedisUrl,
    prefix: api.workersEnv.QUEUE_PREFIX,
    log: quiet,
  });
  expect((await queue.counts()).embedding).toMatchObject({ active: 0, failed: 0 });
  await queue.close();
});
