/** The whole way of an event, for one test file: API, workers, and what to look at behind them. */
import { connectBus } from '@novax/adapters/bus';
import { busNames } from '@novax/adapters/bus-config';
import { localEmbedder } from '@novax/adapters/embedder-local';
import { natsAddress } from '@novax/adapters/nats-address';
import { connectJobQueue } from '@novax/adapters/queues';
import type { Envelope } from '@novax/contracts/events/envelope';
import { toEnvelope } from '@novax/db/outbox';
import { openDatabase } from '@novax/db/tx';
import type { JobQueue } from '@novax/domain/ports';
import { Redis } from 'ioredis';
import { connect as connectNats, type NatsConnection } from 'nats';
import type { Client } from 'pg';
import { expect } from 'vitest';
import { workerRoles } from '../../apps/workers/src/roles.ts';
import { makeActors } from './actors.ts';
import { startTestApi } from './api.ts';
import { connect } from './database.ts';
import { eventually } from './eventually.ts';
import { makeProject } from './factories.ts';
import { quiet } from './quiet.ts';
import { servers } from './servers.ts';

/** Longest an effect may take before its test fails. */
export const slow = { timeoutMs: 20_000, everyMs: 50 } as const;

export type Flow = Awaited<ReturnType<typeof startFlow>>;

/** The worker roles in two halves, so that a test can stop either. */
const halves = { relay: ['relay'] as const, rest: workerRoles.filter((role) => role !== 'relay') };

/** Starts the API with one organization and project, and all workers. */
export async function startFlow() {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await startTestApi());
  const admin = stack.use(await connect(api.database.adminUrl));
  const actors = await makeActors(api);
  const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
  const names = busNames(api.env.NATS_NAMESPACE);
  const prefix = api.workersEnv.QUEUE_PREFIX;
  const running = new Map<keyof typeof halves, AsyncDisposable>();
  const start = async (half: keyof typeof halves): Promise<void> => {
    running.set(half, await api.startWorkers({ WORKER_ROLES: [...halves[half]] }));
  };
  const stop = async (half: keyof typeof halves): Promise<void> => {
    await running.get(half)?.[Symbol.asyncDispose]();
    running.delete(half);
  };
  stack.defer(() => stop('rest'));
  stack.defer(() => stop('relay'));
  await start('rest');
  await start('relay');
  const bus = await connectBus({ url: servers().natsUrl, namespace: api.env.NATS_NAMESPACE, log: quiet });
  stack.defer(() => bus.close());
  const queue = await connectJobQueue({ url: servers().queueRedisUrl, prefix, log: quiet });
  stack.defer(() => queue.close());
  const nats = await connectNats(natsAddress(servers().natsUrl));
  stack.defer(() => nats.close());
  const owned = stack.move();
  return {
    api,
    admin,
    actors,
    projectId,
    bus,
    queue,
    nats,
    names,
    start,
    stop,
    effects: (id: string) => effectsOf(admin, id),
    /** Waits until a document's present text is embedded and summarized and all its events are out; answers its effects. */
    settled: (id: string) => eventually(() => settledEffects(admin, id), slow),
    /** A document's events as they travel. */
    async envelopesOf(id: string): Promise<Envelope[]> {
      const { rows } = await admin.query('select * from events where aggregate_id = $1 order by id', [id]);
      return rows.map(toEnvelope);
    },
    /** Resolves when every event is published and handled and no job is left. */
    quiescent: () => eventually(() => assertQuiet({ admin, queue, lag: () => bus.lag('fan-out') }), slow),
    /** What a job needs, on connections of its own. */
    async workbench() {
      const db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 2 });
      const embedder = localEmbedder({ log: quiet });
      const { rows } = await admin.query('select id from embedding_models where name = $1', [embedder.modelId]);
      const close = async (): Promise<void> => {
        await embedder.close();
        await db.close();
      };
      return { db, embedder, modelId: Number(rows[0].id), [Symbol.asyncDispose]: close };
    },
    /** Takes every message out of the stream and every job out of the queue, as a loss of both would. */
    loseQueues: () => loseQueues({ nats, stream: names.events, prefix: prefix ?? '' }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** All that a document's events have led to. */
async function effectsOf(admin: Client, id: string) {
  const rows = async (text: string) => (await admin.query(text, [id])).rows;
  const embeddings = await rows(
    `select id, chunk_no, encode(content_hash, 'hex') as hash from ai_embeddings where document_id = $1 order by chunk_no`,
  );
  const audits = await rows('select action, actor_type from audit_log where entity_id = $1 order by id');
  const events = await rows('select event_type, payload from events where aggregate_id = $1 order by id');
  const inbox = await rows('select consumer from inbox where aggregate_id = $1 order by consumer');
  const documents = await rows(
    `select version, updated_at, ai_summary, ai_metadata, encode(content_hash, 'hex') as hash from documents where id = $1`,
  );
  return {
    embeddings,
    audits: audits.map(({ action, actor_type }) => `${action} by ${actor_type}`),
    events: events.map(({ event_type, payload }) =>
      payload.kind === undefined ? event_type : `${event_type} ${payload.kind}`,
    ),
    inbox: inbox.map(({ consumer }) => consumer),
    document: documents[0],
  };
}

async function settledEffects(admin: Client, id: string) {
  const now = await effectsOf(admin, id);
  expect(now.embeddings[0]?.hash).toBe(now.document.hash);
  expect(now.document.ai_metadata.summary_of).toBe(now.document.hash);
  const { rowCount } = await admin.query(`select from events where aggregate_id = $1 and status <> 'published'`, [id]);
  expect(rowCount).toBe(0);
  return now;
}

/** Looks twice: what was under way at the first look has shown itself by the second. */
async function assertQuiet(at: { admin: Client; queue: JobQueue; lag: () => Promise<number> }): Promise<void> {
  for (let look = 0; look < 2; look++) {
    expect(await at.admin.query(`select from events where status = 'pending'`)).toMatchObject({ rowCount: 0 });
    expect(await at.lag()).toBe(0);
    for (const { waiting, active } of Object.values(await at.queue.counts())) expect(waiting + active).toBe(0);
  }
}

async function loseQueues(at: { nats: NatsConnection; stream: string; prefix: string }): Promise<void> {
  const jsm = await at.nats.jetstreamManager();
  expect((await jsm.streams.purge(at.stream)).purged).toBeGreaterThan(0);
  const redis = new Redis(servers().queueRedisUrl);
  const keys = await redis.keys(`${at.prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  await redis.quit();
}
