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
import { tcpProxy } from './tcp-proxy.ts';
import { quiet, uniqueName } from './unique.ts';

interface Jobs extends AsyncDisposable {
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
      insert: async (name, id, payload) => fake.insert({ name, id, payload, queue: 'embedding' }),
      [Symbol.asyncDispose]: () => fake.queue.close(),
    };
  },
  valkey: realJobs,
};

function embed(id = uniqueName()): JobRequest & { name: 'embed-document' } {
  return { name: 'embed-document', id, payload: { organizationId: randomUUID(), documentId: randomUUID(), event: null } };
}

const noDead = async (): Promise<void> => undefined;

describe('zz', () => {
for (let z = 0; z < 8; z++)
  test('a worker whose server was lost goes on when it is back', async () => {
    await using proxy = await tcpProxy(servers().queueRedisUrl);
    const prefix = uniqueName();
    const queue = await connectJobQueue({ url: servers().queueRedisUrl, log: quiet, prefix });
    const worker = await connectJobWorker({ url: proxy.url, log: quiet, prefix });
    const seen: string[] = [];
    console.log('connected');
    const stop = await worker.run({ queue: 'embedding', concurrency: 1, handle: async ({ id }) => void seen.push(id), onDead: noDead });
    for (let lossCount = 0; lossCount < 3; lossCount++) {
      console.log('loop', lossCount);
      const request = embed();
      proxy.cut();
      await queue.add([request]);
      proxy.mend();
      await eventually(() => expect(seen).toContain(request.id), { timeoutMs: 5000 });
    }
    console.log('stopping'); await stop(); console.log('stopped');
    await queue.close(); console.log('closed');
  });
});
