/** What slow, frozen and poisonous handlers cost: never an effect twice, never a message lost, never a neighbour's turn. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { startLine, type Line } from '../kit/faults/line.ts';
import type { TestProcess } from '../kit/faults/processes.ts';
import type { Poison } from '../kit/faults/witness.ts';
import { freePort } from '../kit/free-port.ts';

let line: Line;
let workers: AsyncDisposable;
let metricsPort: number;
beforeAll(async () => {
  line = await startLine();
  metricsPort = await freePort();
  workers = await line.api.startWorkers({ WORKER_ROLES: ['relay', 'fan-out'], METRICS_PORT: metricsPort });
});
afterAll(async () => {
  await workers[Symbol.asyncDispose]();
  await line[Symbol.asyncDispose]();
});

const report = (text: string): void => void process.stdout.write(`${text}\n`);
const slow = { timeoutMs: 20_000, everyMs: 50 } as const;

/** When somebody tried the creation of a document, milliseconds. */
async function triesOf(id: string): Promise<number[]> {
  const { rows } = await line.admin.query<{ at: Date }>(
    `select a.at from attempted a join events e using (event_id) where e.aggregate_id = $1 and e.event_type = 'document.created' order by a.at`,
    [id],
  );
  return rows.map(({ at }) => at.getTime());
}

const effectsOf = async (id: string): Promise<number> => (await line.effects([id])).length;

test('a handler three times slower than the acknowledgement wait keeps its event', { timeout: 60_000 }, async () => {
  await using witness = await line.witness(undefined, { SLOW_MS: 1_600, ACK_WAIT_MS: 500 });
  const ids = [await line.document(), await line.document(), await line.document()];
  await eventually(async () => expect(await Promise.all(ids.map(effectsOf))).toEqual([1, 1, 1]), slow);
  const tries = (await Promise.all(ids.map(triesOf))).flat();
  report(`NC-1 slow by 3 × the wait: ${tries.length - ids.length} redeliveries of ${ids.length} events`);
  expect(tries).toHaveLength(ids.length);
  witness.signal('SIGKILL');
});

test('a frozen process loses its event to another one, and the effect is there once', { timeout: 60_000 }, async () => {
  const settings = { SLOW_MS: 1_000, ACK_WAIT_MS: 500 };
  await using frozen = await line.witness(undefined, settings);
  const id = await line.document();
  await eventually(async () => expect(await triesOf(id)).toHaveLength(1), slow);
  frozen.signal('SIGSTOP');
  await using other = await line.witness(undefined, settings);
  await eventually(async () => expect(await effectsOf(id)).toBe(1), slow);
  other.signal('SIGKILL');
  frozen.signal('SIGCONT');
  // It goes on with what it had in hand, and takes the next event only after that.
  const next = await line.document();
  await eventually(async () => expect(await effectsOf(next)).toBe(1), slow);
  const tries = await triesOf(id);
  report(`NC-1 frozen: ${tries.length} deliveries, ${await effectsOf(id)} effect`);
  expect(tries.length).toBeGreaterThan(1);
  expect(await effectsOf(id)).toBe(1);
});

/** Handler time 400 ms, first delay 250 ms, then doubled; a process that dies is missed after 2 s, and is back before that. */
const settings = { ACK_WAIT_MS: 2_000, HANDLE_WITHIN_MS: 400, RETRY_BASE_MS: 250 } as const;
const kinds: readonly { readonly poison: Poison; readonly gaps: readonly number[]; readonly error: RegExp }[] = [
  { poison: 'throws', gaps: [250, 500, 1_000, 2_000], error: /^poison: it throws$/ },
  { poison: 'hangs', gaps: [650, 900, 1_400, 2_400], error: /^handler took longer than 400 ms$/ },
  { poison: 'exits', gaps: [2_000, 2_000, 2_000, 2_000], error: /^no answer in time/ },
];

test.each(kinds)(
  'a message whose handler $poison is a dead letter after five deliveries, and its neighbours go on',
  { timeout: 90_000 },
  async ({ poison, gaps, error }) => {
    // Nobody consumes while they are made, so that the poison is met first and its neighbours after it.
    const poisoned = await line.document();
    const neighbours = [await line.document(), await line.document(), await line.document()];
    const env = { ...settings, POISONED: poisoned, POISON: poison };
    await using keeper = keptAlive(() => line.witness(undefined, env));
    await eventually(async () => expect(await Promise.all(neighbours.map(effectsOf))).toEqual([1, 1, 1]), slow);
    const early = (await triesOf(poisoned)).length;
    const letter = await eventually(async () => {
      const { rows } = await line.admin.query(
        `select l.source, l.name, l.attempts, l.error, l.headers, l.payload, l.status, l.org_id from dead_letters l join events e using (event_id)
          where e.aggregate_id = $1`,
        [poisoned],
      );
      expect(rows).toHaveLength(1);
      return rows[0];
    }, slow);
    const tries = await triesOf(poisoned);
    const spacing = tries.slice(1).map((at, n) => at - (tries[n] ?? 0));
    report(
      `NC-2 ${poison}: ${tries.length} deliveries, ms between them ${spacing.join(', ')} (least ${gaps.join(', ')}), neighbours done at delivery ${early}, starts ${keeper.starts()}`,
    );
    expect(letter).toMatchObject({
      source: 'consumer',
      name: 'witness',
      attempts: 5,
      status: 'pending',
      org_id: line.actors.organizationId,
      error: expect.stringMatching(error),
      payload: { type: 'document.created', aggregate: { id: poisoned, version: 1 } },
      headers: { 'Nats-Sequence': expect.stringMatching(/^\d+$/), 'Nats-Msg-Id': letter.payload.id },
    });
    expect(tries).toHaveLength(5);
    for (const [n, gap] of spacing.entries()) {
      expect(gap).toBeGreaterThan((gaps[n] ?? 0) * 0.8);
      // A generous end: starting a process takes a while on a busy machine.
      expect(gap).toBeLessThan((gaps[n] ?? 0) * 1.2 + 5_000);
    }
    expect(early).toBeLessThan(5);
    expect(await effectsOf(poisoned)).toBe(0);
  },
);

test('metrics tell how many dead letters wait and how far each consumer is behind', { timeout: 30_000 }, async () => {
  const { rows } = await line.admin.query(`select count(*)::int as n from dead_letters where status = 'pending'`);
  expect(rows[0].n).toBe(kinds.length);
  await eventually(async () => {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(text).toContain(`novax_dlq_messages ${rows[0].n}\n`);
    for (const consumer of ['fan-out', 'witness', 'dead-letters'])
      expect(text).toMatch(new RegExp(`^novax_consumer_lag\\{consumer="${consumer}"\\} 0$`, 'm'));
  }, slow);
});

/** A process that is started again whenever it dies, as a supervisor would. */
function keptAlive(start: () => Promise<TestProcess>): AsyncDisposable & { starts(): number } {
  let starts = 0;
  let stopping = false;
  let current: TestProcess | undefined;
  const running = (async () => {
    while (!stopping) {
      starts += 1;
      current = await start();
      if (stopping) current.signal('SIGKILL');
      await current.ended;
    }
  })();
  return {
    starts: () => starts,
    async [Symbol.asyncDispose]() {
      stopping = true;
      current?.signal('SIGKILL');
      await running;
    },
  };
}
