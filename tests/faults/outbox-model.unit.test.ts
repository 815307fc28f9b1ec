/** The outbox's promises under every order of steps that a scheduler finds, on the relay's own flight and a model of what surrounds it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFlight } from '../../apps/workers/src/relay-flight.ts';
import { checkHistory, type Anomaly, type Finding } from '../kit/faults/check-history.ts';
import { consumers, type Plan, type Rules, startModel } from '../kit/faults/outbox-model.ts';

const runs = Number(process.env['NOVAX_MODEL_RUNS'] ?? 2_000);

const rules: Rules = { createFlight, oneCommit: true, marksLast: true, inbox: true, firstFirst: true };

const plans: fc.Arbitrary<Plan> = fc.record({
  writers: fc.array(
    fc.array(
      fc.record({
        aggregate: fc.constantFrom('a', 'b'),
        events: fc.integer({ min: 1, max: 2 }),
        end: fc.constantFrom('commit', 'commit', 'commit', 'rollback', 'unknown, committed', 'unknown, rolled back'),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    { minLength: 1, maxLength: 3 },
  ),
  messages: fc.array(fc.constantFrom('stored', 'unheard', 'forgotten', 'refused', 'poison'), { maxLength: 12 }),
  relays: fc.array(fc.constantFrom('goes on', 'goes on', 'dies', 'hangs'), { maxLength: 12 }),
  consumers: fc.array(fc.constantFrom('goes on', 'dies before', 'dies after'), { maxLength: 8 }),
});

interface Played {
  readonly findings: readonly Finding[];
  readonly steps: number;
  readonly effects: number;
}

/** Plays a plan to its end in the scheduler's order, and hands over what came of it. */
const playing = (broken: Partial<Rules>, judge: (played: Played) => void) =>
  fc.asyncProperty(fc.scheduler(), plans, async (scheduler, plan) => {
    const step = (label: string): Promise<void> => scheduler.schedule(Promise.resolve(), label);
    const moments = startModel(plan, step, { ...rules, ...broken });
    await scheduler.waitIdle();
    const effects = moments.filter(({ type }) => type === 'effect').length;
    judge({ findings: checkHistory(moments, consumers), steps: scheduler.report().length, effects });
  });

test('whatever the order of writes, rollbacks, publishes, acknowledgements and crashes: nothing lost, doubled, inverted or undone', async () => {
  const seen = { steps: 0, effects: 0 };
  const holds = playing({}, ({ findings, steps, effects }) => {
    expect(findings).toEqual([]);
    seen.steps += steps;
    seen.effects += effects;
  });
  await fc.assert(holds, { numRuns: runs });
  process.stdout.write(`${runs} interleavings: ${seen.steps} steps, ${seen.effects} effects\n`);
  expect(seen.effects).toBeGreaterThan(runs);
}, 120_000);

/** Sends an aggregate's events side by side, as if each were of an aggregate of its own. */
const careless: typeof createFlight = (bus, onAnswer) => {
  const flight = createFlight(bus, onAnswer);
  return { ...flight, admit: (rows) => flight.admit(rows.map((row) => ({ ...row, aggregate_id: row.id }))) };
};

/** Forgets at once that an event was put off, though a claim may be on its way that saw the next one without it. */
const hasty: typeof createFlight = (bus, onAnswer) => {
  const flight = createFlight(bus, onAnswer);
  return {
    ...flight,
    landed(settled) {
      flight.landed(settled);
      flight.startClaim();
    },
  };
};

const broken: readonly { readonly rule: string; readonly without: Partial<Rules>; readonly found: Anomaly }[] = [
  { rule: 'one event of an aggregate is on its way', without: { createFlight: careless }, found: 'order inversion' },
  {
    rule: 'a claim brings nothing of an aggregate whose event was put off since it began',
    without: { createFlight: hasty },
    found: 'order inversion',
  },
  {
    rule: 'a look that begins behind an id asks for the first waiting event of each aggregate',
    without: { firstFirst: false },
    found: 'order inversion',
  },
  { rule: 'an event and its change are one commit', without: { oneCommit: false }, found: 'aborted read' },
  { rule: 'a row is marked after its acknowledgement', without: { marksLast: false }, found: 'lost' },
  { rule: 'a consumer notes what it applied', without: { inbox: false }, found: 'duplicate effect' },
];
test.each(broken)('without the rule that $rule it finds: $found', async ({ without, found }) => {
  const anomalies = new Set<Anomaly>();
  const collects = playing(without, ({ findings }) => findings.forEach(({ anomaly }) => anomalies.add(anomaly)));
  await fc.assert(collects, { numRuns: 300 });
  expect(anomalies).toContain(found);
});
