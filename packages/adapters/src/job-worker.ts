/** Takes background jobs from BullMQ. */
import { once } from 'node:events';
import type { QueueName } from '@novax/contracts/jobs';
import type { JobRun, JobWorker } from '@novax/domain/ports';
import { pause } from '@novax/runtime/clock';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { untilStopped } from '@novax/runtime/timed';
import { type Job, Queue, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { pickUp } from './job-pickup.ts';
import { defaultPrefix, type QueueConnectOptions } from './queues.ts';
import { assertPolicy, closeRedis, connectRedis, settledRedis } from './redis.ts';
import { throttled } from './throttled.ts';

export interface WorkerConnectOptions extends QueueConnectOptions {
  /** Milliseconds between searches for dead jobs that nobody recorded, because a worker died or its recorder failed. */
  readonly sweepEveryMs?: number;
  /**
   * Milliseconds a job stays its worker's without a sign of life; the worker gives one twice in that time. A job whose process died is taken
   * again after that long at least, twice that at most.
   */
  readonly lockMs?: number | undefined;
}

type RunOptions = Parameters<JobWorker['run']>[0];
/** With a handler that keeps the time itself. */
type TimedRun = Omit<RunOptions, 'handle'> & { readonly handle: (job: JobRun) => Promise<void> };

/** Milliseconds one worker may take to record a dead job before another one tries. */
const burialMs = 60_000;
const sweepBatch = 100;
/** A job that loses its process this often is dead: as many tries as most jobs have. */
const stallsMax = 5;
/** Seconds for which a worker waits for a wake-up before it looks for itself. */
const blockS = 2;
/** Milliseconds that a worker which is being replaced waits for its new connections. */
const reconnectMs = 5000;

/** Checks the server once and answers a worker. Throws DEPENDENCY_UNAVAILABLE, or INTERNAL when the server could evict jobs. */
export async function connectJobWorker(options: WorkerConnectOptions): Promise<JobWorker> {
  const probe = await connectRedis({
    url: options.url,
    log: options.log,
    name: 'novax-job-worker-probe',
    mode: 'fail-fast',
  });
  try {
    await assertPolicy(probe, 'noeviction');
  } finally {
    await closeRedis(probe);
  }
  const running = new Map<QueueName, Running>();
  return {
    async run(run) {
      const started = await runWorker(options, run);
      running.set(run.queue, started);
      return (patienceMs) => started.stop(patienceMs);
    },
    idleMs: (queue) => running.get(queue)?.idleMs() ?? 0,
    restart: async (queue) => running.get(queue)?.restart(),
  };
}

interface Running {
  stop(patienceMs: number | undefined): Promise<void>;
  restart(): Promise<void>;
  idleMs(): number;
}

async function runWorker(options: WorkerConnectOptions, run: RunOptions): Promise<Running> {
  const hand = { jobs: new Set<AbortController>(), since: performance.now() };
  const counted: TimedRun = {
    ...run,
    async handle(job) {
      const stop = new AbortController();
      hand.jobs.add(stop);
      hand.since = performance.now();
      try {
        // What goes on after its time is no longer in hand: it must not keep the line waiting.
        await untilStopped(stop, run.timeLimitMs, (signal) => run.handle(job, signal));
      } finally {
        hand.jobs.delete(stop);
        hand.since = performance.now();
      }
    },
  };
  let current = await openWorker(options, counted);
  let stopped = false;
  const replaced = new Set<Promise<void>>();
  return {
    idleMs: () => (hand.jobs.size >= run.concurrency ? 0 : performance.now() - hand.since),
    async restart() {
      if (stopped) return;
      const old = current;
      current = await openWorker(options, counted);
      hand.since = performance.now();
      // Its connections may hang: new ones carry what its jobs in hand still have to say.
      const ending = old
        .reconnect()
        .then(() => old.close())
        .finally(() => replaced.delete(ending));
      replaced.add(ending);
    },
    async stop(patienceMs) {
      stopped = true;
      const leave = (): void => hand.jobs.forEach((stop) => stop.abort(new LeavingError()));
      const late = patienceMs === undefined ? undefined : setTimeout(leave, patienceMs);
      await Promise.all([current.close(), ...replaced]);
      clearTimeout(late);
    },
  };
}

/** Why a job is put back: its worker has no more time for it. */
class LeavingError extends AppError {
  constructor() {
    super('DEPENDENCY_UNAVAILABLE', { detail: 'the worker is leaving' });
  }
}

/**
 * After an error while it waited (a lost connection, a server that became a replica) the library waits for as long as it ever does, ten seconds,
 * for a wake-up that it may have missed meanwhile; a job that falls due in that time would be late.
 */
class PromptWorker extends Worker {
  override get maximumBlockTimeout(): number {
    return blockS;
  }
}

interface OpenWorker {
  close(): Promise<void>;
  /** Resolves when every connection was made anew, or after `reconnectMs`. */
  reconnect(): Promise<void>;
}

/** A worker of the library with connections of its own, already taking jobs. */
async function openWorker(options: WorkerConnectOptions, run: TimedRun): Promise<OpenWorker> {
  const log = options.log.child({ queue: run.queue });
  const prefix = options.prefix ?? defaultPrefix;
  const lockMs = options.lockMs ?? 30_000;
  let stopping = false;
  const redis = await connectRedis({
    url: options.url,
    log,
    name: `novax-job-worker-${run.queue}`,
    mode: 'patient',
    keepTrying: () => !stopping,
  });
  const connections = withDuplicates(redis);
  const warn = throttled(1000, (err: Error) => log.warn({ err }, 'job worker trouble'));
  const queue = new Queue(run.queue, { connection: redis, prefix });
  queue.on('error', warn);
  const bury = burial({ redis, lockPrefix: `${prefix}:dead:${run.queue}`, onDead: run.onDead, log });
  const burials = new Set<Promise<void>>();
  const worker = new PromptWorker(run.queue, (job, token) => process({ job, token }, run), {
    connection: redis,
    prefix,
    concurrency: run.concurrency,
    ...(run.limit ? { limiter: { max: run.limit.max, duration: run.limit.perMs } } : {}),
    lockDuration: lockMs,
    stalledInterval: lockMs,
    maxStalledCount: stallsMax,
    // After a lost connection the library waits 15 s by default, and a wake-up lost with it costs one such poll.
    runRetryDelay: 500,
    drainDelay: blockS,
    autorun: false,
  });
  worker.on('error', warn);
  worker.on('failed', (job, error) => {
    if (!job) return;
    log.warn({ jobId: job.id, job: job.name, attempt: job.attemptsMade, err: error }, 'job failed');
    // Only a dead job has an end; one that will be tried again has none.
    if (job.finishedOn === undefined) return;
    const burying = bury(job, error).finally(() => burials.delete(burying));
    burials.add(burying);
  });
  const stopSweeping = sweepRegularly(queue, bury, { everyMs: options.sweepEveryMs ?? 30_000, warn });
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  worker.run().catch(warn);

  return {
    async close() {
      stopping = true;
      await Promise.all(connections.map(settledRedis));
      // From here on no job is taken.
      const closing = worker.close();
      if (!(await answers(redis))) for (const connection of connections) connection.disconnect();
      await stopSweeping();
      await closing;
      await Promise.all(burials);
      await queue.close();
      await closeRedis(redis);
    },
    async reconnect() {
      const ready = connections.map((connection) => once(connection, 'ready').catch(() => undefined));
      for (const connection of connections) connection.disconnect(true);
      await Promise.race([Promise.all(ready), pause(reconnectMs)]);
    },
  };
}

/** False when a connection that seems up stays silent: waiting for it would hold up the end of the process. */
async function answers(redis: Redis): Promise<boolean> {
  if (redis.status !== 'ready') return false;
  const answered = redis.ping().then(
    () => true,
    () => false,
  );
  return Promise.race([answered, pause(2000).then(() => false)]);
}

/** The connection and every copy that will be made of it: a worker copies its own for waiting. */
function withDuplicates(redis: Redis): readonly Redis[] {
  const connections = [redis];
  const duplicate = redis.duplicate.bind(redis);
  redis.duplicate = (override) => {
    const copy = duplicate(override);
    connections.push(copy);
    return copy;
  };
  return connections;
}

async function process({ job, token }: { job: Job; token: string | undefined }, run: TimedRun): Promise<void> {
  const picked = pickUp({ id: job.id ?? '', name: job.name, payload: job.data, attempt: job.attemptsMade + 1 });
  if (picked instanceof Error) throw new UnrecoverableError(picked.message);
  try {
    await run.handle(picked);
  } catch (thrown) {
    if (!(thrown instanceof LeavingError)) throw thrown;
    await job.moveToWait(token);
    // Tells the library that the job has gone elsewhere.
    throw new WaitingError();
  }
}

type Bury = (job: Job, error: Error) => Promise<void>;

/** Records a dead job and removes it. A lock keeps others from doing the same; a recorder that fails leaves the job for the next sweep. */
function burial(at: { redis: Redis; lockPrefix: string; onDead: RunOptions['onDead']; log: Logger }): Bury {
  return async (job, error) => {
    const id = job.id ?? '';
    const lock = `${at.lockPrefix}:${id}`;
    try {
      if ((await at.redis.set(lock, '1', 'PX', burialMs, 'NX')) === null) return;
      try {
        await at.onDead({ id, name: job.name, payload: job.data, attempts: job.attemptsMade }, error);
        await job.remove();
      } finally {
        await at.redis.del(lock);
      }
    } catch (thrown) {
      at.log.error({ err: thrown, jobId: id, job: job.name }, 'dead job was not recorded; trying again later');
    }
  };
}

function sweepRegularly(
  queue: Queue,
  bury: Bury,
  options: { everyMs: number; warn: (error: Error) => void },
): () => Promise<void> {
  let running = sweep(queue, bury).catch(options.warn);
  const timer = setInterval(() => {
    running = running.then(() => sweep(queue, bury)).catch(options.warn);
  }, options.everyMs);
  return async () => {
    clearInterval(timer);
    await running;
  };
}

async function sweep(queue: Queue, bury: Bury): Promise<void> {
  const dead = await queue.getFailed(0, sweepBatch - 1);
  for (const job of dead) await bury(job, new Error(job.failedReason ?? 'failed'));
}
