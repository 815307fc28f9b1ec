/** What the NATS bus promises beyond the port: dead letters, heartbeats, repaired definitions, lost servers. */
import { connectBus } from '@novax/adapters/bus';
import { eventStream, deadLetterStream } from '@novax/contracts/events/envelope';
import { busNames } from '@novax/adapters/bus-config';
import { nanos, StringCodec } from 'nats';
import { expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { faultProxy } from '../kit/faults/proxy.ts';
import { servers } from '../kit/servers.ts';
import { type NatsSpace, testBus } from './nats-space.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';
import { anEvent, quiet } from './unique.ts';

const all = ['novax.events.>'];

interface Advisory {
  readonly subject: string;
  readonly reason?: string;
  readonly stream_seq: number;
  readonly consumer: string;
  readonly deliveries: number;
}

async function deadLetters(space: NatsSpace): Promise<Advisory[]> {
  const { state } = await space.jsm.streams.info(space.names.deadLetters);
  const letters: Advisory[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await space.jsm.streams.getMessage(space.names.deadLetters, { seq });
    letters.push({ ...message.json<Omit<Advisory, 'subject'>>(), subject: message.subject });
  }
  return letters;
}

test('without a namespace the names are the public ones', () => {
  const names = busNames();
  expect([names.events, names.deadLetters, names.subject('novax.events.a.b')]).toEqual([
    eventStream,
    deadLetterStream,
    'novax.events.a.b',
  ]);
});

test('a given-up event leaves exactly one note that names its place in the stream and the last error of its handler', async () => {
  await using space = await testBus({ retryBaseMs: 5 });
  const poison = anEvent();
  await space.bus.publish([anEvent()]);
  const [result] = await space.bus.publish([poison]);
  await space.bus.consume({
    name: 'reader',
    subjects: all,
    handle: async ({ id }) => {
      if (id === poison.id) throw new Error('never');
    },
  });
  await eventually(async () => expect(await deadLetters(space)).toHaveLength(1));
  expect(await deadLetters(space)).toMatchObject([
    {
      // The consumer's own, stored before the server forgot the event.
      subject: space.names.subject('novax.given-up.reader'),
      reason: 'never',
      stream_seq: result?.ok ? result.streamSeq : -1,
      consumer: 'reader',
      deliveries: 5,
    },
  ]);
});

test('what is not an envelope is given up at once, with a note, and the next event is handled', async () => {
  await using space = await testBus();
  const seen: string[] = [];
  await space.bus.consume({ name: 'reader', subjects: all, handle: async ({ id }) => void seen.push(id) });
  await space.nc
    .jetstream()
    .publish(space.names.subject('novax.events.document.created'), StringCodec().encode('not json'));
  await space.nc
    .jetstream()
    .publish(space.names.subject('novax.events.document.created'), StringCodec().encode('{"id":1}'));
  const good = anEvent();
  await space.bus.publish([good]);
  await eventually(() => expect(seen).toEqual([good.id]));
  await eventually(async () => expect(await deadLetters(space)).toHaveLength(2));
  expect((await deadLetters(space)).map(({ reason }) => reason)).toEqual(Array(2).fill('not an envelope'));
});

test('a handler slower than three times the acknowledgement wait is called once', async () => {
  await using space = await testBus({ ackWaitMs: 150 });
  let calls = 0;
  const started = performance.now();
  await space.bus.consume({
    name: 'reader',
    subjects: all,
    handle: async () => {
      calls += 1;
      await eventually(() => expect(performance.now() - started).toBeGreaterThan(600));
    },
  });
  await space.bus.publish([anEvent()]);
  await eventually(async () => expect(await space.bus.lag('reader')).toBe(0));
  expect(calls).toBe(1);
  expect((await space.jsm.consumers.info(space.names.events, 'reader')).delivered.consumer_seq).toBe(1);
});

test('a handler that hangs loses its event after its time', async () => {
  await using space = await testBus({ ackWaitMs: 150, handleWithinMs: 100, retryBaseMs: 5 });
  let calls = 0;
  await space.bus.consume({
    name: 'reader',
    subjects: all,
    handle: () => {
      calls += 1;
      return calls === 1 ? new Promise<void>(() => undefined) : Promise.resolve();
    },
  });
  await space.bus.publish([anEvent()]);
  await eventually(async () => expect(await space.bus.lag('reader')).toBe(0));
  expect(calls).toBe(2);
});

test('the trace of an event travels as a header beside its id', async () => {
  await using space = await testBus();
  const event = anEvent();
  await space.bus.publish([event]);
  const stored = await space.jsm.streams.getMessage(space.names.events, { seq: 1 });
  expect([stored.header.get('traceparent'), stored.header.get('Nats-Msg-Id')]).toEqual([event.traceparent, event.id]);
});

test('one event that cannot be stored does not fail its neighbours', async () => {
  await using space = await testBus();
  const tooLarge = anEvent({ payload: { text: 'x'.repeat(2 * 1024 * 1024) } });
  const results = await space.bus.publish([anEvent(), tooLarge, anEvent()]);
  expect(results.map(({ ok }) => ok)).toEqual([true, false, true]);
});

test('publishing without the stream answers a failure per event and throws nothing', async () => {
  await using space = await testBus();
  await space.jsm.streams.delete(space.names.events);
  expect(await space.bus.publish([anEvent(), anEvent()])).toMatchObject([{ ok: false }, { ok: false }]);
  await expect(space.bus.ping()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
});

test('streams and consumers changed by hand are repaired without losing what they hold', async () => {
  await using space = await testBus();
  const { names, jsm } = space;
  await space.bus.publish([anEvent()]);
  await jsm.streams.update(names.events, { max_age: nanos(3_600_000), duplicate_window: nanos(1000) });
  await jsm.consumers.add(names.events, {
    durable_name: 'reader',
    ack_policy: 'explicit' as never,
    max_deliver: 2,
    ack_wait: nanos(1000),
  });
  await space.bus.ensureStreams();
  const seen: string[] = [];
  await space.bus.consume({
    name: 'reader',
    subjects: ['novax.events.document.>'],
    handle: async ({ id }) => void seen.push(id),
  });
  await eventually(() => expect(seen).toHaveLength(1));
  const { config } = await jsm.streams.info(names.events);
  expect([config.max_age, config.duplicate_window]).toEqual([nanos(30 * 86_400_000), nanos(120_000)]);
  const consumer = (await jsm.consumers.info(names.events, 'reader')).config;
  expect([consumer.max_deliver, consumer.ack_wait, consumer.filter_subjects ?? [consumer.filter_subject]]).toEqual([
    5,
    nanos(30_000),
    [names.subject('novax.events.document.>'), names.subject('novax.redeliver.reader')],
  ]);
});

test('a definition that the server cannot change is refused with its name', async () => {
  await using space = await testBus();
  await space.jsm.streams.delete(space.names.events);
  await space.jsm.streams.add({
    name: space.names.events,
    subjects: [space.names.subject('novax.events.>')],
    storage: 'memory' as never,
  });
  await expect(space.bus.ensureStreams()).rejects.toMatchObject({
    code: 'INTERNAL',
    message: expect.stringContaining('storage'),
  });
});

test('a consumer whose definition was deleted is made again and goes on', async () => {
  await using space = await testBus();
  const seen: string[] = [];
  await space.bus.consume({ name: 'reader', subjects: all, handle: async ({ id }) => void seen.push(id) });
  await space.bus.publish([anEvent()]);
  await eventually(() => expect(seen).toHaveLength(1));
  await space.jsm.consumers.delete(space.names.events, 'reader');
  const next = anEvent();
  await space.bus.publish([next]);
  // A consumer made anew begins at the first event: at least once, never less.
  await eventually(() => expect(seen).toContain(next.id), { timeoutMs: 10_000 });
});

test('after each loss of the server consuming and publishing go on within two seconds, without a restart', async () => {
  await using proxy = await tcpProxy(servers().natsUrl);
  await using space = await testBus({ ackWaitMs: 500 });
  const bus = await connectBus({ url: proxy.url, log: quiet, namespace: space.namespace, ackWaitMs: 500 });
  const seen = new Set<string>();
  await bus.consume({ name: 'reader', subjects: all, handle: async ({ id }) => void seen.add(id) });
  for (let loss = 0; loss < 5; loss++) {
    const [during, after] = [anEvent(), anEvent()];
    proxy.cut();
    await space.bus.publish([during]);
    proxy.mend();
    await eventually(() => expect(seen).toContain(during.id), { timeoutMs: 2000 });
    expect(await bus.publish([after])).toMatchObject([{ ok: true }]);
    await eventually(() => expect(seen).toContain(after.id), { timeoutMs: 2000 });
  }
  await bus.close();
});

test('an event whose acknowledgement does not come counts as refused after its time, and sent again is in the stream once', async () => {
  await using proxy = await faultProxy(servers().natsUrl);
  await using space = await testBus();
  const bus = await connectBus({ url: proxy.url, log: quiet, namespace: space.namespace });
  const event = anEvent();
  // What the client sends arrives; what the server answers does not.
  proxy.poison({ type: 'timeout', timeoutMs: 0 });
  const [refused] = await bus.publish([event]);
  expect(refused).toMatchObject({ ok: false, poison: false, error: 'no acknowledgement in time' });
  proxy.mend();
  expect(await space.bus.publish([event])).toMatchObject([{ ok: true, streamSeq: 1, duplicate: true }]);
  await bus.close();
  expect(await bus.publish([anEvent()])).toMatchObject([{ ok: false, error: 'the connection is closed' }]);
});
