/**
 * How fast the relay drains a backlog, beside what bounds it, and how soon a consumer has an event after its commit.
 * `npm run bench`: on the servers of NOVAX_TEST_…, or on servers of its own. BENCH_EVENTS, BENCH_ROUNDS and BENCH_SECONDS make it smaller.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectBus } from '@novax/adapters/bus';
import { busNames } from '@novax/adapters/bus-config';
import { natsAddress } from '@novax/adapters/nats-address';
import type { Envelope } from '@novax/contracts/events/envelope';
import { toEnvelope, type OutboxRow } from '@novax/db/outbox';
import { markPublished } from '@novax/db/queries/relay';
import { createLogger } from '@novax/runtime/log';
import { createMetrics } from '@novax/runtime/metrics';
import { connect } from 'nats';
import pg from 'pg';
import { startServers } from '../apps/ops/src/stack/servers.ts';
import { startRelay } from '../apps/workers/src/relay.ts';
import { benchDatabase, fillOutbox } from './database.ts';
import { median, perSecond, print, rate } from './figures.ts';
import { latency } from './latency.ts';
import { byRelay, byWriter, type LatencyBench } from './ways.ts';

const events = Number(process.env['BENCH_EVENTS'] ?? 50_000);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const aggregates = 1_000;
/** Publishes unanswered at one time when the stream alone is measured: as many as the relay has. */
const publishWindow = 1_024;
const moveBatch = 500;

type Bench = LatencyBench;

const log = createLogger({ name: 'bench', level: 'warn' });

async function measure(bench: Bench): Promise<void> {
  const floors: Record<'publish' | 'own' | 'move' | 'drain' | 'publishCpu' | 'drainCpu', number>[] = [];
  for (let round = 0; round < rounds; round++) {
    const [publish, publishCpu] = await publishBare(bench, clientPublisher);
    const [own] = await publishBare(bench, ownPublisher);
    const move = await moveFloor(bench);
    const [drain, drainCpu] = await drainRate(bench);
    floors.push({ publish, own, move, drain, publishCpu, drainCpu });
    const ratio = drain / Math.min(publish, move);
    print(
      `round ${round + 1}: publish floor ${rate(publish)}, move ${rate(move)}, drain ${rate(drain)}, ratio ${ratio.toFixed(2)}`,
    );
  }
  const [publish, own, move, drain] = (['publish', 'own', 'move', 'drain'] as const).map((name) =>
    median(floors.map((one) => one[name])),
  );
  const ratio = median(floors.map((one) => one.drain / Math.min(one.publish, one.move)));
  print('');
  print(`| ${events} events of ${aggregates} aggregates, median of ${rounds} | events/s |`);
  print('| --- | --- |');
  print(`| publish floor: the client's js.publish, ${publishWindow} unanswered | ${rate(publish)} |`);
  print(`| the relay's own publisher, with no database | ${rate(own)} |`);
  print(`| move floor: ${moveBatch} rows a statement | ${rate(move)} |`);
  print(`| relay drains | ${rate(drain)} |`);
  print(`| drain / lower floor (aim: 0.85 or more) | ${ratio.toFixed(2)} |`);
  // Other work on the machine bends rates more than it bends the time this process itself spends.
  print(
    `| CPU per event: publish ${median(floors.map((one) => one.publishCpu)).toFixed(0)} µs, relay ${median(floors.map((one) => one.drainCpu)).toFixed(0)} µs | |`,
  );
  print('');
  for (const by of [byWriter, byRelay]) {
    await freshStream(bench);
    await latency(bench, { perSecond: (drain ?? 0) / 2, perCommit: 50, by });
  }
  await freshStream(bench);
  await latency(bench, { perSecond: 2_000, perCommit: 1, by: byRelay });
}

/** Sends one event and resolves when the stream has it. */
type Send = (event: Envelope) => Promise<unknown>;

/** Publishes the envelopes of a full outbox with nothing else to do. */
async function publishBare(
  bench: Bench,
  connected: (bench: Bench) => Promise<[Send, () => Promise<void>]>,
): Promise<Timed> {
  await freshStream(bench);
  await fillOutbox(bench.database.admin, events, aggregates);
  const { rows } = await bench.database.admin.query<OutboxRow>('select * from events order by id');
  const envelopes = rows.map(toEnvelope);
  const [send, close] = await connected(bench);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let event = envelopes[next++]; event !== undefined; event = envelopes[next++]) await send(event);
  };
  const spent = await timed(async () => void (await Promise.all(Array.from({ length: publishWindow }, lane))));
  await close();
  return spent;
}

async function clientPublisher({ nc, namespace }: Bench): Promise<[Send, () => Promise<void>]> {
  const js = nc.jetstream();
  const { subject } = busNames(namespace);
  const send: Send = (event) =>
    js.publish(subject(`novax.events.${event.type}`), JSON.stringify(event), { msgID: event.id });
  return [send, async () => undefined];
}

async function ownPublisher({ natsUrl, namespace }: Bench): Promise<[Send, () => Promise<void>]> {
  const bus = await connectBus({ url: natsUrl, namespace, log });
  const send: Send = (event) => {
    const { id, type, traceparent } = event;
    return new Promise((resolve) => bus.send({ id, type, traceparent, body: JSON.stringify(event) }, resolve));
  };
  return [send, () => bus.close()];
}

/** Events per second, and microseconds of this process's CPU for each. */
type Timed = readonly [rate: number, cpuUs: number];

async function timed(work: () => Promise<void>): Promise<Timed> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return [perSecond(events, started), (user + system) / events];
}

/** Moves a full outbox to the published partition, batch after batch, with nothing else to do. */
async function moveFloor({ database }: Bench): Promise<number> {
  await fillOutbox(database.admin, events, aggregates);
  const { rows } = await database.admin.query<{ id: string; created: string }>(
    'select id, created_at::text as created from events order by id',
  );
  const stream = ['floor', 'one'];
  await database.admin.query('insert into event_streams (name, identity) values ($1, $2)', stream);
  const client = new pg.Client({ connectionString: database.workerUrl });
  await client.connect();
  try {
    const started = performance.now();
    for (let from = 0; from < rows.length; from += moveBatch) {
      const batch = rows.slice(from, from + moveBatch).map((row, n) => ({ ...row, seq: from + n }));
      const values = [JSON.stringify(batch), ...stream];
      await client.query({ name: markPublished.name, text: markPublished.text, values });
    }
    return perSecond(rows.length, started);
  } finally {
    await client.end();
  }
}

/** From the relay's start to the last row moved. */
async function drainRate(bench: Bench): Promise<Timed> {
  await freshStream(bench);
  await fillOutbox(bench.database.admin, events, aggregates);
  const metrics = createMetrics();
  const bus = await connectBus({ url: bench.natsUrl, namespace: bench.namespace, log });
  let stop = async (): Promise<void> => undefined;
  const drained = await timed(async () => {
    stop = startRelay({ url: bench.database.workerUrl, bus, log, metrics });
    for (let marked = 0; marked < events;) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      marked = (await metrics.eventsPublished.get()).values[0]?.value ?? 0;
    }
  });
  await stop();
  await bus.close();
  return drained;
}

async function freshStream(bench: Bench): Promise<void> {
  await dropStreams(bench);
  const bus = await connectBus({ url: bench.natsUrl, namespace: bench.namespace, log });
  await bus.ensureStreams();
  await bus.close();
}

async function dropStreams({ nc, namespace }: Bench): Promise<void> {
  const jsm = await nc.jetstreamManager();
  const names = busNames(namespace);
  for (const stream of [names.events, names.deadLetters]) await jsm.streams.delete(stream).catch(() => false);
}

async function serversOf(stack: AsyncDisposableStack): Promise<{ pg: string; nats: string; queue: string }> {
  const { NOVAX_TEST_PG_ADMIN_URL: pgUrl, NOVAX_TEST_NATS_URL: nats, NOVAX_TEST_QUEUE_REDIS_URL: queue } = process.env;
  if (pgUrl !== undefined && nats !== undefined && queue !== undefined) return { pg: pgUrl, nats, queue };
  const dir = await mkdtemp(join(tmpdir(), 'novax-bench-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const running = stack.use(
    await startServers({ dir, durable: false, driver: 'native', only: ['postgres', 'valkey-queue', 'nats'] }),
  );
  const { DATABASE_ADMIN_URL, NATS_URL, QUEUE_REDIS_URL } = running.endpoints;
  return { pg: DATABASE_ADMIN_URL ?? '', nats: NATS_URL, queue: QUEUE_REDIS_URL };
}

if (import.meta.main) {
  await using stack = new AsyncDisposableStack();
  const servers = await serversOf(stack);
  const namespace = `b${randomBytes(5).toString('hex')}`;
  const database = stack.use(await benchDatabase(servers.pg));
  const nc = await connect({ ...natsAddress(servers.nats), noAsyncTraces: true });
  stack.defer(() => nc.close());
  const bench: Bench = { database, nc, natsUrl: servers.nats, queueUrl: servers.queue, namespace };
  await freshStream(bench);
  stack.defer(() => dropStreams(bench));
  await measure(bench);
}
