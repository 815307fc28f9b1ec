/** How soon a consumer has an event after its commit, at a steady rate. */
import { busNames } from '@novax/adapters/bus-config';
import { newId } from '@novax/runtime/ids';
import { AckPolicy, createInbox } from 'nats';
import pg from 'pg';
import { median, print, quantile, rate } from './figures.ts';
import type { LatencyBench, Way } from './ways.ts';

const seconds = Number(process.env['BENCH_SECONDS'] ?? 10);
/** Milliseconds at the start that are not counted: the relay's process has just begun. */
const warmUpMs = 3_000;
const writers = 4;

/** Commits `perCommit` events at a time, `perSecond` in all, into an empty outbox and a new stream; prints the quantiles of commit to consumer. */
export async function latency(
  bench: LatencyBench,
  load: {
    readonly perSecond: number;
    readonly perCommit: number;
    readonly by: (bench: LatencyBench) => Promise<Way>;
  },
): Promise<void> {
  const { perSecond, perCommit } = load;
  const alone = await acknowledgements(bench, { name: 'alone', pauseMs: 0, more: (done) => done < 500 });
  await bench.database.admin.query('truncate events, event_streams');
  await using way = await load.by(bench);
  const commitsMax = Math.ceil(((warmUpMs + seconds * 1000) * perSecond) / 1000 / perCommit);
  // By number, and in arrays of their final size: what measures must not stop to tidy up.
  const committedAt = new Float64Array(commitsMax);
  const commitMs = new Float64Array(commitsMax);
  const arrivedAt = new Float64Array(commitsMax * perCommit);
  let arrived = 0;
  const { subject, events: stream } = busNames(bench.namespace);
  // Pushed and unacknowledged: the cheapest consumer there is, as this process shares the machine with what it measures.
  const inbox = createInbox();
  const jsm = await bench.nc.jetstreamManager();
  const { name } = await jsm.consumers.add(stream, {
    deliver_subject: inbox,
    ack_policy: AckPolicy.None,
    filter_subject: subject('novax.events.document.>'),
  });
  const messages = bench.nc.subscribe(inbox, {
    callback: (_error, { data }) => {
      arrivedAt[numberIn(data)] = performance.now();
      arrived += 1;
    },
  });
  const clients = await Promise.all(Array.from({ length: writers }, () => connected(bench.database.adminUrl)));
  const ids = Array.from({ length: commitsMax }, () => `{${Array.from({ length: perCommit }, newId).join(',')}}`);
  let committing = true;
  const besides = acknowledgements(bench, { name: 'besides', pauseMs: 20, more: () => committing });
  const started = performance.now();
  let next = 0;
  await Promise.all(
    clients.map(async (client) => {
      for (let n = next++; n < commitsMax; n = next++) {
        const waitMs = started + (n * perCommit * 1000) / perSecond - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        const began = performance.now();
        await client.query({ ...insertSome, values: [ids[n], n * perCommit] });
        committedAt[n] = performance.now();
        commitMs[n] = performance.now() - began;
        way.committed(n * perCommit, perCommit);
      }
    }),
  );
  const tookS = (performance.now() - started) / 1000;
  committing = false;
  const loaded = (await besides).filter(({ at }) => at > started + warmUpMs);
  const deadline = performance.now() + 30_000;
  while (arrived < arrivedAt.length && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  messages.unsubscribe();
  await jsm.consumers.delete(stream, name);
  await Promise.all(clients.map((client) => client.end()));

  const counted = [...committedAt.keys()].filter((n) => (committedAt[n] ?? 0) > started + warmUpMs);
  const waits = counted.flatMap((n) =>
    Array.from({ length: perCommit }, (_, place) => arrivedAt[n * perCommit + place] ?? 0)
      .filter((at) => at > 0)
      // The message may be here before the answer to the commit.
      .map((at) => Math.max(0, at - (committedAt[n] ?? 0))),
  );
  const commits = counted.map((n) => commitMs[n] ?? 0);
  const bound = 5 * (median(commits) + median(alone.map(({ ms }) => ms)));
  const tail = (values: readonly number[]): string =>
    [0.5, 0.99, 1].map((q) => quantile(values, q).toFixed(1)).join(' / ');
  print('');
  print(
    `| commit to consumer at ${rate(arrivedAt.length / tookS)} events/s (wanted ${rate(perSecond)}), ${perCommit} a commit, ${way.name} | ms |`,
  );
  print('| --- | --- |');
  print(`| commit to consumer: p50 / p99 / max | ${tail(waits)} |`);
  print(`| the commits themselves | ${tail(commits)} |`);
  print(`| single publishes beside them, until acknowledged | ${tail(loaded.map(({ ms }) => ms))} |`);
  print(`| single publishes before, with no load | ${tail(alone.map(({ ms }) => ms))} |`);
  print(`| bound: 5 × (commit p50 + acknowledgement p50 with no load) | ${bound.toFixed(1)} |`);
  print(`| p99 / bound (aim: 1 or less) | ${(quantile(waits, 0.99) / bound).toFixed(2)} |`);
  print(`| arrived | ${waits.length} of ${counted.length * perCommit} |`);
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

/** Ids come from the process that writes, as the product's do; the version is the event's number. */
const insertSome = {
  name: 'insert_some',
  text: `insert into events (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, actor_type, payload)
  select id, 'document.updated', 'document', id, $2::int + n - 1, 'system', jsonb_build_object('version', 1, 'pad', repeat('x', 200))
    from unnest($1::uuid[]) with ordinality as t(id, n)`,
};

/** An envelope's first `version` is its aggregate's; the payload has one as well. */
const versionKey = '"version":';

function numberIn(data: Uint8Array): number {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const at = text.indexOf(versionKey) + versionKey.length;
  return parseInt(text.toString('latin1', at, at + 10), 10);
}

/** Single publishes, one after the other: when each began, and the milliseconds until the stream had it. */
async function acknowledgements(
  { nc, namespace }: LatencyBench,
  run: { readonly name: string; readonly pauseMs: number; more(done: number): boolean },
): Promise<{ at: number; ms: number }[]> {
  const js = nc.jetstream();
  const { subject } = busNames(namespace);
  const took: { at: number; ms: number }[] = [];
  while (run.more(took.length)) {
    const at = performance.now();
    await js.publish(subject('novax.events.bench.single'), 'x'.repeat(260), { msgID: `${run.name}-${took.length}` });
    took.push({ at, ms: performance.now() - at });
    if (run.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, run.pauseMs));
  }
  return took;
}
