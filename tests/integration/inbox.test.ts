/** What a consumer's inbox lets through: every event once, and none that a newer one of its aggregate has overtaken. */
import { receive } from '@novax/db/queries/inbox';
import { type Database, openDatabase } from '@novax/db/tx';
import { newId } from '@novax/runtime/ids';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';

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

function receives(aggregateId: string, version: number, more: { eventId?: string; consumer?: string } = {}) {
  return db.inSystem('a test of the inbox', (tx) =>
    receive(tx, {
      consumer: more.consumer ?? 'reader',
      eventId: more.eventId ?? newId(),
      occurredAt: '2026-05-01T00:00:00.000Z',
      organizationId: null,
      aggregate: { id: aggregateId, version },
    }),
  );
}

test('an event applies once', async () => {
  const [aggregate, eventId] = [newId(), newId()];
  expect(await receives(aggregate, 1, { eventId })).toBe(true);
  expect(await receives(aggregate, 1, { eventId })).toBe(false);
});

test('an event that a newer one overtook is noted and does nothing, at its consumer alone', async () => {
  const [aggregate, late] = [newId(), newId()];
  expect(await receives(aggregate, 3)).toBe(true);
  expect(await receives(aggregate, 2, { eventId: late })).toBe(false);
  expect(await receives(aggregate, 2, { eventId: late, consumer: 'another' })).toBe(true);
  expect(await receives(newId(), 2)).toBe(true);
  await using admin = await connect(database.adminUrl);
  expect((await admin.query('select from inbox where event_id = $1', [late])).rowCount).toBe(2);
});

test('events of one version are different facts and all apply', async () => {
  const aggregate = newId();
  expect(await receives(aggregate, 4)).toBe(true);
  expect(await receives(aggregate, 4)).toBe(true);
  expect(await receives(aggregate, 5)).toBe(true);
});

test('of versions that arrive at once, none applies after a newer one', async () => {
  const aggregate = newId();
  const applied: number[] = [];
  await Promise.all(
    [5, 1, 4, 2, 3].map((version) =>
      db.inSystem('a test of the inbox', async (tx) => {
        const first = await receive(tx, {
          consumer: 'racer',
          eventId: newId(),
          occurredAt: '2026-05-01T00:00:00.000Z',
          organizationId: null,
          aggregate: { id: aggregate, version },
        });
        // Noted while the aggregate is still held, so this is the order in which the effects are committed.
        if (first) applied.push(version);
      }),
    ),
  );
  expect(applied).toEqual(applied.toSorted((a, b) => a - b));
  expect(applied).toContain(5);
});
