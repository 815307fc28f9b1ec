/** Answers kept in the cache: found once for all who ask, never shared with another organization or across a change, and never believed when they are not what they should be. */
import { randomUUID } from 'node:crypto';
import { fakeCacheStore } from '@novax/adapters/fakes/cache';
import type { Role } from '@novax/contracts/permissions';
import { type AnswerEntry, createAnswers } from '@novax/domain/answers';
import type { CacheStore } from '@novax/domain/cache';
import { AppError } from '@novax/runtime/errors';
import { expect, test } from 'vitest';

/** Answers on a store in memory, with what was counted and the texts that were kept. */
function place(changes: Partial<CacheStore> = {}) {
  const clock = { at: 0, now: () => new Date(clock.at) };
  const fake = fakeCacheStore(clock);
  const written = new Map<string, string>();
  const store: CacheStore = {
    ...fake,
    async write(key, text, ttlMs) {
      written.set(key, text);
      await fake.write(key, text, ttlMs);
    },
    ...changes,
  };
  const counted: string[] = [];
  const answers = createAnswers(store, (tier, result) => void counted.push(`${tier} ${result}`));
  return { clock, store, written, counted, answers };
}

/** A text; numbers are what an earlier release kept. */
function entry(organizationId: string, changes: { role?: Role; worthKeeping?: boolean } = {}): AnswerEntry<string> {
  return {
    scope: { organizationId, role: changes.role ?? 'member' },
    key: ({ organizationId: of, generation, role }) => `${of}:${generation}:${role}`,
    parse(value) {
      if (typeof value !== 'string') throw new Error('not a text');
      return value;
    },
    ttlMs: 1_000,
    worthKeeping: () => changes.worthKeeping ?? true,
  };
}

/** Lets everything that can go on do so. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A load that ends when it is told to, and counts how often it was begun. */
function gate() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const load = async (): Promise<string> => {
    gated.loads += 1;
    return promise;
  };
  const gated = { loads: 0, load, resolve, reject };
  return gated;
}

test('200 who ask for the same thing at once share one load, and who asks later has it from the server', async () => {
  const { answers, counted } = place();
  const one = entry(randomUUID());
  const held = gate();
  const asking = Array.from({ length: 200 }, () => answers.through(one, held.load));
  await turn();
  held.resolve('found');
  expect(new Set(await Promise.all(asking))).toEqual(new Set(['found']));
  await turn();
  expect(await answers.through(one, held.load)).toBe('found');
  expect(held.loads).toBe(1);
  expect(counted.toSorted()).toEqual([...Array(199).fill('process hit'), 'redis hit', 'redis miss']);
});

test.each(['error', 'skipped'] as const)(
  'without a server (%s) they share one load too, and nothing is kept',
  async (trouble) => {
    const { answers, written, counted } = place({ generation: async () => trouble });
    const one = entry(randomUUID());
    const held = gate();
    const asking = Array.from({ length: 200 }, () => answers.through(one, held.load));
    await turn();
    held.resolve('found');
    await Promise.all(asking);
    expect(held.loads).toBe(1);
    expect(await answers.through(one, async () => 'found anew')).toBe('found anew');
    expect(written.size).toBe(0);
    expect(counted.filter((what) => what !== 'process hit')).toEqual([`redis ${trouble}`, `redis ${trouble}`]);
  },
);

test('who asks when the server has just failed shares the load of those who asked before', async () => {
  let trouble: 'error' | null = null;
  const { answers } = place({ generation: async () => trouble ?? 7 });
  const one = entry(randomUUID());
  const held = gate();
  const asking = [answers.through(one, held.load)];
  await turn();
  trouble = 'error';
  asking.push(...Array.from({ length: 100 }, () => answers.through(one, held.load)));
  await turn();
  held.resolve('found');
  expect(new Set(await Promise.all(asking))).toEqual(new Set(['found']));
  expect(held.loads).toBe(1);
});

test('other organizations and other roles share neither a load nor an answer', async () => {
  const { answers } = place();
  const [mine, theirs] = [randomUUID(), randomUUID()];
  const asking = [entry(mine), entry(theirs), entry(mine, { role: 'admin' })];
  const ask = (): Promise<string[]> =>
    Promise.all(asking.map((one, n) => answers.through(one, async () => `answer ${n}`)));
  expect(await ask()).toEqual(['answer 0', 'answer 1', 'answer 2']);
  expect(await ask()).toEqual(['answer 0', 'answer 1', 'answer 2']);
});

test.each([
  ['with a server', {}],
  ['without one', { generation: async () => 'skipped' as const }],
])(
  'whoever made a change does not get what was on its way before it, and nobody gets it later (%s)',
  async (_, store) => {
    const { answers } = place(store);
    const organizationId = randomUUID();
    const one = entry(organizationId);
    const held = gate();
    const early = answers.through(one, held.load);
    await turn();
    await answers.changed(organizationId);
    expect(await answers.through(one, async () => 'new')).toBe('new');
    held.resolve('old');
    expect(await early).toBe('old');
    await turn();
    expect(await answers.through(one, async () => 'new')).toBe('new');
  },
);

test('an answer is found anew when its time is over', async () => {
  const { answers, clock } = place();
  const one = entry(randomUUID());
  expect(await answers.through(one, async () => 'first')).toBe('first');
  clock.at += 999;
  expect(await answers.through(one, async () => 'second')).toBe('first');
  clock.at += 1;
  expect(await answers.through(one, async () => 'second')).toBe('second');
});

test('an answer that is good for one caller only is not kept', async () => {
  const { answers, written } = place();
  const one = entry(randomUUID(), { worthKeeping: false });
  expect(await answers.through(one, async () => 'for now')).toBe('for now');
  expect(await answers.through(one, async () => 'in full')).toBe('in full');
  expect(written.size).toBe(0);
});

test('a load that throws is thrown to all who waited for it, and kept for nobody', async () => {
  const { answers } = place();
  const one = entry(randomUUID());
  const held = gate();
  const asking = Array.from({ length: 5 }, () => answers.through(one, held.load));
  await turn();
  held.reject(new AppError('DEPENDENCY_UNAVAILABLE'));
  for (const { status } of await Promise.allSettled(asking)) expect(status).toBe('rejected');
  expect(held.loads).toBe(1);
  expect(await answers.through(one, async () => 'found')).toBe('found');
});

test('a caller who lost sight of the organization meanwhile takes it from nobody else', async () => {
  const { answers } = place();
  const one = entry(randomUUID());
  const held = gate();
  const removed = answers.through(one, held.load);
  await turn();
  const member = answers.through(one, async () => 'found');
  held.reject(new AppError('NOT_FOUND'));
  await expect(removed).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await member).toBe('found');
});

test.each([
  ['garbage', () => '{"key":'],
  ['nothing', () => 'null'],
  ['an answer of another shape', (key: string) => JSON.stringify({ key, answer: 7 })],
  ['an answer without its key', () => JSON.stringify({ answer: 'stolen' })],
  ['the answer to another key', (key: string) => JSON.stringify({ key: `${key}x`, answer: 'stolen' })],
])('%s counts as a miss, and the answer takes its place', async (_, text) => {
  const { answers, store, written, counted } = place();
  const one = entry(randomUUID());
  await answers.through(one, async () => 'first');
  const [key = ''] = written.keys();
  await store.write(key, text(key), 1_000);
  expect(await answers.through(one, async () => 'second')).toBe('second');
  await turn();
  expect(await answers.through(one, async () => 'third')).toBe('second');
  expect(counted).toEqual(['redis miss', 'redis miss', 'redis hit']);
});
