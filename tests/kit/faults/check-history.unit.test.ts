/** The checker is proved on histories that are bad in one known way each, and on good ones that look suspicious. */
import { expect, test } from 'vitest';
import { anomalies, checkHistory, type Anomaly } from './check-history.ts';
import type { Moment } from './history.ts';

const change = (eventId: string, aggregate: string, version: number) => ({ eventId, aggregate, version });
const [a1, a2, a3] = [change('a1', 'A', 1), change('a2', 'A', 2), change('a3', 'A', 3)];
const b1 = change('b1', 'B', 1);
const wrote = (...changes: readonly ReturnType<typeof change>[]): Moment[] =>
  changes.flatMap((it) => [
    { type: 'invoke', ...it },
    { type: 'ok', ...it },
  ]);
const did = (consumer: string, ...changes: readonly ReturnType<typeof change>[]): Moment[] =>
  changes.map((it) => ({ type: 'effect', consumer, ...it }));

const good: Readonly<Record<string, Moment[]>> = {
  'everything once, in order': [...wrote(a1, a2, b1), ...did('x', a1, b1, a2)],
  'aggregates interleaved against the order of their writes': [...wrote(a1, b1, a2), ...did('x', b1, a1, a2)],
  'a write that failed and left nothing': [
    ...wrote(a1),
    { type: 'invoke', ...a2 },
    { type: 'fail', ...a2 },
    ...did('x', a1),
  ],
  'a write of unknown end that did happen': [{ type: 'invoke', ...a1 }, { type: 'info', ...a1 }, ...did('x', a1)],
  'an event that came again after a newer one and was dropped': [
    ...wrote(a1, a2),
    ...did('x', a2),
    { type: 'overtaken', consumer: 'x', ...a1 },
  ],
  'a write of unknown end that did not': [
    { type: 'invoke', ...a1 },
    { type: 'info', ...a1 },
  ],
};
test.each(Object.entries(good))('nothing is found in: %s', (_name, history) => {
  expect(checkHistory(history, ['x'])).toEqual([]);
});

const bad: readonly {
  readonly name: string;
  readonly history: Moment[];
  readonly anomaly: Anomaly;
  readonly eventId: string;
}[] = [
  { name: 'a committed write without effect', history: wrote(a1), anomaly: 'lost', eventId: 'a1' },
  {
    name: 'the last of an aggregate is missing',
    history: [...wrote(a1, a2), ...did('x', a1)],
    anomaly: 'lost',
    eventId: 'a2',
  },
  {
    name: 'an event dropped as overtaken though nothing newer was applied',
    history: [...wrote(a1, a2), ...did('x', a1), { type: 'overtaken', consumer: 'x', ...a2 }],
    anomaly: 'lost',
    eventId: 'a2',
  },
  {
    name: 'an event that another consumer dropped as overtaken',
    history: [...wrote(a1, a2), ...did('x', a2), { type: 'overtaken', consumer: 'y', ...a1 }],
    anomaly: 'gap',
    eventId: 'a1',
  },
  {
    name: 'an effect twice in a row',
    history: [...wrote(a1), ...did('x', a1, a1)],
    anomaly: 'duplicate effect',
    eventId: 'a1',
  },
  {
    name: 'an effect again after a later one',
    history: [...wrote(a1, a2), ...did('x', a1, a2, a1)],
    anomaly: 'duplicate effect',
    eventId: 'a1',
  },
  {
    name: 'two versions swapped',
    history: [...wrote(a1, a2), ...did('x', a2, a1)],
    anomaly: 'order inversion',
    eventId: 'a1',
  },
  {
    name: 'an old version long after newer ones',
    history: [...wrote(a1, a2, a3, b1), ...did('x', a1, a3, b1, a2)],
    anomaly: 'order inversion',
    eventId: 'a2',
  },
  {
    name: 'an effect of a write that was rolled back',
    history: [{ type: 'invoke', ...a1 }, { type: 'fail', ...a1 }, ...did('x', a1)],
    anomaly: 'aborted read',
    eventId: 'a1',
  },
  {
    name: 'an effect that nobody asked for',
    history: [...wrote(a1), ...did('x', a1, b1)],
    anomaly: 'phantom',
    eventId: 'b1',
  },
  { name: 'a write that never ended', history: [{ type: 'invoke', ...a1 }], anomaly: 'stuck', eventId: 'a1' },
  { name: 'a version skipped', history: [...wrote(a1, a2, a3), ...did('x', a1, a3)], anomaly: 'gap', eventId: 'a2' },
  {
    name: 'an end without a beginning',
    history: [{ type: 'ok', ...a1 }, ...did('x', a1)],
    anomaly: 'malformed',
    eventId: 'a1',
  },
  {
    name: 'two ends of one write',
    history: [...wrote(a1), { type: 'fail', ...a1 }],
    anomaly: 'malformed',
    eventId: 'a1',
  },
];
test.each(bad)('found: $name', ({ history, anomaly, eventId }) => {
  expect(checkHistory(history, ['x'])).toContainEqual(expect.objectContaining({ anomaly, eventId }));
});

test('consumers are judged each by itself, and must agree on a write of unknown end', () => {
  const history = [...wrote(a1), ...did('x', a1)];
  expect(checkHistory(history, ['x', 'y'])).toEqual([expect.objectContaining({ anomaly: 'lost', eventId: 'a1' })]);
  const unknown: Moment[] = [{ type: 'invoke', ...a1 }, { type: 'info', ...a1 }, ...did('x', a1)];
  expect(checkHistory(unknown, ['x', 'y'])).toEqual([expect.objectContaining({ anomaly: 'lost', eventId: 'a1' })]);
});

test('every kind of anomaly has a bad history of its own', () => {
  expect(new Set(bad.map(({ anomaly }) => anomaly))).toEqual(new Set(anomalies));
});
