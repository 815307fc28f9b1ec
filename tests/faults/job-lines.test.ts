/** Job queues under floods and bad connections: others' jobs are not held up, workers come back by themselves, and operators can look. */
import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connectJobWorker } from '@novax/adapters/job-worker';
import { connectJobQueue } from '@novax/adapters/queues';
import type { JobRequest } from '@novax/contracts/jobs';
import type { JobQueue, JobRun, JobWorker } from '@novax/domain/ports';
import { pause } from '@novax/runtime/clock';
import { createMetrics } from '@novax/runtime/metrics';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWatchdog } from '../../apps/workers/src/watchdog.ts';
import { quiet, uniqueName } from '../conformance/unique.ts';
import { startTestApi } from '../kit/api.ts';
import { eventually } from '../kit/eventually.ts';
import { ownValkey, type OwnValkey } from '../kit/faults/own-valkey.ts';
import { faultProxy } from '../kit/faults/proxy.ts';

let valkey: OwnValkey;
const figures: string[] = [];
beforeAll(async () => {
  valkey = await ownValkey();
});
afterAll(async () => {
  process.stdout.write(`${figures.map((line) => `job lines: ${line}`).join('\n')}\n`);
  await valkey[Symbol.asyncDispose]();
});
const long = { timeout: 120_000 };
const noDead = async (): Promise<void> => undefined;

function embed(id: string, organizationId: string = randomUUID()): JobRequest {
  return { name: 'embed-document', id, payload: { organizationId, documentId: randomUUID(), event: null } };
}

interface Pair extends AsyncDisposable {
  readonly queue: JobQueue;
  readonly worker: JobWorker;
  readonly prefix: string;
}

/** A producer beside the server, and a worker that reaches it by `url`. */
async function pair(url: string): Promise<Pair> {
  const prefix = uniqueName();
  const queue = await connectJobQueue({ url: valkey.url, log: quiet, prefix });
  const worker = await connectJobWorker({ url, log: quiet, prefix, lockMs: 2000 });
  return { queue, worker, prefix, [Symbol.asyncDispose]: () => queue.close() };
}

test(
  'ten jobs of one organization are done within ten seconds behind 20,000 of another, and memory stays flat',
  long,
  async () => {
    await using at = await pair(valkey.url);
    const [whale, minnow] = [randomUUID(), randomUUID()];
    const before = await memory(valkey.redis);
    for (let from = 0; from < 20_000; from += 2000)
      await at.queue.add(Array.from({ length: 2000 }, (_, n) => embed(`w${from + n}`, whale)));
    const full = await memory(valkey.redis);
    const done = { whale: 0, minnow: 0, whaleAtMinnowsEnd: 0 };
    const finished = Promise.withResolvers<number>();
    const handle = async (job: JobRun): Promise<void> => {
      // As long as a small write takes.
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (job.id.startsWith('w')) done.whale += 1;
      else if ((done.minnow += 1) === 10) {
        done.whaleAtMinnowsEnd = done.whale;
        finished.resolve(performance.now());
      }
    };
    const concurrency = 4;
    const stop = await at.worker.run({ queue: 'embedding', concurrency, handle, onDead: noDead });
    await eventually(() => expect(done.whale).toBeGreaterThan(100), { timeoutMs: 20_000 });
    const started = performance.now();
    const heap = heapUsed();
    await at.queue.add(Array.from({ length: 10 }, (_, n) => embed(`m${n}`, minnow)));
    const whaleAtStart = done.whale;
    const ms = Math.round((await finished.promise) - started);
    const left = 20_000 - done.whale;
    expect(ms).toBeLessThan(10_000);
    const ahead = done.whaleAtMinnowsEnd - whaleAtStart;
    expect(ahead).toBeLessThanOrEqual(10 + 2 * concurrency);
    expect(left, 'the other line must still be long').toBeGreaterThan(10_000);
    await eventually(() => expect(done.whale).toBe(20_000), { timeoutMs: 90_000, everyMs: 100 });
    await stop();
    const after = await memory(valkey.redis);
    const grown = heapUsed() - heap;
    // What is left of 20,010 jobs: nothing but the library's capped list of past events.
    expect(after - before).toBeLessThan(8 * 2 ** 20);
    expect(grown).toBeLessThan(16 * 2 ** 20);
    figures.push(
      `10 jobs behind 20,000 of another organization: done after ${ms} ms and ${ahead} of its jobs, ${left} still waiting (bound: ten, and those in hand at either end)`,
      `memory: server ${mib(before)} empty, ${mib(full)} with 20,000 waiting, ${mib(after)} afterwards; worker's heap ${grown > 0 ? '+' : ''}${mib(grown)}`,
    );
  },
);

test(
  'a connection cut twenty times, silent, or led to a replica: workers go on within five seconds and schedules within a period',
  long,
  async () => {
    await using proxy = await faultProxy(valkey.url);
    await using at = await pair(proxy.url);
    const seen = new Set<string>();
    let ticks = 0;
    const run = { concurrency: 2, onDead: noDead };
    const stops = [
      await at.worker.run({ ...run, queue: 'embedding', handle: async ({ id }) => void seen.add(id) }),
      await at.worker.run({ ...run, queue: 'maintenance', handle: async () => void (ticks += 1) }),
    ];
    const everyMs = 1000;
    await at.queue.schedule('tick', everyMs, { name: 'ensure-partitions', payload: {} });
    /** Milliseconds until a job added now is taken, and until the schedule fired again. */
    const resumed = async (): Promise<{ job: number; schedule: number }> => {
      const started = performance.now();
      const id = uniqueName();
      // The producer may be finding its own way back.
      await eventually(() => at.queue.add([embed(id)]));
      const before = ticks;
      const since = (): number => Math.round(performance.now() - started);
      const [job, schedule] = await Promise.all([
        eventually(() => (expect(seen).toContain(id), since()), { timeoutMs: 20_000 }),
        eventually(() => (expect(ticks).toBeGreaterThan(before), since()), { timeoutMs: 20_000 }),
      ]);
      return { job, schedule };
    };
    await resumed();
    const cuts: { job: number; schedule: number }[] = [];
    for (let n = 0; n < 20; n += 1) {
      proxy.down();
      proxy.mend();
      cuts.push(await resumed());
    }
    const worst = {
      job: Math.max(...cuts.map(({ job }) => job)),
      schedule: Math.max(...cuts.map((it) => it.schedule)),
    };
    expect(worst.job).toBeLessThan(5000);
    expect(worst.schedule).toBeLessThan(5000 + everyMs);

    const endSilence = proxy.poison({ type: 'latency', latencyMs: 3000 });
    const meanwhile = uniqueName();
    await at.queue.add([embed(meanwhile)]);
    await pause(3000);
    endSilence();
    const stalled = await resumed();
    expect(stalled.job).toBeLessThan(5000);
    await eventually(() => expect(seen).toContain(meanwhile));

    await valkey.redis.replicaof('127.0.0.1', 1);
    const raw = new Redis(valkey.url);
    await expect(raw.set('anything', '1')).rejects.toThrow('READONLY');
    await expect(at.queue.add([embed(uniqueName())])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await valkey.redis.replicaof('NO', 'ONE');
    await raw.quit();
    const demoted = await resumed();
    expect(demoted.job).toBeLessThan(5000);
    for (const { schedule } of [stalled, demoted]) expect(schedule).toBeLessThan(5000 + everyMs);
    for (const stop of stops) await stop();
    figures.push(
      `20 cuts: a job is taken within ${worst.job} ms, a schedule of ${everyMs} ms fires within ${worst.schedule} ms; after 3 s of silence ${stalled.job} and ${stalled.schedule} ms; after READONLY ${demoted.job} and ${demoted.schedule} ms`,
    );
  },
);

test(
  'a worker that leaves jobs waiting is restarted and counted; one that is limited, busy or without jobs is not',
  long,
  async () => {
    await using proxy = await faultProxy(valkey.url);
    await using at = await pair(proxy.url);
    const metrics = createMetrics();
    const restarts = async (): Promise<number> => (await metrics.workerRestarts.get()).values[0]?.value ?? 0;
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const ending = Promise.withResolvers<void>();
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async ({ id }) => {
        seen.push(id);
        if (id === 'long') await gate.promise;
        if (id === 'last heard of') await ending.promise;
      },
      onDead: noDead,
    });
    const stopWatching = startWatchdog({ ...at, metrics, log: quiet, everyMs: 50, stuckMs: 300 });
    await at.queue.add([embed('long'), embed('behind it')]);
    // Busy: the one behind grows old, and nothing is wrong.
    await eventually(async () => expect((await at.queue.ages()).embedding.oldestMs).toBeGreaterThan(800));
    expect(await restarts()).toBe(0);
    gate.resolve();
    await eventually(() => expect(seen).toEqual(['long', 'behind it']));
    // Nothing to do for longer than the bound, and nothing is wrong.
    await eventually(() => expect(at.worker.idleMs('embedding')).toBeGreaterThan(600));
    expect(await restarts()).toBe(0);

    // The server's answer to a job's end is lost, and with it the next job, which that answer hands over: the library waits for it for ever.
    await at.queue.add([embed('last heard of'), embed('swallowed')]);
    await eventually(() => expect(seen).toContain('last heard of'));
    const removeToxic = proxy.poison({ type: 'timeout', timeoutMs: 0 });
    ending.resolve();
    await eventually(async () => expect((await at.queue.counts()).embedding).toMatchObject({ waiting: 0, active: 1 }));
    removeToxic();
    const started = performance.now();
    await at.queue.add([embed('left waiting')]);
    await eventually(() => expect(seen).toContain('left waiting'), { timeoutMs: 10_000 });
    const ms = Math.round(performance.now() - started);
    expect(await restarts()).toBeGreaterThan(0);
    await eventually(() => expect(seen).toContain('swallowed'), { timeoutMs: 20_000 });
    await stopWatching();
    await stop();
    figures.push(
      `a worker on hanging connections, watched every 50 ms with a bound of 300 ms: taking jobs again after ${ms} ms, ${await restarts()} restart(s)`,
    );
  },
);

test(
  'operators see the queues with the token, and change nothing; without the setting there is no page',
  long,
  async () => {
    const token = 'an-operators-token-of-some-length';
    await using api = await startTestApi();
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const settings = { WORKER_ROLES: ['fan-out' as const], METRICS_PORT: port };
    const url = `http://127.0.0.1:${port}`;
    const ask = (path: string, authorization?: string, method = 'GET'): Promise<Response> =>
      fetch(`${url}${path}`, { method, headers: authorization === undefined ? {} : { authorization } });
    {
      await using closed = await api.startWorkers(settings);
      expect(closed).toBeDefined();
      expect((await ask('/queues')).status).toBe(404);
      expect((await ask('/queues', `Bearer ${token}`)).status).toBe(404);
    }
    await using open = await api.startWorkers({ ...settings, OPERATOR_TOKEN: token });
    expect(open).toBeDefined();
    const basic = (password: string): string => `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`;
    for (const wrong of [
      undefined,
      'Bearer',
      'Bearer nonsense',
      `Bearer ${token}x`,
      token,
      basic('nonsense'),
      'Basic !!',
    ])
      for (const path of ['/queues', '/queues/api/queues', '/queues/static/js/main.js'])
        expect((await ask(path, wrong)).status, `${path} with ${wrong}`).toBe(401);
    for (const right of [`Bearer ${token}`, basic(token)]) {
      const page = await ask('/queues', right);
      expect(page.status).toBe(200);
      const html = await page.text();
      expect(html).toContain('NovaX queues');
      expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
      const [, script = ''] = /src="([^"]+[.]js)"/.exec(html) ?? [];
      const asset = await ask(new URL(script, `${url}/queues/`).pathname, right);
      expect([asset.status, asset.headers.get('content-type')]).toEqual([200, expect.stringContaining('javascript')]);
      // The API's answer, as its page reads it.
      const { queues } = (await (await ask('/queues/api/queues', right)).json()) as {
        queues: { name: string; readOnlyMode: boolean }[];
      };
      expect(queues.map(({ name, readOnlyMode }) => `${name} ${readOnlyMode}`)).toContain('embedding true');
      for (const method of ['PUT', 'POST', 'PATCH', 'DELETE'])
        expect((await ask('/queues/api/queues/embedding/pause', right, method)).status).toBe(405);
    }
    expect((await ask('/metrics')).status).toBe(200);
    expect((await ask('/queuesx', `Bearer ${token}`)).status).toBe(404);
  },
);

/** Bytes in use once all garbage is gone. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

async function memory(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
