/** The domain event stream in memory: the same deduplication, durable consumers, redeliveries and giving up as the real one. */
import { type Envelope, envelopeSchema, eventSubject } from '@novax/contracts/events/envelope';
import type { EventBus, EventConsumer } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { coalescedHints } from '../hints.ts';

export interface FakeBusOptions {
  readonly maxDeliver?: number;
  readonly retryBaseMs?: number;
}

interface Durable {
  consumer: EventConsumer;
  /** Stream positions still owed, with the deliveries made. */
  readonly owed: Map<number, number>;
  readonly resting: Set<number>;
  running: boolean;
  turn: Promise<void>;
}

/** A bus of its own; `givenUp` lists what used up its deliveries, as `<consumer>:<event id>`. */
export function fakeBus(options: FakeBusOptions = {}): EventBus & { readonly givenUp: readonly string[] } {
  const stream: string[] = [];
  const positions = new Map<string, number>();
  const durables = new Map<string, Durable>();
  const listeners = new Map<string, Set<() => void>>();
  const givenUp: string[] = [];
  const hints = coalescedHints((subject) => listeners.get(subject)?.forEach((listener) => listener()));
  const at = (position: number): Envelope => envelopeSchema.parse(JSON.parse(stream[position - 1] ?? 'null'));
  const durableNamed = (name: string): Durable => {
    const durable = durables.get(name);
    if (!durable) throw new AppError('DEPENDENCY_UNAVAILABLE', { detail: `no consumer ${name}` });
    return durable;
  };

  const pump = (durable: Durable): void => {
    durable.turn = durable.turn.then(async () => {
      for (const [position, made] of [...durable.owed].toSorted(([a], [b]) => a - b)) {
        if (!durable.running) return;
        if (!durable.resting.has(position)) await deliver(durable, position, made + 1);
      }
    });
  };
  const deliver = async (durable: Durable, position: number, delivery: number): Promise<void> => {
    const event = at(position);
    durable.owed.set(position, delivery);
    try {
      await durable.consumer.handle(event);
      durable.owed.delete(position);
    } catch {
      if (delivery >= (options.maxDeliver ?? 5)) {
        durable.owed.delete(position);
        givenUp.push(`${durable.consumer.name}:${event.id}`);
        return;
      }
      durable.resting.add(position);
      setTimeout(
        () => {
          durable.resting.delete(position);
          pump(durable);
        },
        (options.retryBaseMs ?? 1000) * 2 ** (delivery - 1),
      );
    }
  };
  const offer = (durable: Durable, position: number, subject: string): void => {
    if (durable.consumer.subjects.some((pattern) => matchesSubject(pattern, subject))) durable.owed.set(position, 0);
  };

  return {
    givenUp,
    async ensureStreams() {},
    async publish(events, { replay } = {}) {
      const results = events.map((event) => {
        const messageId = replay === undefined ? event.id : `${event.id}.${replay}`;
        const known = positions.get(messageId);
        if (known !== undefined) return { id: event.id, ok: true as const, streamSeq: known, duplicate: true };
        const streamSeq = stream.push(JSON.stringify(event));
        positions.set(messageId, streamSeq);
        for (const durable of durables.values()) offer(durable, streamSeq, eventSubject(event));
        return { id: event.id, ok: true as const, streamSeq, duplicate: false };
      });
      for (const durable of durables.values()) pump(durable);
      return results;
    },
    async consume(consumer) {
      const known = durables.get(consumer.name);
      const durable: Durable = known ?? {
        consumer,
        owed: new Map(),
        resting: new Set(),
        running: true,
        turn: Promise.resolve(),
      };
      durable.consumer = consumer;
      durable.running = true;
      if (!known) {
        durables.set(consumer.name, durable);
        for (let position = 1; position <= stream.length; position++)
          offer(durable, position, eventSubject(at(position)));
      }
      pump(durable);
      return async () => {
        durable.running = false;
        await durable.turn;
      };
    },
    async lag(consumer) {
      return durableNamed(consumer).owed.size;
    },
    hint: (subject) => hints.hint(subject),
    onHint(subject, listener) {
      const set = listeners.get(subject) ?? new Set();
      listeners.set(subject, set.add(listener));
      return () => set.delete(listener);
    },
    async ping() {},
    async close() {
      hints.close();
      for (const durable of durables.values()) durable.running = false;
      await Promise.all([...durables.values()].map((durable) => durable.turn));
    },
  };
}

/** NATS wildcards: `*` is one token, a last `>` is one or more. */
export function matchesSubject(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const found = subject.split('.');
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return found.length > at;
    if (found[at] === undefined || (token !== '*' && token !== found[at])) return false;
  }
  return wanted.length === found.length;
}
