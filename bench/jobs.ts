/**
 * How many background jobs a second the product's way does, beside bare BullMQ, graphile-worker and pg-boss doing nothing.
 * `npm run bench:jobs`: on the servers of NOVAX_TEST_…, or on servers of its own. BENCH_JOBS and BENCH_ROUNDS make it smaller.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectJobWorker } from '@novax/adapters/job-worker';
import { connectJobQueue } from '@novax/adapters/queues';
import type { Envelope } from '@novax/contracts/events/envelope';
import { createLogger } from '@novax/runtime/log';
import { Queue, Worker } from 'bullmq';
import { Logger, makeWorkerUtils, run as runGraphile } from 'graphile-worker';
import { Redis } from 'ioredis';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { startServers } from '../apps/ops/src/stack/servers.ts';
import { fanOutConsumer } from '../apps/workers/src/fan-out.ts';
import { median } from './figures.ts';

const count = Number(process.env['BENCH_JOBS'] ?? 5000);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const concurrency = 16;
/** Jobs added at once, and documents written to the search engine at once. */
const batch = 100;
const log = createLogger({ name: 'bench', level: 'warn' });

interface Servers {
  readonly redisUrl: string;
  /** A database of the benchmark's own. */
  readonly databaseUrl: string;
}

/** What one way took: wall and CPU milliseconds of this process for adding and doing all jobs. */
interface Spent {
  readonly ms: number;
  readonly cpuMs: number;
}

const ways: Readonly<Record<string, (servers: Servers) => Promise<Spent>>> = {
  'NovaX: event to job to batched write': novax,
  'bare BullMQ': bareBullmq,
  'graphile-worker': graphile,
  'pg-boss': boss,
};

/** An event per document from the consumer on, through a fair queue, to a job that puts its document into the next batched write. */
async function novax({ redisUrl }: Servers): Promise<Spent> {
  const options = { url: redisUrl, prefix: `bench${randomBytes(4).toString('hex')}`, log };
  const queue = await connectJobQueue(options);
  const worker = await connectJobWorker(options);
  const organizations = Array.from({ length: 20 }, () => randomUUID());
  const events = Array.from({ length: count }, (_, n) => anEvent(organizations[n % organizations.length] ?? ''));
  const consumer = fanOutConsumer({ queue, indexed: true, cache: null, log, park: async () => undefined });
  const finish = counter();
  let held: string[] = [];
  const handle = async ({ id }: { readonly id: string }): Promise<void> => {
    held.push(id);
    if (held.length >= batch) held = [];
    finish.one();
  };
  const spent = await timed(async () => {
    const stop = await worker.run({
      queue: 'indexing',
      concurrency,
      timeLimitMs: 60_000,
      handle,
      onDead: async () => undefined,
    });
    // As many events at once as the consumer takes.
    for (let from = 0; from < count; from += batch)
      await Promise.all(events.slice(from, from + batch).map((event) => consumer.handle(event)));
    await finish.all;
    return stop;
  });
  await queue.close();
  await forget(redisUrl, options.prefix);
  return spent;
}

async function bareBullmq({ redisUrl }: Servers): Promise<Spent> {
  const prefix = `bench${randomBytes(4).toString('hex')}`;
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue('nothing', { connection, prefix });
  const finish = counter();
  const spent = await timed(async () => {
    const worker = new Worker('nothing', async () => finish.one(), { connection, prefix, concurrency });
    // One call a job and a hundred in flight, as events come; with its whole batch in one call it would be another task.
    for (let from = 0; from < count; from += batch)
      await Promise.all(
        Array.from({ length: batch }, (_, n) =>
          queue.add('nothing', { n: from + n }, { jobId: `n${from + n}`, removeOnComplete: true }),
        ),
      );
    await finish.all;
    return () => worker.close();
  });
  await queue.close();
  await connection.quit();
  await forget(redisUrl, prefix);
  return spent;
}

async function graphile({ databaseUrl }: Servers): Promise<Spent> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 });
  const utils = await makeWorkerUtils({ pgPool: pool, logger: new Logger(() => () => undefined) });
  await utils.migrate();
  const finish = counter();
  const spent = await timed(async () => {
    const runner = await runGraphile({
      pgPool: pool,
      concurrency,
      noHandleSignals: true,
      logger: new Logger(() => () => undefined),
      taskList: { nothing: async () => finish.one() },
      preset: { worker: { localQueue: { size: 100 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    });
    for (let from = 0; from < count; from += batch)
      await Promise.all(
        Array.from({ length: batch }, (_, n) => utils.addJob('nothing', { n: from + n }, { jobKey: `n${from + n}` })),
      );
    await finish.all;
    return () => runner.stop();
  });
  await utils.release();
  await pool.end();
  return spent;
}

async function boss({ databaseUrl }: Servers): Promise<Spent> {
  const it = new PgBoss({ connectionString: databaseUrl, max: 20 });
  it.on('error', (err) => log.warn(`pg-boss: ${String(err)}`));
  await it.start();
  await it.createQueue('nothing');
  const finish = counter();
  const spent = await timed(async () => {
    await it.work('nothing', { batchSize: 100, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true }, async (jobs) =>
      jobs.forEach(() => finish.one()),
    );
    for (let from = 0; from < count; from += batch)
      await Promise.all(Array.from({ length: batch }, (_, n) => it.send('nothing', { n: from + n })));
    await finish.all;
    return async () => {
      const stopped = once(it, 'stopped');
      await it.stop({ graceful: true });
      await stopped;
    };
  });
  return spent;
}

/** `work` starts, adds and waits; its answer, which stops what was started, is not timed. */
async function timed(work: () => Promise<() => Promise<unknown>>): Promise<Spent> {
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  const stop = await work();
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  await stop();
  return { ms, cpuMs: (user + system) / 1000 };
}

function counter(): { one(): void; readonly all: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let done = 0;
  return { one: () => void ((done += 1) === count && resolve()), all: promise };
}

function anEvent(organizationId: string): Envelope {
  const documentId = randomUUID();
  return {
    id: randomUUID(),
    // The event that owes one job alone.
    type: 'document.archived',
    schemaVersion: 1,
    organizationId,
    aggregate: { type: 'document', id: documentId, version: 1 },
    actor: { type: 'system', id: null },
    occurredAt: new Date().toISOString(),
    requestId: null,
    traceparent: null,
    payload: { documentId },
  };
}

async function forget(redisUrl: string, prefix: string): Promise<void> {
  const redis = new Redis(redisUrl);
  for (const key of await redis.keys(`${prefix}:*`)) await redis.del(key);
  await redis.quit();
}

async function measure(servers: Servers): Promise<void> {
  const all = new Map<string, Spent[]>();
  // In turn, so that what else the machine does bends each alike; the first round warms up.
  for (let round = 0; round <= rounds; round += 1)
    for (const [name, way] of Object.entries(ways)) {
      const spent = await way(servers);
      if (round > 0) all.set(name, [...(all.get(name) ?? []), spent]);
    }
  const rows = [...all].map(([name, spent]) => ({
    name,
    rate: median(spent.map(({ ms }) => (count / ms) * 1000)),
    cpu: median(spent.map(({ cpuMs }) => (cpuMs / count) * 1000)),
  }));
  const bare = rows.find(({ name }) => name === 'bare BullMQ');
  const lines = rows.map(({ name, rate, cpu }) => {
    const [byRate, byCpu] = [rate / (bare?.rate ?? rate), (bare?.cpu ?? cpu) / cpu];
    return `| ${name} | ${Math.round(rate)} | ${byRate.toFixed(2)} | ${Math.round(cpu)} | ${byCpu.toFixed(2)} |`;
  });
  process.stdout.write(
    `${count} jobs added one by one, a hundred in flight, and done ${concurrency} at once, median of ${rounds}\n` +
      `| way | jobs/s | of bare BullMQ (aim: 0.60 or more) | CPU µs per job here | bare BullMQ's CPU by it |\n| --- | --- | --- | --- | --- |\n${lines.join('\n')}\n`,
  );
}

const dir = await mkdtemp(join(tmpdir(), 'novax-bench-'));
const [namedRedis, namedAdmin] = [process.env['NOVAX_TEST_QUEUE_REDIS_URL'], process.env['NOVAX_TEST_PG_ADMIN_URL']];
const own =
  namedRedis && namedAdmin
    ? undefined
    : await startServers({ dir, durable: false, only: ['postgres', 'valkey-queue'] });
const adminUrl = own?.endpoints.DATABASE_ADMIN_URL ?? namedAdmin ?? '';
const database = `novax_bench_${randomBytes(4).toString('hex')}`;
const admin = new pg.Client({ connectionString: adminUrl });
await admin.connect();
try {
  await admin.query(`create database ${database}`);
  const databaseUrl = new URL(adminUrl);
  databaseUrl.pathname = `/${database}`;
  await measure({ redisUrl: own?.endpoints.QUEUE_REDIS_URL ?? namedRedis ?? '', databaseUrl: databaseUrl.href });
} finally {
  await admin.query(`drop database if exists ${database} with (force)`);
  await admin.end();
  await own?.stop();
  await rm(dir, { recursive: true, force: true });
}
