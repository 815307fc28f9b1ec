/** How the relay's watch over the stream goes beside its claims: what waits for it, and what it finds out late. */
import type { KeptBus } from '@novax/adapters/bus';
import type { LockedConnection } from '@novax/db/locked-connection';
import type { Logger } from '@novax/runtime/log';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchStream } from './stream-watch.ts';

const shards = [0, 1];
/** Answers of the stream; each look takes the next one when it is let go. */
let looks: { answer: (state: { name: string; identity: string; lastSeq: number }) => void }[];
const bus = {
  streamState: () => new Promise((answer) => looks.push({ answer: (state) => answer(state) })),
} as unknown as KeptBus;
const refilled: unknown[] = [];
const connection = {
  sql: async ({ name }: { name: string }) => {
    if (name === 'highest_published_seq') return [{ seq: '7' }];
    if (name === 'refill_event_stream_tail') refilled.push(name);
    return [{ count: '0' }];
  },
} as unknown as LockedConnection;
const log = { warn: () => undefined } as unknown as Logger;

/** Milliseconds since the process began, as the test says. */
let now = 0;
beforeEach(() => {
  looks = [];
  refilled.length = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

/** Everything that can go on without anybody's answer has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const whole = { name: 's', identity: 'one', lastSeq: 7 };
/** Lets the look that waits go on with this answer, once it has asked. */
async function answer(state = whole): Promise<void> {
  await settled();
  const [look] = looks.splice(0, 1);
  expect(look).toBeDefined();
  look?.answer(state);
  await settled();
}
/** Whether a check is over by now. */
async function over(check: Promise<void>): Promise<boolean> {
  return Promise.race([check.then(() => true), settled().then(() => false)]);
}
/** A watch that has just seen a whole stream. */
async function watching() {
  const watch = watchStream(bus, log);
  const first = watch.check(connection, shards);
  await answer();
  expect(await over(first)).toBe(false);
  await answer();
  await first;
  return watch;
}
const passing = (ms: number): void => void (now += ms);

test('the first claim waits until the stream was looked at, the next one does not', async () => {
  const watch = await watching();
  expect(await over(watch.check(connection, shards))).toBe(true);
  expect(looks).toHaveLength(0);
});

test('after a while a claim has the stream looked at and goes on meanwhile; after longer it waits', async () => {
  const watch = await watching();
  passing(25);
  expect(await over(watch.check(connection, shards))).toBe(true);
  expect(looks).toHaveLength(1);
  passing(40);
  const late = watch.check(connection, shards);
  expect(await over(late)).toBe(false);
  expect(looks).toHaveLength(1);
  await answer();
  await late;
});

test('with other shards a claim waits for a look of its own', async () => {
  const watch = await watching();
  const more = watch.check(connection, [...shards, 2]);
  expect(await over(more)).toBe(false);
  await answer();
  await more;
});

test('a look that was under way for fewer shards is not taken for theirs', async () => {
  const watch = await watching();
  passing(25);
  await watch.check(connection, shards);
  const more = watch.check(connection, [...shards, 2]);
  await answer();
  expect(await over(more)).toBe(false);
  await answer();
  await more;
});

test.each([
  ['lost its end', { ...whole, lastSeq: 6 }, 1],
  ['is another one', { ...whole, identity: 'two' }, 0],
])('a stream that %s, seen beside a claim, fails the next one and every one after', async (said, state, tails) => {
  const watch = await watching();
  passing(25);
  await watch.check(connection, shards);
  await answer(state);
  expect(refilled).toHaveLength(tails);
  await expect(watch.check(connection, shards)).rejects.toThrow(said);
  await expect(watch.check(connection, shards)).rejects.toThrow(said);
});
