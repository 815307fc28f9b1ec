/** The event bus port, on the fake and on the real server. */
import { randomUUID } from 'node:crypto';
import { connectBus } from '@novax/adapters/bus';
import { fakeBus, matchesSubject } from '@novax/adapters/fakes/bus';
import type { Envelope } from '@novax/contracts/events/envelope';
import type { EventBus } from '@novax/domain/ports';
import { describe, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { testBus } from './nats-space.ts';
import { anEvent, quiet, uniqueName } from './unique.ts';

const kinds: Record<string, () => Promise<{ bus: EventBus } & AsyncDisposable>> = {
  fake: async () => {
    const bus = fakeBus({ retryBaseMs: 10 });
    return { bus, [Symbol.asyncDispose]: () => bus.close() };
  },
  nats: () => testBus({ retryBaseMs: 10 }),
};

const all = ['novax.events.>'];

describe.each(Object.entries(kinds))('event bus: %s', (_, make) => {
  test('a consumer receives every published event whole, in publish order', async () => {
    await using at = await make();
    const events = Array.from({ length: 1200 }, (_, version) =>
      anEvent({ aggregate: { type: 'document', id: randomUUID(), version } }),
    );
    const results = await at.bus.publish(events);
    expect(results.map(({ id }) => id)).toEqual(events.map(({ id }) => id));
    expect(results.every((result) => result.ok && !result.duplicate)).toBe(true);
    const seen: Envelope[] = [];
    await at.bus.consume({ name: 'reader', subjects: all, handle: async (event) => void seen.push(event) });
    await eventually(() => expect(seen).toHaveLength(events.length), { timeoutMs: 15_000 });
    expect(seen).toEqual(events);
  });

  test('publishing an event twice stores it once and says so', async () => {
    await using at = await make();
    const event = anEvent();
    const [first] = await at.bus.publish([event]);
    const [second] = await at.bus.publish([event]);
    expect(first).toMatchObject({ ok: true, duplicate: false });
    expect(second).toMatchObject({ ok: true, duplicate: true });
    const seen: string[] = [];
    await at.bus.consume({ name: 'reader', subjects: all, handle: async ({ id }) => void seen.push(id) });
    const last = anEvent();
    await at.bus.publish([last]);
    await eventually(() => expect(seen).toEqual([event.id, last.id]));
  });

  test('publishing nothing answers nothing', async () => {
    await using at = await make();
    expect(await at.bus.publish([])).toEqual([]);
  });

  test('a consumer receives only the subjects it names', async () => {
    await using at = await make();
    const seen: string[] = [];
    const subjects = ['novax.events.document.*', 'novax.events.user.registered'];
    await at.bus.consume({ name: 'reader', subjects, handle: async ({ type }) => void seen.push(type) });
    const types = [
      'project.created',
      'document.created',
      'user.registered',
      'organization.created',
      'document.deleted',
    ];
    await at.bus.publish(types.map((type) => anEvent({ type })));
    await eventually(() => expect(seen).toEqual(['document.created', 'user.registered', 'document.deleted']));
  });

  test('a failed event comes again later while its neighbours go on', async () => {
    await using at = await make();
    const [bad, ...good] = Array.from({ length: 4 }, () => anEvent());
    const seen: string[] = [];
    let failures = 2;
    await at.bus.consume({
      name: 'reader',
      subjects: all,
      handle: async ({ id }) => {
        if (id === bad?.id && failures-- > 0) throw new Error('not yet');
        seen.push(id);
      },
    });
    await at.bus.publish([bad, ...good].filter((event) => event !== undefined));
    await eventually(() => expect(seen).toHaveLength(4));
    expect(seen.slice(0, 3)).toEqual(good.map(({ id }) => id));
    expect(seen[3]).toBe(bad?.id);
  });

  test('an event that always fails is tried five times and then given up', async () => {
    await using at = await make();
    const poison = anEvent();
    let tries = 0;
    const seen: string[] = [];
    await at.bus.consume({
      name: 'reader',
      subjects: all,
      handle: async ({ id }) => {
        if (id !== poison.id) return void seen.push(id);
        tries += 1;
        throw new Error('never');
      },
    });
    await at.bus.publish([poison]);
    await eventually(() => expect(tries).toBe(5));
    // Nothing is owed any more: a later event is the next one handled, and the poison does not return.
    await eventually(async () => expect(await at.bus.lag('reader')).toBe(0));
    const later = anEvent();
    await at.bus.publish([later]);
    await eventually(() => expect(seen).toEqual([later.id]));
    expect(tries).toBe(5);
  });

  test('a stopped consumer finishes the event in hand, and goes on where it stood when started again', async () => {
    await using at = await make();
    const events = Array.from({ length: 3 }, () => anEvent());
    await at.bus.publish(events);
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    const stop = await at.bus.consume({
      name: 'reader',
      subjects: all,
      handle: async ({ id }) => {
        begun += 1;
        await gate.promise;
        seen.push(id);
      },
    });
    await eventually(() => expect(begun).toBe(1));
    expect(await at.bus.lag('reader')).toBe(3);
    const stopped = stop();
    gate.resolve();
    await stopped;
    expect(seen).toEqual([events[0]?.id]);
    await at.bus.consume({ name: 'reader', subjects: all, handle: async ({ id }) => void seen.push(id) });
    await eventually(() => expect(seen).toEqual(events.map(({ id }) => id)));
    await eventually(async () => expect(await at.bus.lag('reader')).toBe(0));
  });

  test('two durable consumers each receive every event', async () => {
    await using at = await make();
    const seen = { one: [] as string[], two: [] as string[] };
    await at.bus.consume({ name: 'one', subjects: all, handle: async ({ id }) => void seen.one.push(id) });
    await at.bus.consume({ name: 'two', subjects: all, handle: async ({ id }) => void seen.two.push(id) });
    const events = [anEvent(), anEvent()];
    await at.bus.publish(events);
    const ids = events.map(({ id }) => id);
    await eventually(() => expect(seen).toEqual({ one: ids, two: ids }));
  });

  test('many hints of one moment arrive as one, and none after the listener left', async () => {
    await using at = await make();
    let calls = 0;
    const leave = at.bus.onHint('outbox.wake.1', () => void (calls += 1));
    let others = 0;
    at.bus.onHint('outbox.wake.2', () => void (others += 1));
    for (let hint = 0; hint < 100; hint++) at.bus.hint('outbox.wake.1');
    await eventually(() => expect(calls).toBe(1));
    leave();
    at.bus.hint('outbox.wake.1');
    at.bus.hint('outbox.wake.2');
    await eventually(() => expect(others).toBe(1));
    expect(calls).toBe(1);
  });

  test('making the streams again changes nothing, and the bus answers pings', async () => {
    await using at = await make();
    await at.bus.publish([anEvent()]);
    await at.bus.ensureStreams();
    await at.bus.ping();
    const seen: string[] = [];
    await at.bus.consume({ name: 'reader', subjects: all, handle: async ({ id }) => void seen.push(id) });
    await eventually(() => expect(seen).toHaveLength(1));
  });
});

describe('event bus: fake subjects', () => {
  test.each([
    ['novax.events.>', 'novax.events.document.created', true],
    ['novax.events.>', 'novax.events', false],
    ['novax.*.document.created', 'novax.events.document.created', true],
    ['novax.events.*', 'novax.events.document.created', false],
    ['novax.events.document.created', 'novax.events.document.deleted', false],
  ])('%s against %s is %s', (pattern, subject, matches) => {
    expect(matchesSubject(pattern, subject)).toBe(matches);
  });
});

describe('event bus: no server', () => {
  test('connecting gives up within its time', async () => {
    await expect(
      connectBus({ url: 'nats://127.0.0.1:9', log: quiet, namespace: uniqueName(), connectWithinMs: 300 }),
    ).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });
});
