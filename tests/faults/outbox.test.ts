/** The outbox under load and deaths: relays killed again and again, transactions that end late or not at all, and a stream that has forgotten what it has. */
import { newId } from '@novax/runtime/ids';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { checkHistory } from '../kit/faults/check-history.ts';
import type { Moment } from '../kit/faults/history.ts';
import { lagOf, startOutbox, writeChange, writeMany, type Outbox } from '../kit/faults/outbox.ts';
import type { TestProcess } from '../kit/faults/processes.ts';

/** The slow lane asks for more. */
const load = {
  events: Number(process.env['NOVAX_OUTBOX_EVENTS'] ?? 2_000),
  openMs: Number(process.env['NOVAX_OUTBOX_OPEN_MS'] ?? 200),
  holeMs: Number(process.env['NOVAX_OUTBOX_HOLE_MS'] ?? 8_000),
};
const aggregateCount = 50;
const relayCount = 4;
const killEveryMs = 3_000;
const writerCount = 20;
const longMs = 2_000;
/** Long enough for the slow lane: writers sleep most of the time. */
const patienceMs = 60_000 + (load.events * load.openMs) / writerCount + load.events * 20;

let outbox: Outbox;
beforeAll(async () => {
  outbox = await startOutbox();
  // The first relay makes the stream that the witness reads.
  await using first = await outbox.relay();
  if (first.pid > 0) await outbox.witness();
});
afterAll(() => outbox[Symbol.asyncDispose]());

test(
  'four relays killed every three seconds lose, repeat and reorder nothing of many overlapping transactions',
  { timeout: patienceMs + 60_000 },
  async () => {
    const aggregates = Array.from({ length: aggregateCount }, () => newId());
    const history: Moment[] = [];
    const relays: Promise<TestProcess>[] = Array.from({ length: relayCount }, () => outbox.relay());
    await Promise.all(relays);
    let kills = 0;
    let next = 0;
    const killing = setInterval(() => {
      const at = next++ % relays.length;
      const replace = async (old: TestProcess): Promise<TestProcess> => {
        old.signal('SIGKILL');
        kills += 1;
        return outbox.relay();
      };
      relays[at] = (relays[at] ?? outbox.relay()).then(replace);
    }, killEveryMs);
    const started = performance.now();
    let left = load.events;
    const writers = await outbox.writers(writerCount);
    await Promise.all(
      writers.map(async (client) => {
        while (left-- > 0) {
          const aggregate = aggregates[Math.floor(Math.random() * aggregates.length)] ?? '';
          // Some end long after they took their ids, when the relay has gone far beyond those.
          const openMs = Math.random() * (Math.random() < 0.05 ? longMs : load.openMs);
          await writeChange(client, { aggregate, openMs, rollback: Math.random() < 0.05, history });
        }
      }),
    );
    const written = performance.now();
    await outbox.settled(patienceMs);
    const drained = performance.now();
    clearInterval(killing);
    const findings = checkHistory([...history, ...(await outbox.effects())], ['witness']);
    const conflicts = outbox.warnings.filter((line) =>
      /40001|could not serialize|moved to another partition/.test(line),
    );
    process.stdout.write(
      `OB-2: ${history.filter(({ type }) => type === 'ok').length} committed, ${history.filter(({ type }) => type === 'fail').length} rolled back, ${kills} relays killed, ` +
        `written in ${((written - started) / 1000).toFixed(1)} s, settled ${((drained - written) / 1000).toFixed(1)} s later; ` +
        `${findings.length} anomalies, ${conflicts.length} unhandled 40001\n`,
    );
    expect(findings).toEqual([]);
    expect(conflicts).toEqual([]);
    expect(kills).toBeGreaterThan(1);
    for (const relay of await Promise.all(relays)) await relay[Symbol.asyncDispose]();
  },
);

test(
  'a transaction that took its ids and ends late hides nothing and delays nobody else',
  { timeout: load.holeMs + 90_000 },
  async () => {
    await using relay = await outbox.relay();
    expect(relay.pid).toBeGreaterThan(0);
    const history: Moment[] = [];
    const [late, ...others] = await outbox.writers(5);
    if (late === undefined) throw new Error('no writer');
    const lateAggregate = newId();
    const hole = writeChange(late, { aggregate: lateAggregate, openMs: load.holeMs, rollback: false, history });
    await eventually(() => expect(history).toHaveLength(1));
    const { rows } = await outbox.admin.query<{ id: string }>('select max(id) as id from events');
    const aggregates = Array.from({ length: 200 }, () => newId());
    let left = 1_000;
    await Promise.all(
      others.map(async (client) => {
        while (left-- > 0)
          await writeChange(client, { aggregate: aggregates[left % 200] ?? '', openMs: 0, rollback: false, history });
      }),
    );
    await eventually(
      async () => {
        const pending = await outbox.admin.query(`select from events where status = 'pending'`);
        expect(pending.rowCount).toBe(0);
      },
      { timeoutMs: 10_000 },
    );
    const lag = await lagOf(outbox.admin, aggregates, 1);
    expect(history.filter(({ aggregate }) => aggregate === lateAggregate)).toHaveLength(1);
    await hole;
    await outbox.settled(60_000);
    const own = new Set([lateAggregate, ...aggregates]);
    const effects = (await outbox.effects()).filter(({ aggregate }) => own.has(aggregate));
    const findings = checkHistory([...history, ...effects], ['witness']);
    const { rows: lateRows } = await outbox.admin.query<{ id: string }>(
      'select id from events where aggregate_id = $1',
      [lateAggregate],
    );
    process.stdout.write(
      `OB-3: ids taken ${load.holeMs / 1000} s before their commit; ${effects.length - 1} others, slowest published after ${lag.toFixed(2)} s; ${findings.length} anomalies\n`,
    );
    expect(findings).toEqual([]);
    // Its id lies below those that were published long before it.
    expect(Number(lateRows[0]?.id)).toBeLessThan(Number(rows[0]?.id) + 2);
    expect(lag).toBeLessThan(2);
  },
);

test(
  'a relay that dies after the acknowledgement and comes back when the stream has forgotten repeats events and no effect',
  { timeout: 90_000 },
  async () => {
    const windowMs = 2_000;
    const windows = { EVENT_DEDUPE_WINDOW_MS: windowMs };
    const { messages: before } = (await outbox.jsm.streams.info(outbox.names.events)).state;
    const aggregates = await writeMany(outbox.admin, 100);
    const armed = await outbox.relay({ ...windows, NOVAX_CRASH_AT: 'relay.after_ack' });
    expect(await armed.ended).toBe('SIGKILL');
    const died = performance.now();
    const config = (await outbox.jsm.streams.info(outbox.names.events)).config;
    expect(config.duplicate_window).toBe(windowMs * 1e6);
    await eventually(() => expect(performance.now() - died).toBeGreaterThan(windowMs * 1.5), { timeoutMs: 10_000 });
    await using relay = await outbox.relay(windows);
    expect(relay.pid).toBeGreaterThan(0);
    await outbox.settled(60_000);
    const { messages } = (await outbox.jsm.streams.info(outbox.names.events)).state;
    // Every message has to be looked at before it can be said that none has a second effect.
    await eventually(
      async () => {
        const { num_pending, num_ack_pending } = await outbox.jsm.consumers.info(outbox.names.events, 'witness');
        expect(num_pending + num_ack_pending).toBe(0);
      },
      { timeoutMs: 30_000 },
    );
    const effects = (await outbox.effects()).filter(({ aggregate }) => aggregates.includes(aggregate));
    const repeated = messages - before - aggregates.length;
    process.stdout.write(
      `OB-4: 100 aggregates, ${repeated} events stored twice after the window, ${effects.length} effects\n`,
    );
    expect(repeated).toBeGreaterThan(0);
    expect(effects).toHaveLength(100);
    expect(new Set(effects.map(({ eventId }) => eventId)).size).toBe(100);
  },
);
