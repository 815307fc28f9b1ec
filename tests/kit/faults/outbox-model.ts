/** The way of an event in memory: writers, outbox, relays, stream and consumers, every step of which a scheduler may put before or after any other. */
import type { ClaimedEvent } from '@novax/db/outbox';
import type { KeptBus } from '@novax/adapters/bus';
import type { PublishResult } from '@novax/domain/ports';
import type { createFlight } from '../../../apps/workers/src/relay-flight.ts';
import type { Change, Moment } from './history.ts';

/** What goes wrong, in the order in which it is met; afterwards all goes well. */
export interface Plan {
  /** The transactions of each writer, one after another. `unknown` ones commit or do not, and the writer never hears which. */
  readonly writers: readonly (readonly {
    readonly aggregate: string;
    readonly events: number;
    readonly end: 'commit' | 'rollback' | 'unknown, committed' | 'unknown, rolled back';
  }[])[];
  /** What the stream does with a message. `unheard` is stored and the answer lost, `forgotten` is stored again though it came before. */
  readonly messages: readonly ('stored' | 'unheard' | 'forgotten' | 'refused' | 'poison')[];
  /** What a relay does at its next step. One that hangs loses its connection, and its shards, long before it knows. */
  readonly relays: readonly ('goes on' | 'dies' | 'hangs')[];
  /** What a consumer does at its next message. */
  readonly consumers: readonly ('goes on' | 'dies before' | 'dies after')[];
}

/** The parts on trial, and the rules that a test may break to see that it matters. */
export interface Rules {
  readonly createFlight: typeof createFlight;
  /** An event becomes visible with its change, not before. */
  readonly oneCommit: boolean;
  /** A row is marked after its acknowledgement. */
  readonly marksLast: boolean;
  /** Consumers note what they applied. */
  readonly inbox: boolean;
  /** A look that begins behind an id leaves an aggregate alone whose first waiting event is not behind it. */
  readonly firstFirst: boolean;
}

/** Consumers of the model: one that takes the stream in its order, and one that has many messages in hand and drops what was overtaken. */
export const consumers = ['witness', 'fan-out'] as const;

interface Row {
  readonly id: number;
  readonly change: Change;
  status: 'pending' | 'published' | 'failed';
  attempts: number;
  /** Refused before, and not yet to be tried again. */
  waits: boolean;
}

const batch = 3;
const attemptsMax = 2;

/** Starts everything; `step` resolves when the scheduler says so. The moments are complete when nothing is scheduled any more. */
export function startModel(plan: Plan, step: (label: string) => Promise<void>, rules: Rules): readonly Moment[] {
  const moments: Moment[] = [];
  const rows: Row[] = [];
  const stream: Change[] = [];
  const bell = createBell();
  const messages = [...plan.messages];
  const relaysDo = [...plan.relays];
  const consumersDo = [...plan.consumers];

  const aggregates = new Map<string, { version: number; turn: Promise<void> }>();
  let ids = 0;
  async function write(writes: Plan['writers'][number]): Promise<void> {
    for (const { aggregate, events, end } of writes) {
      const held = aggregates.get(aggregate) ?? { version: 0, turn: Promise.resolve() };
      aggregates.set(aggregate, held);
      const mine = Promise.withResolvers<void>();
      const before = held.turn;
      held.turn = mine.promise;
      await before;
      await step(`change ${aggregate}`);
      // Ids are taken in the transaction: those of another aggregate may commit in another order.
      const made = Array.from({ length: events }, (_, n): Row => {
        const id = (ids += 1);
        const change = { eventId: `event-${id}`, aggregate, version: held.version + n + 1 };
        return { id, change, status: 'pending', attempts: 0, waits: false };
      });
      for (const { change } of made) moments.push({ type: 'invoke', ...change });
      if (!rules.oneCommit) publishable(made);
      await step(`${end} ${aggregate}`);
      const committed = end === 'commit' || end === 'unknown, committed';
      if (committed) held.version += events;
      if (committed && rules.oneCommit) publishable(made);
      const type = end === 'commit' ? 'ok' : end === 'rollback' ? 'fail' : 'info';
      for (const { change } of made) moments.push({ type, ...change });
      mine.resolve();
    }
  }
  function publishable(made: readonly Row[]): void {
    rows.push(...made);
    rows.sort((a, b) => a.id - b.id);
    bell.ring();
  }

  /** As `claimPending` does it. */
  function claimable(onTheirWay: readonly string[], behind: number): Row[] {
    const passedOver = new Set(
      rows.filter(({ status, id }) => status === 'pending' && id <= behind).map(({ change }) => change.aggregate),
    );
    const blocked = new Set(
      rows.filter(({ status, waits }) => status === 'failed' || waits).map(({ change }) => change.aggregate),
    );
    return rows
      .filter(
        ({ status, id, change }) =>
          status === 'pending' &&
          id > behind &&
          !onTheirWay.includes(String(id)) &&
          !blocked.has(change.aggregate) &&
          !(rules.firstFirst && passedOver.has(change.aggregate)),
      )
      .slice(0, batch);
  }
  function put(refused: readonly { readonly id: string; readonly poison: boolean }[]): void {
    for (const { id, poison } of refused) {
      const row = rows.find((it) => String(it.id) === id);
      if (row?.status !== 'pending') continue;
      row.attempts += Number(poison);
      if (row.attempts >= attemptsMax) row.status = 'failed';
      else row.waits = true;
      void step(row.status === 'failed' ? `free ${id}` : `wait of ${id} is over`).then(() => {
        Object.assign(row, row.status === 'failed' ? { status: 'pending', attempts: 0 } : { waits: false });
        bell.ring();
      });
    }
  }
  function mark(stored: readonly { readonly id: string }[]): void {
    for (const row of rows) {
      if (row.status === 'pending' && stored.some(({ id }) => id === String(row.id))) row.status = 'published';
    }
  }

  /** A connection to the stream: what it sends arrives in that order, though the sender is gone. */
  function connect(): Pick<KeptBus, 'send'> {
    let sent = Promise.resolve();
    const deliver = async (eventId: string): Promise<PublishResult> => {
      const arrival = sent.then(() => step(`${eventId} arrives`)).then(() => arrive(eventId));
      sent = arrival.then(() => undefined);
      const result = await arrival;
      await step(`answer for ${eventId}`);
      return result;
    };
    return { send: ({ id }, answer) => void deliver(id).then(answer) };
  }
  function arrive(eventId: string): PublishResult {
    const fate = messages.shift() ?? 'stored';
    const change = rows.find((row) => row.change.eventId === eventId)?.change;
    if (change === undefined) throw new Error(`nobody wrote ${eventId}`);
    if (fate === 'refused' || fate === 'poison')
      return { id: eventId, ok: false, error: fate, poison: fate === 'poison' };
    const duplicate = stream.some((known) => known.eventId === eventId);
    if (!duplicate || fate === 'forgotten') {
      stream.push(change);
      bell.ring();
    }
    if (fate === 'unheard') return { id: eventId, ok: false, error: 'no answer', poison: false };
    return { id: eventId, ok: true, streamSeq: stream.length, duplicate };
  }

  /** One life of a relay, which claims and marks side by side; the next one begins when it claims no more. */
  async function relay(): Promise<void> {
    const flight = rules.createFlight(connect(), () => bell.ring());
    const alive = { claims: true, marks: true };
    /** False when this half of the relay's life ends at this step, or ended meanwhile. */
    const lives = async (half: 'claims' | 'marks', label: string): Promise<boolean> => {
      await step(`relay ${label}`);
      if (!alive[half]) return false;
      const fate = relaysDo.shift() ?? 'goes on';
      if (fate === 'goes on') return true;
      const end = (): void => {
        alive.marks = false;
        flight.abandon();
        bell.ring();
      };
      alive.claims = false;
      bell.ring();
      // Marks need no shard: they go on until the loss is noticed.
      if (fate === 'hangs' && half === 'claims') void step('hung relay notices').then(end);
      else end();
      return false;
    };
    async function marks(): Promise<void> {
      while (alive.marks) {
        if (flight.answered() === 0) {
          await bell.next();
          continue;
        }
        const settled = flight.take();
        if (!(await lives('marks', 'marks'))) return;
        mark(settled.stored);
        put(settled.refused);
        if (!(await lives('marks', 'hears of the mark'))) return;
        flight.landed(settled);
        bell.ring();
      }
    }
    void marks();
    // Every other look begins behind what was claimed before.
    let [looks, highest] = [0, 0];
    while (alive.claims) {
      const leftOut = flight.startClaim();
      if (flight.size() > batch || claimable(leftOut, 0).length === 0) {
        await bell.next();
        continue;
      }
      looks += 1;
      if (!(await lives('claims', 'claims'))) return;
      const claimed = claimable(leftOut, looks % 2 === 0 ? highest : 0);
      highest = Math.max(highest, ...claimed.map(({ id }) => id));
      if (!rules.marksLast) mark(claimed.map(({ id }) => ({ id: String(id) })));
      if (!(await lives('claims', 'hears of the claim'))) return;
      flight.admit(claimed.map(claimedEvent));
    }
  }
  async function keepRelay(): Promise<void> {
    for (;;) await relay();
  }

  async function witness(): Promise<void> {
    const seen = new Set<string>();
    for (let position = 0; ;) {
      const change = stream[position];
      if (change === undefined) {
        await bell.next();
        continue;
      }
      await step(`witness takes ${change.eventId}`);
      const fate = consumersDo.shift() ?? 'goes on';
      if (fate === 'dies before') continue;
      if (!rules.inbox || !seen.has(change.eventId)) moments.push({ type: 'effect', consumer: 'witness', ...change });
      seen.add(change.eventId);
      if (fate !== 'dies after') position += 1;
    }
  }
  async function fanOut(): Promise<void> {
    const seen = new Set<string>();
    const newest = new Map<string, number>();
    async function handle(change: Change): Promise<void> {
      await step(`fan-out takes ${change.eventId}`);
      const fate = consumersDo.shift() ?? 'goes on';
      if (fate !== 'dies before' && (!rules.inbox || !seen.has(change.eventId))) {
        const { aggregate, version } = change;
        const stale = (newest.get(aggregate) ?? 0) > version;
        moments.push({ type: stale ? 'overtaken' : 'effect', consumer: 'fan-out', ...change });
        seen.add(change.eventId);
        if (!stale) newest.set(aggregate, version);
      }
      if (fate !== 'goes on') await handle(change);
    }
    for (let position = 0; ;) {
      const change = stream[position];
      if (change === undefined) {
        await bell.next();
        continue;
      }
      position += 1;
      void handle(change);
    }
  }

  for (const writes of plan.writers) void write(writes);
  void keepRelay();
  void witness();
  void fanOut();
  return moments;
}

/** Whoever waits for news hears of the next. */
function createBell(): { ring(): void; next(): Promise<void> } {
  let news = Promise.withResolvers<void>();
  return {
    ring() {
      news.resolve();
      news = Promise.withResolvers<void>();
    },
    next: () => news.promise,
  };
}

function claimedEvent({ id, change }: Row): ClaimedEvent {
  return {
    id: String(id),
    event_id: change.eventId,
    event_type: 'document.updated',
    schema_version: 1,
    org_id: null,
    aggregate_type: 'document',
    aggregate_id: change.aggregate,
    aggregate_version: change.version,
    actor_type: 'system',
    actor_id: null,
    request_id: null,
    traceparent: null,
    occurred_at: '2026-05-01T00:00:00.000Z',
    payload: '{}',
    bytes: 10,
    created: '2026-05-01 00:00:00+00',
  };
}
