/** Builds the workers from their settings, in order; every part registers how it ends. */
import { once } from 'node:events';
import { createAnchorStore, createFileStore } from '@novax/adapters/blobs';
import { connectBus } from '@novax/adapters/bus';
import { connectCache } from '@novax/adapters/cache';
import { createMailer } from '@novax/adapters/mailer';
import { createEmbedder } from '@novax/adapters/embedder';
import { connectJobWorker } from '@novax/adapters/job-worker';
import { boardPath, connectQueueBoard } from '@novax/adapters/queue-board';
import { connectJobQueue } from '@novax/adapters/queues';
import { meiliSearchEngine } from '@novax/adapters/search-engine';
import { createSummarizer } from '@novax/adapters/summarizer';
import { queueNames } from '@novax/contracts/jobs';
import { assertBoundByPolicies } from '@novax/db/powerless';
import { ensureEmbeddingModel, keepDeadLetter, viewStaleness } from '@novax/db/queries/upkeep';
import { openDatabase } from '@novax/db/tx';
import { recordErasures } from '@novax/domain/users/erase';
import { closeServer } from '@novax/runtime/close-server';
import type { Lifecycle } from '@novax/runtime/lifecycle';
import type { Logger } from '@novax/runtime/log';
import { createMetrics, createMetricsServer } from '@novax/runtime/metrics';
import { readyLine, type ReadyLine } from '@novax/runtime/ready';
import { createSigner } from '@novax/runtime/signing';
import { startDeadLetters } from './dead-letters.ts';
import type { WorkersEnv } from './env.ts';
import { fanOutConsumer } from './fan-out.ts';
import { reconcile, runJob } from './jobs/run-job.ts';
import { queueSettings } from './queue-limits.ts';
import { startMail } from './mail.ts';
import { startRelay } from './relay.ts';
import { keepSchedules } from './schedules.ts';
import { startSeals } from './seals.ts';
import { startWatchdog } from './watchdog.ts';

const reportEveryMs = 5_000;

/** Starts the roles the settings name. Refuses, with the reason, a database role that policies do not bind, a queue server that may evict and a cache server that may not. */
export async function startWorkers(
  env: WorkersEnv,
  parts: { readonly lifecycle: Lifecycle; readonly log: Logger },
): Promise<void> {
  const { lifecycle, log } = parts;
  const has = (role: WorkersEnv['WORKER_ROLES'][number]): boolean => env.WORKER_ROLES.includes(role);
  await assertBoundByPolicies(env.DATABASE_WORKER_URL);
  const metrics = createMetrics();
  const onQuery = (statement: string, seconds: number): void => metrics.dbQueryDuration.observe({ statement }, seconds);
  const onEmbed = (model: string, seconds: number): void => metrics.embeddingDuration.observe({ model }, seconds);
  const db = lifecycle.add(
    'database',
    await openDatabase({ url: env.DATABASE_WORKER_URL, poolMax: env.DATABASE_POOL_MAX, onQuery }),
    (it) => it.close(),
  );
  const bus = lifecycle.add(
    'nats',
    await connectBus({
      url: env.NATS_URL,
      namespace: env.NATS_NAMESPACE,
      log,
      duplicateWindowMs: env.EVENT_DEDUPE_WINDOW_MS,
      ackWaitMs: env.EVENT_ACK_WAIT_MS,
      maxAgeMs: env.EVENT_MAX_AGE_MS,
    }),
    (it) => it.close(),
  );
  await bus.ensureStreams();
  const queue = lifecycle.add(
    'job queue',
    await connectJobQueue({ url: env.QUEUE_REDIS_URL, prefix: env.QUEUE_PREFIX, log }),
    (it) => it.close(),
  );
  const signer = createSigner(env.AUDIT_SIGNING_KEY);
  const searchEngine =
    env.MEILI_URL === undefined
      ? null
      : meiliSearchEngine({ url: env.MEILI_URL, apiKey: env.MEILI_MASTER_KEY ?? '', log });

  const ready = async (): Promise<readonly ReadyLine[]> => [
    { name: 'serving', ok: !lifecycle.closing, detail: lifecycle.closing ? 'stopping' : 'yes' },
    await readyLine('postgres', () => db.ping()),
    await readyLine('nats', () => bus.ping()),
    await readyLine('redis', () => queue.ping()),
  ];

  if (has('jobs')) {
    await searchEngine
      ?.ensureIndex()
      .catch((err: unknown) => log.warn({ err }, 'search engine is not there yet; PostgreSQL answers searches'));
    const embedder = lifecycle.add('embedder', await createEmbedder(env, { log, onEmbed }), (it) => it.close());
    const summarizer = createSummarizer(env, { log });
    // One call wakes the model and tells its dimensions.
    await embedder.embed(['ready']);
    const modelId = await ensureEmbeddingModel(db, {
      name: embedder.modelId,
      provider: env.EMBEDDING_PROVIDER,
      dims: embedder.dims,
    });
    const jobServer = { url: env.QUEUE_REDIS_URL, prefix: env.QUEUE_PREFIX, lockMs: env.JOB_LOCK_MS, log };
    const jobWorker = await connectJobWorker(jobServer);
    const blobs = createFileStore(env);
    if (blobs === null)
      log.warn(
        'no STORAGE_DIR: a restore will not know who was erased since its backup, for nothing outside the database does',
      );
    const anchors = createAnchorStore(env);
    const eventRetentionDays = env.EVENT_RETENTION_DAYS ?? 30;
    const kept = { signer, anchors, eventRetentionDays };
    const jobParts = { db, blobs, modelId, embedder, summarizer, searchEngine, queue, ...kept, metrics, log };
    // All at once: a queue that waits for another one's jobs would go on taking its own.
    const stops = lifecycle.add('jobs', new Array<(patienceMs: number) => Promise<void>>(), async (all) => {
      await Promise.all(all.map((stop) => stop(env.SHUTDOWN_DEADLINE_MS / 2)));
    });
    for (const name of queueNames) {
      const stop = await jobWorker.run({
        queue: name,
        ...queueSettings(name, env.QUEUE_LIMITS),
        async handle(job, signal) {
          const end = metrics.jobDuration.startTimer({ queue: name });
          try {
            await runJob(jobParts, job, signal);
          } finally {
            end();
          }
        },
        onDead: (job, error) =>
          keepDeadLetter(db, {
            source: 'job',
            name: job.name,
            dedupeKey: job.id,
            organizationId: null,
            eventId: null,
            payload: job.payload,
            error: error.message,
            attempts: job.attempts,
          }),
      });
      stops.push(stop);
    }
    lifecycle.add('watchdog', startWatchdog({ queue, worker: jobWorker, metrics, log }), (it) => it());
    await reconcile(jobParts, null);
    if (blobs !== null)
      await recordErasures({ db, blobs }).catch((err: unknown) =>
        log.warn({ err }, 'the erased could not be listed in the store; the schedule tries again'),
      );
  }
  if (has('schedules')) {
    lifecycle.add('schedules', await keepSchedules(queue, { everyMs: env.SCHEDULES_REPEAT_MS, log }), (it) => it());
    const report = setInterval(() => {
      viewStaleness(db).then(
        (views) => views.forEach(({ view, seconds }) => metrics.viewStaleness.set({ view }, seconds)),
        () => undefined,
      );
    }, reportEveryMs);
    lifecycle.add('view report', report, clearInterval);
  }
  if (has('fan-out')) {
    const { CACHE_REDIS_URL: url, CACHE_TIMEOUT_MS: answerMs } = env;
    const cache =
      url === undefined
        ? null
        : lifecycle.add('cache', await connectCache({ url, name: 'novax-workers', answerMs, log }), (it) => it.close());
    const consumer = fanOutConsumer({
      queue,
      indexed: searchEngine !== null,
      cache,
      log,
      park: (event) =>
        keepDeadLetter(db, {
          source: 'consumer',
          name: 'fan-out',
          dedupeKey: event.id,
          organizationId: event.organizationId,
          eventId: event.id,
          payload: event,
          error: 'unknown kind or version',
        }),
    });
    lifecycle.add('fan-out', await bus.consume(consumer), (it) => it());
    lifecycle.add('dead letters', await startDeadLetters({ bus, db, log }), (it) => it());
    const report = setInterval(() => {
      bus.lags().then(
        (lags) => {
          // A consumer that is gone is not behind.
          metrics.consumerLag.reset();
          lags.forEach((lag, name) => metrics.consumerLag.set({ consumer: name }, lag));
        },
        () => undefined,
      );
    }, reportEveryMs);
    lifecycle.add('consumer report', report, clearInterval);
  }
  if (has('relay'))
    lifecycle.add('relay', startRelay({ url: env.DATABASE_WORKER_URL, bus, log, metrics }), (it) => it());
  if (has('mail')) {
    const mailer = createMailer(env);
    if (mailer === null) log.warn('mails wait: name a server in SMTP_URL or a folder in MAIL_DIR');
    else lifecycle.add('mailer', mailer, (it) => it.close());
    const appUrl = env.APP_URL ?? env.PUBLIC_URL;
    if (mailer !== null && appUrl === undefined)
      throw new Error('mails hold links: name where they lead in APP_URL or PUBLIC_URL');
    const sender = { mailer, appUrl: appUrl ?? '', from: env.MAIL_FROM };
    lifecycle.add('mail', startMail({ db, bus, log, metrics, ...sender }), (it) => it(env.SHUTDOWN_DEADLINE_MS / 4));
  }
  if (has('seals')) lifecycle.add('seals', startSeals({ db, bus, signer, log, metrics }), (it) => it());

  const token = env.OPERATOR_TOKEN;
  const board =
    token === undefined
      ? undefined
      : lifecycle.add(
          'queue board',
          await connectQueueBoard({ url: env.QUEUE_REDIS_URL, prefix: env.QUEUE_PREFIX, token, log }),
          (it) => it.close(),
        );
  const page = board && { path: boardPath, handle: board.handle };
  const server = createMetricsServer({ metrics, ready, page });
  server.listen(env.METRICS_PORT, env.HOST);
  await once(server, 'listening');
  lifecycle.add('metrics', server, (it) => closeServer(it, env.SHUTDOWN_DEADLINE_MS / 10));
  const address = server.address();
  const metricsPort = typeof address === 'object' && address !== null ? address.port : env.METRICS_PORT;
  log.info({ roles: env.WORKER_ROLES, metricsPort }, 'working');
}
