/** Adds background jobs to BullMQ. */
import { isDeepStrictEqual } from 'node:util';
import { type JobRequest, jobs, type QueueName, queueNames, queues as settings } from '@novax/contracts/jobs';
import type { JobQueue } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { type JobsOptions, Queue } from 'bullmq';
import { coalesced } from './coalesced.ts';
import { turnsFor } from './fair-lanes.ts';
import { queueAge } from './queue-ages.ts';
import { assertPolicy, closeRedis, connectRedis, redisCall } from './redis.ts';
import { throttled } from './throttled.ts';

export interface QueueConnectOptions {
  readonly url: string;
  readonly log: Logger;
  /** First part of every key; tests choose their own. */
  readonly prefix?: string | undefined;
  /** In place of what the queue's row says. */
  readonly retryBaseMs?: number;
}

export const defaultPrefix = 'novax';
interface ParsedRequest {
  readonly request: JobRequest;
  readonly data: unknown;
}

/** Jobs sent to the server at once: a flood must not become one command of many megabytes. */
const batchMax = 500;

/**
 * Connects a producer. Every call ends within seconds: with the server away it throws DEPENDENCY_UNAVAILABLE.
 * Throws INTERNAL when the server could evict jobs.
 */
export async function connectJobQueue(options: QueueConnectOptions): Promise<JobQueue> {
  const { log } = options;
  const redis = await connectRedis({ url: options.url, log, name: 'novax-job-queue', mode: 'fail-fast' });
  const warn = throttled(1000, (err: Error) => log.warn({ err }, 'job queue trouble'));
  try {
    await assertPolicy(redis, 'noeviction');
  } catch (thrown) {
    await closeRedis(redis);
    throw thrown;
  }
  const prefix = options.prefix ?? defaultPrefix;
  const queues = new Map<QueueName, Queue>();
  for (const name of queueNames) {
    const queue = new Queue(name, { connection: redis, prefix });
    queue.on('error', warn);
    queues.set(name, queue);
  }
  // A queue that loses its server before its first answer would stay broken for ever.
  await redisCall(() => Promise.all([...queues.values()].map((queue) => queue.waitUntilReady())));
  const queueOf = (name: QueueName): Queue => {
    const queue = queues.get(name);
    if (!queue) throw new AppError('INTERNAL', { detail: `no queue ${name}` });
    return queue;
  };

  const adders = new Map(
    queueNames.map((name) => [
      name,
      coalesced(batchMax, async (batch: readonly ParsedRequest[]) => {
        const requests = batch.map(({ request }) => request);
        await redisCall(async () => {
          const turns = await turnsFor(redis, `${prefix}:${name}`, requests);
          const bulk = batch.map(({ request, data }, at) => ({
            name: request.name,
            data,
            opts: { ...jobOptions(request.name, options.retryBaseMs), jobId: request.id, priority: turns[at] ?? 0 },
          }));
          await queueOf(name).addBulk(bulk);
        });
      }),
    ]),
  );

  return {
    async add(requests) {
      // All of them before any is added: a wrong one refuses those beside it too.
      const parsed = requests.map((request) => ({ request, data: parsedPayload(request) }));
      const byQueue = Map.groupBy(parsed, ({ request }) => jobs[request.name].queue);
      await Promise.all([...byQueue].map(async ([name, group]) => adders.get(name)?.(group)));
    },
    async schedule(key, everyMs, request) {
      const data = parsedPayload(request);
      const template = { name: request.name, data, opts: jobOptions(request.name, options.retryBaseMs) };
      const queue = queueOf(jobs[request.name].queue);
      await redisCall(async () => {
        if (await isScheduled(queue, { key, everyMs, name: request.name, data })) return;
        await queue.upsertJobScheduler(key, { every: everyMs }, template);
      });
    },
    async counts() {
      const rows = await redisCall(() =>
        Promise.all(
          queueNames.map(async (name) => {
            const found = await queueOf(name).getJobCounts('wait', 'prioritized', 'active', 'delayed', 'failed');
            const waiting = (found['wait'] ?? 0) + (found['prioritized'] ?? 0);
            return [
              name,
              { waiting, active: found['active'] ?? 0, delayed: found['delayed'] ?? 0, failed: found['failed'] ?? 0 },
            ] as const;
          }),
        ),
      );
      // One row per queue name, so every key of the record is there.
      return Object.fromEntries(rows) as Awaited<ReturnType<JobQueue['counts']>>;
    },
    async ages() {
      const rows = await redisCall(() =>
        Promise.all(queueNames.map(async (name) => [name, await queueAge(redis, `${prefix}:${name}`)] as const)),
      );
      // One row per queue name, so every key of the record is there.
      return Object.fromEntries(rows) as Awaited<ReturnType<JobQueue['ages']>>;
    },
    async ping() {
      await redisCall(() => redis.ping());
      await assertPolicy(redis, 'noeviction');
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close().catch(warn)));
      await closeRedis(redis);
    },
  };
}

/** Whether a schedule stands as wished and its next job is there: either can be lost with the server, and a schedule without a next job never runs again. */
async function isScheduled(
  queue: Queue,
  wish: { readonly key: string; readonly everyMs: number; readonly name: string; readonly data: unknown },
): Promise<boolean> {
  const found = await queue.getJobScheduler(wish.key);
  if (found?.next === undefined || found.every !== wish.everyMs || found.name !== wish.name) return false;
  if (!isDeepStrictEqual(found.template?.data ?? {}, wish.data)) return false;
  return (await queue.getJob(`repeat:${wish.key}:${found.next}`)) !== undefined;
}

/** A dead job stays in the failed set until its worker has recorded it, so `removeOnFail` is off. */
function jobOptions(name: JobRequest['name'], retryBaseMs?: number): JobsOptions {
  const { queue, attempts } = jobs[name];
  return {
    attempts,
    backoff: { type: 'exponential', delay: retryBaseMs ?? settings[queue].retryBaseMs, jitter: 0.5 },
    removeOnComplete: true,
    removeOnFail: false,
  };
}

/** The payload as the registry spells it. Throws INTERNAL: a wrong payload here is our own mistake. */
export function parsedPayload(request: Omit<JobRequest, 'id'>): unknown {
  const parsed = jobs[request.name].payload.safeParse(request.payload);
  if (parsed.success) return parsed.data;
  throw new AppError('INTERNAL', {
    cause: parsed.error,
    detail: `payload of job ${request.name} is not valid: ${parsed.error.message}`,
  });
}
