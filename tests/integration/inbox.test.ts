/** The inbox: what a consumer applies, what it has seen before, and what was overtaken, also when both come at once. */
import { randomUUID } from 'node:crypto';
import { receive } from '@novax/db/queries/inbox';
import { openDatabase, type Database } from '@novax/db/tx';
import { pause } from '@novax/runtime/clock';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../kit/database.ts';

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await testDatabase();
  db = await openDatabase({ url: database.url('novax_worker'), poolMax: 4 });
});
afterAll(async () => {
  await db.close();
  await database[Symbol.asyncDispose]();
});

interface Event {
  readonly id: string;
  readonly aggregate: string;
  readonly version: number;
}
const event = (aggregate: string, version: number): Event => ({ id: randomUUID(), aggregate, version });

/** Receives the event in a transaction that stays open for `holdMs` afterwards, and ends as `end` says. */
function arrives(
  { id, aggregate, version }: Event,
  options: { readonly consumer?: string; readonly holdMs?: number; readonly end?: () => void } = {},
): Promise<boolean> {
  return db.inSystem('a consumer sees every organization', async (tx) => {
    const first = await receive(tx, {
      consumer: options.consumer ?? 'one',
      eventId: id,
      occurredAt: '2026-01-01T00:00:00.000Z',
      organizationId: null,
      aggregate: { id: aggregate, version },
    });
    await pause(options.holdMs ?? 0);
    options.end?.();
    return first;
  });
}

test('an event is applied once, however often it comes, and by each consumer', async () => {
  const it = event(randomUUID(), 1);
  expect(await arrives(it)).toBe(true);
  expect(await arrives(it)).toBe(false);
  expect(await arrives(it, { consumer: 'two' })).toBe(true);
});

test('an older event that comes after a newer one does nothing, then or ever; one of the same version applies', async () => {
  const aggregate = randomUUID();
  const older = event(aggregate, 1);
  expect(await arrives(event(aggregate, 2))).toBe(true);
  expect(await arrives(older)).toBe(false);
  expect(await arrives(older)).toBe(false);
  expect(await arrives(event(aggregate, 2))).toBe(true);
  expect(await arrives(event(aggregate, 3))).toBe(true);
  expect(await arrives(event(randomUUID(), 1)), 'another aggregate').toBe(true);
});

test('an effect that rolls back leaves its event to come again, and overtakes nothing', async () => {
  const aggregate = randomUUID();
  const newer = event(aggregate, 2);
  const end = (): void => {
    throw new Error('the effect failed');
  };
  await expect(arrives(newer, { end })).rejects.toThrow('the effect failed');
  expect(await arrives(event(aggregate, 1))).toBe(true);
  expect(await arrives(newer)).toBe(true);
});

test('a newer and an older event at once: the older waits for the newer and sees it, twenty times', async () => {
  for (let round = 0; round < 20; round += 1) {
    const aggregate = randomUUID();
    const order: number[] = [];
    const newer = arrives(event(aggregate, 2), { holdMs: 20, end: () => order.push(2) });
    await pause(5);
    // Ends last: had it not waited, its effect would be written over the newer one.
    const older = arrives(event(aggregate, 1), { holdMs: 40, end: () => order.push(1) });
    const [second, first] = await Promise.all([newer, older]);
    // Whoever comes first applies; the older one never after the newer.
    expect(second).toBe(true);
    expect(order).toEqual(first ? [1, 2] : [2, 1]);
  }
});
