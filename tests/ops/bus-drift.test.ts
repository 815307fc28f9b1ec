/** Every setting of a stream or consumer that was changed by hand is named by the doctor and mended by `--repair`, and nothing they hold is lost. */
import { connectBus } from '@novax/adapters/bus';
import { repairBus } from '@novax/adapters/bus-brief';
import { type BusNames, busNames } from '@novax/adapters/bus-config';
import { natsAddress } from '@novax/adapters/nats-address';
import { type ConsumerConfig, connect as connectNats, type JetStreamManager, type NatsConnection, nanos } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Finding } from '../../apps/ops/src/doctor/check.ts';
import { anEvent, uniqueName } from '../conformance/unique.ts';
import { testDatabase, type TestDatabase } from '../kit/database.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';
import { addressesOf, novax } from './run-novax.ts';

let db: TestDatabase;
let nc: NatsConnection;
let jsm: JetStreamManager;
beforeAll(async () => {
  db = await testDatabase();
  nc = await connectNats(natsAddress(servers().natsUrl));
  jsm = await nc.jetstreamManager();
});
afterAll(async () => {
  await nc.close();
  await db[Symbol.asyncDispose]();
});

let namespace: string;
let names: BusNames;
beforeEach(async () => {
  namespace = uniqueName();
  names = busNames(namespace);
  await repairBus({ url: servers().natsUrl, namespace }, quiet);
});
afterEach(async () => {
  for (const stream of [names.events, names.deadLetters]) await jsm.streams.delete(stream).catch(() => false);
});

/** What the doctor says about streams and consumers, apart from how many messages they hold. */
async function findings(flag = '', settings: Readonly<Record<string, string>> = {}): Promise<Finding[]> {
  const env = { ...settings, ...addressesOf(db), NATS_URL: servers().natsUrl, NATS_NAMESPACE: namespace };
  const { stdout } = await novax(`doctor${flag} -o json`, env);
  // Printed by the command under test.
  const report = JSON.parse(stdout) as { findings: Finding[] };
  return report.findings.filter(({ name }) => /^(stream|consumer|repair)/.test(name));
}

const change = async (changes: Partial<ConsumerConfig>): Promise<void> =>
  void (await jsm.consumers.update(names.events, 'fan-out', changes));

const drifts: readonly {
  readonly what: string;
  readonly by: () => Promise<unknown>;
  readonly name: () => string;
  readonly found: RegExp;
}[] = [
  {
    what: 'MaxDeliver lowered',
    by: () => change({ max_deliver: 2 }),
    name: () => 'consumer fan-out',
    found: /^differs in max_deliver$/,
  },
  {
    what: 'filter changed',
    by: () => change({ filter_subjects: [names.subject('novax.events.user.>')] }),
    name: () => 'consumer fan-out',
    found: /^differs in filter_subjects$/,
  },
  {
    what: 'acknowledgement wait changed',
    by: () => change({ ack_wait: nanos(1_000) }),
    name: () => 'consumer fan-out',
    found: /^differs in ack_wait$/,
  },
  {
    what: 'fewer unacknowledged messages allowed',
    by: () => change({ max_ack_pending: 1 }),
    name: () => 'consumer fan-out',
    found: /^differs in max_ack_pending$/,
  },
  {
    what: 'consumer deleted',
    by: () => jsm.consumers.delete(names.events, 'fan-out'),
    name: () => 'consumer fan-out',
    found: /^does not exist yet$/,
  },
  {
    what: 'consumer of dead letters deleted',
    by: () => jsm.consumers.delete(names.deadLetters, 'dead-letters'),
    name: () => 'consumer dead-letters',
    found: /^does not exist yet$/,
  },
  {
    what: 'max age shortened',
    by: () => jsm.streams.update(names.events, { max_age: nanos(3_600_000) }),
    name: () => `stream ${names.events}`,
    found: /^differs in max_age$/,
  },
  {
    what: 'duplicate window shortened',
    by: () => jsm.streams.update(names.events, { duplicate_window: nanos(1_000) }),
    name: () => `stream ${names.events}`,
    found: /^differs in duplicate_window$/,
  },
  {
    what: 'subjects taken away',
    by: () => jsm.streams.update(names.events, { subjects: [names.subject('novax.events.>')] }),
    name: () => `stream ${names.events}`,
    found: /^differs in subjects$/,
  },
  {
    what: 'a limit of messages',
    by: () => jsm.streams.update(names.events, { max_msgs: 1_000 }),
    name: () => `stream ${names.events}`,
    found: /^differs in max_msgs$/,
  },
  {
    what: 'subjects of the dead letters taken away',
    by: () =>
      jsm.streams.update(names.deadLetters, {
        subjects: [`$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${names.events}.>`],
      }),
    name: () => `stream ${names.deadLetters}`,
    found: /^differs in subjects$/,
  },
  {
    what: 'stream of dead letters deleted',
    by: () => jsm.streams.delete(names.deadLetters),
    name: () => `stream ${names.deadLetters}`,
    found: /^does not exist yet$/,
  },
  {
    what: 'stream deleted',
    by: () => jsm.streams.delete(names.events),
    name: () => `stream ${names.events}`,
    found: /^does not exist yet$/,
  },
];

test.each(drifts)('$what: named with its mend, and mended', { timeout: 30_000 }, async ({ by, name, found }) => {
  await using bus = await publisher();
  expect((await findings()).filter(({ status }) => status !== 'ok')).toEqual([]);
  await by();
  const drifted = await findings();
  expect(drifted.find((finding) => finding.name === name())).toMatchObject({
    status: 'warn',
    found: expect.stringMatching(found),
    mend: expect.stringContaining('novax doctor --repair'),
  });
  const repaired = await findings(' --repair');
  expect(repaired.filter(({ status }) => status !== 'ok')).toEqual([]);
  const { state } = await jsm.streams.info(names.events);
  expect(state.messages).toBe(found.source.includes('exist') && name() === `stream ${names.events}` ? 0 : 3);
  expect(bus).toBeDefined();
});

test(
  'an installation with timings of its own is compared with those, and mended to them',
  { timeout: 30_000 },
  async () => {
    const settings = { EVENT_DEDUPE_WINDOW_MS: '300000', EVENT_ACK_WAIT_MS: '60000', EVENT_MAX_AGE_MS: '604800000' };
    const bus = await connectBus({
      url: servers().natsUrl,
      namespace,
      log: quiet,
      duplicateWindowMs: 300_000,
      ackWaitMs: 60_000,
      maxAgeMs: 604_800_000,
    });
    await bus.ensureStreams();
    await bus.close();
    await jsm.consumers.update(names.deadLetters, 'dead-letters', { ack_wait: nanos(60_000) });
    await change({ ack_wait: nanos(60_000) });
    expect((await findings('', settings)).filter(({ status }) => status !== 'ok')).toEqual([]);
    // Without them the same server differs from the defaults.
    expect((await findings()).find(({ name }) => name === `stream ${names.events}`)?.found).toBe(
      'differs in max_age, duplicate_window',
    );
    await jsm.streams.update(names.events, { duplicate_window: nanos(1_000) });
    expect((await findings(' --repair', settings)).filter(({ status }) => status !== 'ok')).toEqual([]);
    const { config } = await jsm.streams.info(names.events);
    expect(config.duplicate_window).toBe(nanos(300_000));
  },
);

test('what no server can change is a failure that says so', { timeout: 30_000 }, async () => {
  await jsm.streams.delete(names.deadLetters);
  await jsm.streams.add({ name: names.deadLetters, subjects: [`${namespace}.other`], storage: 'memory' as never });
  expect((await findings(' --repair')).find(({ name }) => name === 'repair')).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('storage'),
  });
});

/** Three events in the stream. */
async function publisher(): Promise<AsyncDisposable> {
  const bus = await connectBus({ url: servers().natsUrl, namespace, log: quiet });
  expect((await bus.publish([anEvent(), anEvent(), anEvent()])).every(({ ok }) => ok)).toBe(true);
  return { [Symbol.asyncDispose]: () => bus.close() };
}
