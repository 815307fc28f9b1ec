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
import { wakeSubject } from '@novax/contracts/events/envelope';
import { toEnvelope, type OutboxRow } from '@novax/db/outbox';
import { markPublished } from '@novax/db/queries/relay';
import { newId } from '@novax/runtime/ids';
import { createLogger } from '@novax/runtime/log';
import { createMetrics } from '@novax/runtime/metrics';
import { connect, type NatsConnection } from 'nats';
import pg from 'pg';
import { startServers } from '../apps/ops/src/stack/servers.ts';
import { startRelay } from '../apps/workers/src/relay.ts';
import { startProcess } from '../tests/kit/faults/processes.ts';
import { benchDatabase, fillOutbox, type BenchDatabase } from './database.ts';

const events = Number(process.env['BENCH_EVENTS'] ?? 50_000);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const seconds = Number(process.env['BENCH_SECONDS'] ?? 10);
const aggregates = 1_000;
/** Publishes unanswered at one time when the stream alone is measured: as many as the relay has. */
const publishWindow = 1_024;
const moveBatch = 500;
/** Events that one transaction of the latency part writes: an import's. So many a second are nobody's single writes. */
const perCommit = 50;
/** Milliseconds at the start of the latency part that are not counted: the relay's process has just begun. */
const warmUpMs = 1_000;

interface Bench {
  readonly database: BenchDatabase;
  readonly nc: NatsConnection;
  readonly natsUrl: string;
  readonly queueUrl: string;
  readonly namespace: string;
}

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
  await latency(bench, (drain ?? 0) / 2);
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

/** Commits at a steady rate while a relay process runs and a consumer listens; prints the quantiles of commit to consumer. */
async function latency(bench: Bench, perSecondWanted: number): Promise<void> {
  const ack = median(await acknowledgements(bench));
  await freshStream(bench);
  await bench.database.admin.query('truncate events, event_streams');
  await using relay = await startProcess({
    script: 'apps/workers/src/main.ts',
    env: {
      DATABASE_WORKER_URL: bench.database.workerUrl,
      QUEUE_REDIS_URL: bench.queueUrl,
      NATS_URL: bench.natsUrl,
      NATS_NAMESPACE: bench.namespace,
      AUDIT_SIGNING_KEY: randomBytes(32).toString('base64'),
      WORKER_ROLES: 'relay',
      METRICS_PORT: 0,
    },
    ready: /"working"/,
  });
  const committedAt = new Map<string, number>();
  const commits: number[] = [];
  const arrivedAt = new Map<string, number>();
  const { subject, events: stream } = busNames(bench.namespace);
  const consumer = await bench.nc.jetstream().consumers.get(stream);
  const messages = await consumer.consume({
    // The client's own hundred are a few milliseconds' worth here.
    max_messages: 1_000,
    // The id is the first field of an envelope.
    callback: ({ data }) =>
      void arrivedAt.set(idOf.exec(decoder.decode(data.subarray(0, 50)))?.[1] ?? '', performance.now()),
  });
  const clients = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const client = new pg.Client({ connectionString: bench.database.adminUrl });
      await client.connect();
      return client;
    }),
  );
  const started = performance.now();
  const gapMs = (perCommit * 1000) / perSecondWanted;
  let due = 0;
  await Promise.all(
    clients.map(async (client) => {
      for (let n = due++; n * gapMs < warmUpMs + seconds * 1000; n = due++) {
        const waitMs = started + n * gapMs - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        const ids = Array.from({ length: perCommit }, newId);
        const began = performance.now();
        await client.query({ ...insertSome, values: [ids] });
        const done = performance.now();
        if (began - started > warmUpMs) {
          commits.push(done - began);
          for (const id of ids) committedAt.set(id, done);
        }
        bench.nc.publish(subject(wakeSubject));
      }
    }),
  );
  const tookS = (performance.now() - started - warmUpMs) / 1000;
  const deadline = performance.now() + 30_000;
  while ([...committedAt.keys()].some((id) => !arrivedAt.has(id)) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  await messages.close();
  await Promise.all(clients.map((client) => client.end()));
  const waits = [...committedAt].flatMap(([id, at]) => {
    const arrived = arrivedAt.get(id);
    return arrived === undefined ? [] : [Math.max(0, arrived - at)];
  });
  const commit = median(commits);
  const bound = 5 * (commit + ack);
  print(
    `| commit to consumer at ${rate(committedAt.size / tookS)} events/s (wanted ${rate(perSecondWanted)}), ${perCommit} a commit, relay ${relay.pid} | ms |`,
  );
  print('| --- | --- |');
  print(`| commit p50 | ${commit.toFixed(2)} |`);
  print(`| acknowledgement p50 | ${ack.toFixed(2)} |`);
  print(
    `| latency p50 / p99 / max | ${quantile(waits, 0.5).toFixed(1)} / ${quantile(waits, 0.99).toFixed(1)} / ${quantile(waits, 1).toFixed(1)} |`,
  );
  print(`| bound: 5 × (commit p50 + acknowledgement p50) | ${bound.toFixed(1)} |`);
  print(`| p99 / bound (aim: 1 or less) | ${(quantile(waits, 0.99) / bound).toFixed(2)} |`);
  print(`| arrived | ${waits.length} of ${committedAt.size} |`);
}

const decoder = new TextDecoder();
const idOf = /^\{"id":"([^"]+)"/;

/** Ids come from the process that writes, as the product's do. */
const insertSome = {
  name: 'insert_some',
  text: `insert into events (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, actor_type, payload)
  select id, 'document.updated', 'document', id, 1, 'system', jsonb_build_object('version', 1, 'pad', repeat('x', 200)) from unnest($1::uuid[]) as id`,
};

/** Milliseconds of single publishes, one after the other. */
async function acknowledgements(bench: Bench): Promise<number[]> {
  const js = bench.nc.jetstream();
  const { subject } = busNames(bench.namespace);
  const took: number[] = [];
  for (let n = 0; n < 500; n++) {
    const began = performance.now();
    await js.publish(subject('novax.events.bench.single'), 'x'.repeat(260), { msgID: `single-${n}` });
    took.push(performance.now() - began);
  }
  return took;
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

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const perSecond = (count: number, started: number): number => (count * 1000) / (performance.now() - started);
const rate = (value: number | undefined): string => Math.round(value ?? 0).toLocaleString('en');
const median = (values: readonly number[]): number => quantile(values, 0.5);
function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
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
