/** The job queue and worker ports, on the fakes and on the real server. */
import { randomUUID } from 'node:crypto';
import { fakeJobs } from '@novax/adapters/fakes/queues';
import { connectJobWorker } from '@novax/adapters/job-worker';
import { connectJobQueue } from '@novax/adapters/queues';
import type { JobRequest } from '@novax/contracts/jobs';
import type { JobQueue, JobRun, JobWorker } from '@novax/domain/ports';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { servers } from '../kit/servers.ts';
import { faultProxy } from '../kit/faults/proxy.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';
import { quiet, uniqueName } from './unique.ts';

interface Jobs extends AsyncDisposable {
  /** First part of every key; empty in memory. */
  readonly prefix: string;
  readonly queue: JobQueue;
  readonly worker: JobWorker;
  /** Places a job past the producer's checks, as another release might. */
  insert(name: string, id: string, payload: unknown): Promise<void>;
}

async function realJobs(): Promise<Jobs> {
  const options = { url: servers().queueRedisUrl, log: quiet, prefix: uniqueName(), retryBaseMs: 10, sweepEveryMs: 50 };
  const queue = await connectJobQueue(options);
  const worker = await connectJobWorker(options);
  return {
    prefix: options.prefix,
    queue,
    worker,
    async insert(name, id, payload) {
      const redis = new Redis(options.url, { maxRetriesPerRequest: null });
      const raw = new Queue('embedding', { connection: redis, prefix: options.prefix });
      await raw.add(name, payload, { jobId: id, attempts: 5 });
      await raw.close();
      await redis.quit();
    },
    async [Symbol.asyncDispose]() {
      await queue.close();
      const redis = new Redis(options.url);
      const keys = await redis.keys(`${options.prefix}:*`);
      if (keys.length > 0) await redis.del(keys);
      await redis.quit();
    },
  };
}

const kinds: Record<string, () => Promise<Jobs>> = {
  fake: async () => {
    const fake = fakeJobs({ retryBaseMs: 10 });
    return {
      ...fake,
      prefix: '',
      insert: async (name, id, payload) => fake.insert({ name, id, payload, queue: 'embedding' }),
      [Symbol.asyncDispose]: () => fake.queue.close(),
    };
  },
  valkey: realJobs,
};

function embed(id = uniqueName(), organizationId: string = randomUUID()): JobRequest & { name: 'embed-document' } {
  return {
    name: 'embed-document',
    id,
    payload: { organizationId, documentId: randomUUID(), event: null },
  };
}

const noDead = async (): Promise<void> => undefined;

describe.each(Object.entries(kinds))('job queue: %s', (_, make) => {
  test('a job reaches its worker with its id, name and payload, and leaves nothing behind', async () => {
    await using at = await make();
    const request = embed();
    const seen: JobRun[] = [];
    await at.queue.add([request]);
    expect((await at.queue.counts()).embedding).toEqual({ waiting: 1, active: 0, delayed: 0, failed: 0 });
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 4,
      handle: async (job) => void seen.push(job),
      onDead: noDead,
    });
    await eventually(() => expect(seen).toEqual([{ ...request, attempt: 1 }]));
    await eventually(async () =>
      expect((await at.queue.counts()).embedding).toEqual({ waiting: 0, active: 0, delayed: 0, failed: 0 }),
    );
    await stop();
  });

  test('adding an id that is still queued does nothing; once it is done it can be added again', async () => {
    await using at = await make();
    const request = embed();
    await at.queue.add([request, request]);
    await at.queue.add([request]);
    expect((await at.queue.counts()).embedding.waiting).toBe(1);
    let calls = 0;
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async () => void (calls += 1),
      onDead: noDead,
    });
    await eventually(async () => expect([calls, (await at.queue.counts()).embedding.active]).toEqual([1, 0]));
    await at.queue.add([request]);
    await eventually(() => expect(calls).toBe(2));
    await stop();
  });

  test('jobs go to the queue of their row, and a worker takes only its own', async () => {
    await using at = await make();
    await at.queue.add([embed(), { name: 'refresh-views', id: uniqueName(), payload: {} }]);
    const seen: string[] = [];
    const stop = await at.worker.run({
      queue: 'view-refresh',
      concurrency: 1,
      handle: async ({ name }) => void seen.push(name),
      onDead: noDead,
    });
    await eventually(() => expect(seen).toEqual(['refresh-views']));
    await stop();
    expect((await at.queue.counts()).embedding.waiting).toBe(1);
  });

  test('a wrong payload is refused when it is added, with everything added beside it', async () => {
    await using at = await make();
    const wrong = { ...embed(), payload: { organizationId: 'x', documentId: randomUUID(), event: null } };
    await expect(at.queue.add([embed(), wrong])).rejects.toMatchObject({ code: 'INTERNAL' });
    expect((await at.queue.counts()).embedding.waiting).toBe(0);
  });

  test('a failing job is tried as often as its row says, then reported dead once and removed', async () => {
    await using at = await make();
    const request: JobRequest = { name: 'refresh-views', id: uniqueName(), payload: {} };
    const attempts: number[] = [];
    const dead: unknown[] = [];
    const stop = await at.worker.run({
      queue: 'view-refresh',
      concurrency: 2,
      handle: async ({ attempt }) => {
        attempts.push(attempt);
        throw new Error(`no ${attempt}`);
      },
      onDead: async (job, error) => void dead.push([job, error.message]),
    });
    await at.queue.add([request]);
    await eventually(() => expect(dead).toHaveLength(1));
    expect(attempts).toEqual([1, 2, 3]);
    expect(dead).toEqual([[{ ...request, attempts: 3 }, 'no 3']]);
    await eventually(async () =>
      expect((await at.queue.counts())['view-refresh']).toEqual({ waiting: 0, active: 0, delayed: 0, failed: 0 }),
    );
    await at.queue.add([request]);
    await eventually(() => expect(attempts).toHaveLength(4));
    await stop();
  });

  test('a job that fails and then succeeds is not dead', async () => {
    await using at = await make();
    const attempts: number[] = [];
    let dead = 0;
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 2,
      handle: async ({ attempt }) => {
        attempts.push(attempt);
        if (attempt < 3) throw new Error('not yet');
      },
      onDead: async () => void (dead += 1),
    });
    await at.queue.add([embed()]);
    await eventually(() => expect(attempts).toEqual([1, 2, 3]));
    await eventually(async () => expect((await at.queue.counts()).embedding.active).toBe(0));
    await stop();
    expect(dead).toBe(0);
  });

  test.each([
    ['of a name nobody knows', 'fly-to-the-moon', { a: 1 }],
    ['with a payload that is not valid', 'embed-document', { documentId: 7 }],
  ])('a job %s is dead at once, and never handled', async (_, name, payload) => {
    await using at = await make();
    const id = uniqueName();
    await at.insert(name, id, payload);
    const dead: unknown[] = [];
    let handled = 0;
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async () => void (handled += 1),
      onDead: async (job) => void dead.push(job),
    });
    await eventually(() => expect(dead).toMatchObject([{ id, name, payload }]));
    await eventually(async () => expect((await at.queue.counts()).embedding.failed).toBe(0));
    await stop();
    expect(handled).toBe(0);
  });

  test('no more jobs run at once than asked for', async () => {
    await using at = await make();
    let [running, most, done] = [0, 0, 0];
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 3,
      handle: async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        done += 1;
      },
      onDead: noDead,
    });
    await at.queue.add(Array.from({ length: 30 }, () => embed()));
    await eventually(() => expect(done).toBe(30));
    await stop();
    expect(most).toBeLessThanOrEqual(3);
  });

  test('stopping waits for the jobs in hand and takes no more', async () => {
    await using at = await make();
    const gate = Promise.withResolvers<void>();
    let [begun, ended] = [0, 0];
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 2,
      handle: async () => {
        begun += 1;
        await gate.promise;
        ended += 1;
      },
      onDead: noDead,
    });
    await at.queue.add(Array.from({ length: 5 }, () => embed()));
    await eventually(() => expect(begun).toBe(2));
    const stopped = stop();
    gate.resolve();
    await stopped;
    expect([begun, ended]).toEqual([2, 2]);
    expect((await at.queue.counts()).embedding.waiting).toBe(3);
  });

  test('a schedule repeats, and a second one of the same key replaces the first', async () => {
    await using at = await make();
    const seen: string[] = [];
    const stop = await at.worker.run({
      queue: 'maintenance',
      concurrency: 1,
      handle: async ({ name }) => void seen.push(name),
      onDead: noDead,
    });
    await at.queue.schedule('owed', 40, { name: 'reconcile-owed-work', payload: { sinceS: 60 } });
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(3));
    await at.queue.schedule('owed', 40, { name: 'ensure-partitions', payload: {} });
    await eventually(() => expect(seen.at(-1)).toBe('ensure-partitions'));
    const before = seen.length;
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(before + 3));
    expect(new Set(seen.slice(before))).toEqual(new Set(['ensure-partitions']));
    await stop();
  });

  test('organizations take turns, and the jobs of each keep their order', async () => {
    await using at = await make();
    const [whale, minnow, other] = [randomUUID(), randomUUID(), randomUUID()];
    const line = (organizationId: string, letter: string, count: number): JobRequest[] =>
      Array.from({ length: count }, (_, n) => embed(`${letter}${n}`, organizationId));
    await at.queue.add(line(whale, 'w', 20));
    await at.queue.add(line(minnow, 'm', 3));
    await at.queue.add(line(other, 'o', 2));
    // What is there already does not cost its organization another turn.
    await at.queue.add(line(minnow, 'm', 3));
    await at.queue.add([embed('m3', minnow)]);
    const seen: string[] = [];
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async ({ id }) => void seen.push(id),
      onDead: noDead,
    });
    await eventually(() => expect(seen).toHaveLength(26));
    await stop();
    expect(seen.slice(0, 10)).toEqual(['w0', 'm0', 'o0', 'w1', 'm1', 'o1', 'w2', 'm2', 'w3', 'm3']);
    expect(seen.filter((id) => id.startsWith('w'))).toEqual(line(whale, 'w', 20).map(({ id }) => id));
  });

  test('a try that takes longer than it may has failed and is told to stop, and another is made', async () => {
    await using at = await make();
    const gate = Promise.withResolvers<void>();
    const attempts: number[] = [];
    const reasons: unknown[] = [];
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 1,
      timeLimitMs: 50,
      handle: async ({ attempt }, signal) => {
        attempts.push(attempt);
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        if (attempt === 1) await gate.promise;
      },
      onDead: noDead,
    });
    await at.queue.add([embed()]);
    await eventually(() => expect(attempts).toEqual([1, 2]));
    expect(reasons).toEqual([expect.objectContaining({ code: 'TIMEOUT' })]);
    gate.resolve();
    await stop();
    // The try that was in time was told nothing.
    expect(reasons).toHaveLength(1);
  });

  test('jobs in hand when the patience of who stops ends are told so and wait for another worker, as if never tried', async () => {
    await using at = await make();
    const requests = [embed(), embed()];
    const told: unknown[] = [];
    const begun: string[] = [];
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 2,
      handle: (job, signal) => {
        begun.push(job.id);
        // One heeds the signal, the other hangs for good.
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            told.push(signal.reason);
            if (job.id === requests[0]?.id) reject(new Error('given up'));
          }),
        );
      },
      onDead: noDead,
    });
    await at.queue.add(requests);
    await eventually(() => expect(begun).toHaveLength(2));
    await stop(50);
    expect(told).toEqual([expect.any(Error), expect.any(Error)]);
    expect((await at.queue.counts()).embedding).toEqual({ waiting: 2, active: 0, delayed: 0, failed: 0 });
    const again: string[] = [];
    const end = await at.worker.run({
      queue: 'embedding',
      concurrency: 2,
      handle: async ({ id, attempt }) => void again.push(`${id} ${attempt}`),
      onDead: noDead,
    });
    await eventually(() => expect(again.toSorted()).toEqual(requests.map(({ id }) => `${id} 1`).toSorted()));
    await end(0);
  });

  test('the age of a queue is that of its oldest waiting job', async () => {
    await using at = await make();
    expect((await at.queue.ages()).embedding).toEqual({ oldestMs: 0, held: false });
    await at.queue.add([embed()]);
    await eventually(async () => expect((await at.queue.ages()).embedding.oldestMs).toBeGreaterThan(20));
    const stop = await at.worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async () => undefined,
      onDead: noDead,
    });
    await eventually(async () => expect((await at.queue.ages()).embedding.oldestMs).toBe(0));
    await stop();
  });

  test('the queue answers pings', async () => {
    await using at = await make();
    await at.queue.ping();
  });
});

describe('job queue: on the server', () => {
  test('a server that may evict jobs is refused by queue and worker, in words that say the mend', async () => {
    const options = { url: servers().cacheRedisUrl, log: quiet, prefix: uniqueName() };
    for (const connect of [connectJobQueue, connectJobWorker]) {
      await expect(connect(options)).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.stringMatching(/allkeys-lru.*CONFIG SET maxmemory-policy noeviction/s),
      });
    }
  });

  test('a dead job whose recorder failed is reported again', async () => {
    await using at = await realJobs();
    let reports = 0;
    const stop = await at.worker.run({
      queue: 'view-refresh',
      concurrency: 1,
      handle: async () => {
        throw new Error('no');
      },
      onDead: async () => {
        reports += 1;
        if (reports < 3) throw new Error('database away');
      },
    });
    await at.queue.add([{ name: 'refresh-views', id: uniqueName(), payload: {} }]);
    await eventually(() => expect(reports).toBe(3));
    await eventually(async () => expect((await at.queue.counts())['view-refresh'].failed).toBe(0));
    await stop();
    expect(reports).toBe(3);
  });

  test.each(['cut', 'stall'] as const)(
    'with the server away (%s) adding fails within seconds, and works again afterwards',
    async (loss) => {
      await using proxy = await tcpProxy(servers().queueRedisUrl);
      const queue = await connectJobQueue({ url: proxy.url, log: quiet, prefix: uniqueName() });
      proxy[loss]();
      const started = performance.now();
      await expect(queue.add([embed()])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
      await expect(queue.ping()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
      expect(performance.now() - started).toBeLessThan(5000);
      proxy.mend();
      const request = embed();
      await eventually(() => queue.add([request]));
      await queue.close();
    },
  );

  test.each(['cut', 'stall'] as const)('a worker stops within seconds while its server is away (%s)', async (loss) => {
    await using proxy = await tcpProxy(servers().queueRedisUrl);
    const worker = await connectJobWorker({ url: proxy.url, log: quiet, prefix: uniqueName() });
    const stop = await worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async () => undefined,
      onDead: noDead,
    });
    proxy[loss]();
    const started = performance.now();
    await stop();
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('asking for a schedule again changes nothing, and puts back one that the server lost, in whole or in part', async () => {
    await using at = await realJobs();
    const redis = new Redis(servers().queueRedisUrl);
    const keys = async (): Promise<string[]> => (await redis.keys(`${at.prefix}:maintenance:repeat:owed:*`)).toSorted();
    const ask = (): Promise<void> =>
      at.queue.schedule('owed', 60_000, { name: 'reconcile-owed-work', payload: { sinceS: 60 } });
    await ask();
    const first = await keys();
    expect(first).toHaveLength(1);
    await ask();
    expect(await keys()).toEqual(first);
    await redis.del(first);
    await ask();
    expect(await keys()).toHaveLength(1);
    await redis.del(await redis.keys(`${at.prefix}:*`));
    await ask();
    expect(await keys()).toHaveLength(1);
    expect((await at.queue.counts()).maintenance).toMatchObject({ failed: 0, active: 0 });
    await redis.quit();
  });

  test('no more jobs begin in a period than the limit allows, whoever asks', async () => {
    await using at = await realJobs();
    const begun: number[] = [];
    const run = {
      queue: 'embedding',
      concurrency: 10,
      limit: { max: 5, perMs: 400 },
      handle: async () => void begun.push(performance.now()),
      onDead: noDead,
    } as const;
    await at.queue.add(Array.from({ length: 15 }, () => embed()));
    const stops = [await at.worker.run(run), await at.worker.run(run)];
    await eventually(() => expect(begun).toHaveLength(5));
    expect(await at.queue.ages()).toMatchObject({ embedding: { held: true } });
    await eventually(() => expect(begun).toHaveLength(15));
    for (const stop of stops) await stop();
    expect((begun[14] ?? 0) - (begun[0] ?? 0)).toBeGreaterThan(700);
  });

  test('a worker whose connections hang takes jobs again once it is restarted, and finishes what it had in hand', async () => {
    await using proxy = await faultProxy(servers().queueRedisUrl);
    const prefix = uniqueName();
    const queue = await connectJobQueue({ url: servers().queueRedisUrl, log: quiet, prefix });
    const worker = await connectJobWorker({ url: proxy.url, log: quiet, prefix });
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    const stop = await worker.run({
      queue: 'embedding',
      concurrency: 2,
      handle: async ({ id }) => {
        seen.push(id);
        if (id === 'slow') await gate.promise;
      },
      onDead: noDead,
    });
    await queue.add([embed('slow')]);
    await eventually(() => expect(seen).toEqual(['slow']));
    proxy.poison({ type: 'timeout', timeoutMs: 0 });
    await queue.add([embed('lost')]);
    await eventually(() => expect(worker.idleMs('embedding')).toBeGreaterThan(300));
    expect(seen).toEqual(['slow']);
    proxy.mend();
    await worker.restart('embedding');
    // What the old connections swallowed comes back when its lock ends; what is added now is taken at once.
    await queue.add([embed('new')]);
    await eventually(() => expect(seen).toContain('new'));
    gate.resolve();
    await eventually(async () =>
      expect((await queue.counts()).embedding).toMatchObject({ active: expect.toSatisfy((n) => n <= 1), failed: 0 }),
    );
    await stop();
    expect(seen.filter((id) => id === 'slow')).toHaveLength(1);
    await queue.close();
  });

  test('a worker whose server was lost goes on when it is back', async () => {
    await using proxy = await tcpProxy(servers().queueRedisUrl);
    const prefix = uniqueName();
    const queue = await connectJobQueue({ url: servers().queueRedisUrl, log: quiet, prefix });
    const worker = await connectJobWorker({ url: proxy.url, log: quiet, prefix });
    const seen: string[] = [];
    const stop = await worker.run({
      queue: 'embedding',
      concurrency: 1,
      handle: async ({ id }) => void seen.push(id),
      onDead: noDead,
    });
    for (let lossCount = 0; lossCount < 3; lossCount++) {
      const request = embed();
      proxy.cut();
      await queue.add([request]);
      proxy.mend();
      await eventually(() => expect(seen).toContain(request.id), { timeoutMs: 5000 });
    }
    await stop();
    await queue.close();
  });
});
