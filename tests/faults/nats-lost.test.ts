/** What the death of NATS costs, and the loss of all it had: time, and never an event, a dead letter or an effect. */
import { connectBus, type KeptBus } from '@novax/adapters/bus';
import { natsAddress } from '@novax/adapters/nats-address';
import { receive } from '@novax/db/queries/inbox';
import { openDatabase } from '@novax/db/tx';
import { connect as connectNats } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startDeadLetters } from '../../apps/workers/src/dead-letters.ts';
import { anEvent } from '../conformance/unique.ts';
import { call } from '../kit/call.ts';
import { connect, testDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { checkHistory } from '../kit/faults/check-history.ts';
import type { Moment } from '../kit/faults/history.ts';
import { changeOf, startLine } from '../kit/faults/line.ts';
import { ownNats, type OwnNats } from '../kit/faults/own-nats.ts';
import { quiet } from '../kit/quiet.ts';
import { novax } from '../ops/run-novax.ts';

const report = (text: string): void => void process.stdout.write(`${text}\n`);
const slow = { timeoutMs: 60_000, everyMs: 50 } as const;

let nats: OwnNats;
beforeAll(async () => {
  nats = await ownNats();
}, 120_000);
afterAll(() => nats[Symbol.asyncDispose]());

function busOf(namespace: string): Promise<KeptBus> {
  return connectBus({ url: nats.url, log: quiet, namespace, retryBaseMs: 5 });
}

test(
  'fifty messages that die while nobody listens and NATS is killed become fifty dead letters; replayed twice they have one effect each',
  { timeout: 120_000 },
  async () => {
    await using database = await testDatabase();
    await using admin = await connect(database.adminUrl);
    await admin.query('create table effects (event_id uuid); grant insert on effects to novax_worker');
    const db = await openDatabase({ url: database.url('novax_worker'), poolMax: 4 });
    let bus = await busOf('nc3');
    await bus.ensureStreams();
    const events = Array.from({ length: 50 }, () => anEvent());
    let healthy = false;
    const consumer = {
      name: 'reader',
      subjects: ['novax.events.>'],
      async handle(event: (typeof events)[number]) {
        if (!healthy) throw new Error('not today');
        await db.inSystem('a test applies every event', async (tx) => {
          const { id: eventId, occurredAt, organizationId, aggregate } = event;
          const first = await receive(tx, { consumer: 'reader', eventId, occurredAt, organizationId, aggregate });
          if (first) await tx.sql({ name: 'effect', text: 'insert into effects values ($1::uuid)' }, [eventId]);
        });
      },
    };
    await bus.consume(consumer);
    await bus.publish(events);
    await eventually(async () => expect(await bus.lag('reader')).toBe(0), slow);
    await bus.close();
    await nats.kill();
    await nats.start();
    bus = await busOf('nc3');
    healthy = true;
    await bus.consume(consumer);
    const letters = async () =>
      (await admin.query(`select count(*)::int as n, count(distinct event_id)::int as events from dead_letters`))
        .rows[0];
    let stop = await startDeadLetters({ bus, db, log: quiet });
    await eventually(async () => expect(await letters()).toEqual({ n: 50, events: 50 }), slow);
    report(`NC-3 died unheard: 50, kept after the restart: ${(await letters()).n}`);
    await stop();
    // A second reading of every advisory, as after a crash before its acknowledgement, keeps nothing twice.
    const nc = await connectNats(natsAddress(nats.url));
    const jsm = await nc.jetstreamManager();
    await jsm.consumers.delete('NC3_NOVAX_DLQ', 'dead-letters');
    stop = await startDeadLetters({ bus, db, log: quiet });
    await eventually(async () => expect((await bus.lags()).get('dead-letters')).toBe(0), slow);
    expect(await letters()).toEqual({ n: 50, events: 50 });
    await nc.close();

    const env = { DATABASE_WORKER_URL: database.url('novax_worker'), NATS_URL: nats.url, NATS_NAMESPACE: 'nc3' };
    const effects = async () =>
      (await admin.query('select count(*)::int as n, count(distinct event_id)::int as events from effects')).rows[0];
    expect(await novax('dlq replay --all --name reader -o json', env)).toMatchObject({ code: 0 });
    await eventually(async () => expect(await effects()).toEqual({ n: 50, events: 50 }), slow);
    // As if the first replay had died before it was noted, and long enough ago for the stream to have forgotten it.
    await admin.query(`update dead_letters set status = 'pending', id = gen_random_uuid()`);
    expect(await novax('dlq replay --all -o json', env)).toMatchObject({ code: 0 });
    await eventually(async () => expect(await bus.lag('reader')).toBe(0), slow);
    expect(await effects()).toEqual({ n: 50, events: 50 });
    const { rows } = await admin.query(`select status, count(*)::int as n from dead_letters group by status`);
    expect(rows).toEqual([{ status: 'replayed', n: 50 }]);
    report(`NC-3 replayed twice: ${JSON.stringify(await effects())}`);
    await stop();
    await bus.close();
    await db.close();
  },
);

test(
  'eight kills under twenty publishers lose nothing that was acknowledged, and every client goes on by itself',
  { timeout: 180_000 },
  async () => {
    const buses = await Promise.all(Array.from({ length: 20 }, () => busOf('nc4')));
    await buses[0]?.ensureStreams();
    const acknowledged = new Set<string>();
    const lastAck = buses.map(() => 0);
    let refused = 0;
    let stopping = false;
    const publishers = buses.map(async (bus, n) => {
      while (!stopping) {
        const [result] = await bus.publish([anEvent()]);
        if (result?.ok === true) {
          acknowledged.add(result.id);
          lastAck[n] = performance.now();
        } else refused += 1;
      }
    });
    const resumed: number[] = [];
    for (let kill = 0; kill < 8; kill++) {
      const before = acknowledged.size;
      await eventually(() => expect(acknowledged.size).toBeGreaterThan(before + 200), slow);
      await nats.kill();
      await nats.start();
      const back = performance.now();
      await eventually(() => expect(lastAck.every((at) => at > back)).toBe(true), slow);
      resumed.push(Math.round(performance.now() - back));
    }
    stopping = true;
    await Promise.all(publishers);
    const stored = await storedIds('NC4_NOVAX_EVENTS');
    const lost = [...acknowledged].filter((id) => !stored.has(id));
    const repeated = [...stored.values()].filter((times) => times > 1).length;
    report(
      `NC-4 acknowledged ${acknowledged.size}, stored ${stored.size}, lost ${lost.length}, stored twice ${repeated}, refused ${refused}; all 20 clients resumed after ms ${resumed.join(', ')}`,
    );
    expect(lost).toEqual([]);
    expect(repeated).toBe(0);
    expect(Math.max(...resumed)).toBeLessThanOrEqual(2_000);
    await Promise.all(buses.map((bus) => bus.close()));
  },
);

/** Message ids in a stream and how often each is there. */
async function storedIds(stream: string): Promise<Map<string, number>> {
  const nc = await connectNats(natsAddress(nats.url));
  const { state } = await (await nc.jetstreamManager()).streams.info(stream);
  const found = new Map<string, number>();
  const messages = await nc.jetstream().consumers.get(stream);
  let left = state.messages;
  for await (const message of await messages.consume()) {
    const id = message.headers?.get('Nats-Msg-Id') ?? '';
    found.set(id, (found.get(id) ?? 0) + 1);
    left -= 1;
    if (left === 0) break;
  }
  await nc.close();
  return found;
}

/** Ten documents, their history, and a witness of what became of them. */
async function startDocuments() {
  await using stack = new AsyncDisposableStack();
  const line = stack.use(await startLine({ natsUrl: nats.url }));
  await line.relay();
  const history: Moment[] = [];
  const noted = (id: string, version: number): number =>
    history.push({ type: 'invoke', ...changeOf(id, version) }, { type: 'ok', ...changeOf(id, version) });
  const documents: string[] = [];
  for (let n = 0; n < 10; n++) {
    const id = await line.document();
    documents.push(id);
    noted(id, 1);
  }
  const witness = await line.witness();
  const owned = stack.move();
  return {
    line,
    witness,
    /** Makes every document's next version of `version`. */
    async update(version: number): Promise<void> {
      const { authorization } = line.actors.owner;
      for (const id of documents) {
        const input = { id, version, content: `Version ${version + 1} of a text.` };
        expect((await call(line.api.url, 'documents.update', { input, authorization })).status).toBe(200);
        noted(id, version + 1);
      }
    },
    published: () => eventually(async () => expect(await line.pending(documents)).toBe(0), slow),
    done: (count: number) => eventually(async () => expect(await line.effects(documents)).toHaveLength(count), slow),
    findings: async () => checkHistory([...history, ...(await line.effects(documents))], ['witness']),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test(
  'when all that NATS had is lost, everything owed is done within a minute: nothing lost, nothing twice',
  { timeout: 240_000 },
  async () => {
    await using at = await startDocuments();
    await at.done(10);
    // Published, and nobody has applied them: what is lost with the server.
    at.witness.signal('SIGSTOP');
    await at.update(1);
    await at.published();
    await nats.kill();
    await at.update(2);
    await nats.loseData();
    await nats.start();
    const back = performance.now();
    at.witness.signal('SIGCONT');
    await at.done(30);
    const tookMs = Math.round(performance.now() - back);
    // A relay that starts afterwards finds nothing amiss.
    await at.line.relay();
    await at.update(3);
    await at.done(40);
    const findings = await at.findings();
    report(
      `NATS lost whole: 10 done, 10 only in it, 10 in the outbox; all done ${tookMs} ms after it was back, ${findings.length} anomalies`,
    );
    expect(findings).toEqual([]);
    expect(tookMs).toBeLessThan(60_000);
  },
);

test(
  'when NATS comes back without its end, what stood there is done all the same, once',
  { timeout: 240_000 },
  async () => {
    await using at = await startDocuments();
    await at.done(10);
    await nats.kill();
    await nats.saveData();
    await nats.start();
    at.witness.signal('SIGSTOP');
    await at.update(1);
    await at.published();
    await nats.kill();
    await nats.restoreData();
    await at.update(2);
    await nats.start();
    const back = performance.now();
    at.witness.signal('SIGCONT');
    await at.done(30);
    const tookMs = Math.round(performance.now() - back);
    const findings = await at.findings();
    report(`NATS lost its end: all done ${tookMs} ms after it was back, ${findings.length} anomalies`);
    expect(findings).toEqual([]);
    expect(tookMs).toBeLessThan(60_000);
  },
);
