/** How processes begin and end: nothing is refused, cut off or left half done, however a stop signal comes. */
import { once } from 'node:events';
import { Agent, request as send, type IncomingMessage } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { connectJobQueue } from '@novax/adapters/queues';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stubServer } from '../conformance/stub-server.ts';
import { makeActors, type Actors } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { balancer } from '../kit/faults/balancer.ts';
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

/** An API process on the test's database; answers its address too. */
async function apiProcess(settings: Readonly<Record<string, unknown>> = {}): Promise<TestProcess & { url: string }> {
  let url = '';
  const process = await startProcess({
    script: 'apps/api/src/main.ts',
    env: { ...api.env, ...settings },
    ready: /"url":"([^"]+)"/,
    onReady: (found) => (url = found),
  });
  return { ...process, url };
}

/** How a process ended and how many milliseconds after now. */
async function ending(process: TestProcess): Promise<{ how: number | NodeJS.Signals; ms: number }> {
  const started = performance.now();
  const how = await process.ended;
  return { how, ms: performance.now() - started };
}

/** A connection that has begun a request and never ends it. */
async function hungSocket(url: string): Promise<Disposable> {
  const { hostname, port } = new URL(url);
  const socket = connectTcp(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(
    'POST /trpc/sessions.create HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
  );
  return { [Symbol.dispose]: () => socket.destroy() };
}

test.each([
  ['API', 'apps/api/src/main.ts'],
  ['worker', 'apps/workers/src/main.ts'],
])('SIGTERM while the %s starts: it ends at once, with 0', { timeout: 60_000 }, async (_name, script) => {
  const env = script.includes('workers')
    ? { ...api.workersEnv, METRICS_PORT: 0 }
    : { ...api.env, SHUTDOWN_DELAY_MS: 5_000 };
  await using process = await startProcess({ script, env, ready: /"starting"/ });
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
    await using process = await apiProcess({ SHUTDOWN_DELAY_MS: 3_000 });
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
  await using process = await apiProcess();
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

test('a socket that hangs does not hold the process past its deadline', { timeout: 60_000 }, async () => {
  await using process = await apiProcess({ SHUTDOWN_DEADLINE_MS: 2_000 });
  using _hung = await hungSocket(process.url);
  await (await fetch(`${process.url}/healthz`)).text();
  process.signal('SIGTERM');
  const { how, ms } = await ending(process);
  expect(how).toBe(0);
  expect(ms).toBeGreaterThan(900);
  expect(ms).toBeLessThan(3_000);
});

test('a second signal ends the process at once, with 1', { timeout: 60_000 }, async () => {
  await using process = await apiProcess({ SHUTDOWN_DELAY_MS: 60_000 });
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

test(
  'rolling replacement behind a balancer that hears of it late: no request fails',
  { timeout: 240_000 },
  async () => {
    const replacements = 5;
    const settings = { SHUTDOWN_DELAY_MS: 1_000, CHECK_OUTPUT: false };
    await using front = await balancer();
    const running = [await apiProcess(settings), await apiProcess(settings)];
    for (const { url } of running) front.add(url);
    const tally = { reads: 0, writes: 0, failed: [] as string[] };
    const took: number[] = [];
    let over = false;
    const { authorization } = actors.owner;
    const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
    const client = async (n: number): Promise<void> => {
      for (let turn = 0; !over; turn += 1) {
        const at = performance.now();
        const write = turn % 5 === 0;
        const input = write ? { projectId, title: `Document ${turn} of ${n}`, content: '' } : { limit: 5 };
        const answer = await (
          write
            ? fetch(`${front.url}/trpc/documents.create`, {
                method: 'POST',
                headers: { authorization, 'content-type': 'application/json' },
                body: JSON.stringify(input),
              })
            : fetch(`${front.url}/trpc/organizations.list?input=${encodeURIComponent(JSON.stringify(input))}`, {
                headers: { authorization },
              })
        ).catch((thrown: unknown) => ({ status: 0, text: async () => String(thrown) }));
        const text = await answer.text();
        if (answer.status !== 200) tally.failed.push(`${answer.status} ${text.slice(0, 200)}`);
        tally[write ? 'writes' : 'reads'] += 1;
        took.push(performance.now() - at);
        // About 25 a second from each of four.
        await eventually(() => expect(performance.now() - at).toBeGreaterThan(40));
      }
    };
    const clients = [1, 2, 3, 4].map((n) => client(n));
    const codes: (number | NodeJS.Signals)[] = [];
    for (let n = 0; n < replacements; n += 1) {
      const next = await apiProcess(settings);
      front.add(next.url);
      running.push(next);
      const old = running.shift();
      if (old === undefined) throw new Error('nothing runs');
      old.signal('SIGTERM');
      const until = Date.now() + 500;
      await eventually(() => expect(Date.now()).toBeGreaterThan(until));
      front.remove(old.url);
      codes.push(await old.ended);
    }
    over = true;
    await Promise.all(clients);
    for (const process of running) await process[Symbol.asyncDispose]();
    const sorted = took.toSorted((a, b) => a - b);
    process.stdout.write(
      `${replacements} rolling replacements: ${tally.reads} reads and ${tally.writes} writes, ${tally.failed.length} failed; p99 ${Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0)} ms\n`,
    );
    expect(codes).toEqual(Array.from({ length: replacements }, () => 0));
    expect({ failed: tally.failed, balancer: front.failures }).toEqual({ failed: [], balancer: [] });
    expect(tally.reads + tally.writes).toBeGreaterThan(200);
  },
);
