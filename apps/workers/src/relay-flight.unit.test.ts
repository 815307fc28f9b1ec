/** What may be on its way at one time, and in which order. */
import type { ClaimedEvent } from '@novax/db/outbox';
import type { KeptBus } from '@novax/adapters/bus';
import type { PublishResult } from '@novax/domain/ports';
import { expect, test } from 'vitest';
import { createFlight } from './relay-flight.ts';

/** A bus whose answers the test gives, one event at a time. */
function answeringBus() {
  const sent: string[] = [];
  const answers = new Map<string, (result: PublishResult) => void>();
  const bus: Pick<KeptBus, 'send'> = {
    send({ id }, answer) {
      sent.push(id);
      answers.set(id, answer);
    },
  };
  return {
    bus,
    sent,
    async answer(id: string, result: 'stored' | 'refused') {
      answers.get(id)?.(
        result === 'stored'
          ? { id, ok: true, streamSeq: sent.length, duplicate: false }
          : { id, ok: false, error: 'no', poison: true },
      );
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function row(id: number, aggregate: string): ClaimedEvent {
  return {
    id: String(id),
    event_id: `event-${id}`,
    event_type: 'document.updated',
    schema_version: 1,
    org_id: null,
    aggregate_type: 'document',
    aggregate_id: aggregate,
    aggregate_version: id,
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

test('an event waits for the acknowledgement of the one before it of its aggregate, and for nobody else', async () => {
  const { bus, sent, answer } = answeringBus();
  const flight = createFlight(bus, () => undefined);
  flight.admit([row(1, 'a'), row(2, 'a'), row(3, 'b')]);
  flight.admit([row(4, 'a')]);
  expect(sent).toEqual(['event-1', 'event-3']);
  await answer('event-1', 'stored');
  expect(sent).toEqual(['event-1', 'event-3', 'event-2']);
  await answer('event-2', 'stored');
  expect(sent.at(-1)).toBe('event-4');
});

test('a refused event lets go of what follows it, also of what is claimed before the refusal is written down', async () => {
  const { bus, sent, answer } = answeringBus();
  const flight = createFlight(bus, () => undefined);
  flight.admit([row(1, 'a'), row(2, 'a'), row(3, 'b')]);
  await answer('event-1', 'refused');
  flight.admit([row(2, 'a')]);
  expect(sent).toEqual(['event-1', 'event-3']);
  expect({ ids: flight.startClaim(), bytes: flight.bytes(), unanswered: flight.unanswered() }).toEqual({
    ids: ['1', '3'],
    bytes: 20,
    unanswered: 1,
  });
  flight.landed(flight.take());
  flight.startClaim();
  flight.admit([row(1, 'a')]);
  expect(sent.filter((id) => id === 'event-1')).toHaveLength(2);
});

test('an acknowledged event stays out of claims until the database knows', async () => {
  const { bus, answer } = answeringBus();
  const flight = createFlight(bus, () => undefined);
  flight.admit([row(1, 'a')]);
  await answer('event-1', 'stored');
  const settled = flight.take();
  expect(flight.startClaim()).toEqual(['1']);
  flight.landed(settled);
  expect({ size: flight.size(), bytes: flight.bytes() }).toEqual({ size: 0, bytes: 0 });
});

test('an abandoned flight sends nothing more', async () => {
  const { bus, sent, answer } = answeringBus();
  const flight = createFlight(bus, () => undefined);
  flight.admit([row(1, 'a'), row(2, 'a')]);
  flight.abandon();
  await answer('event-1', 'stored');
  expect(sent).toEqual(['event-1']);
});

test('what a claim saw before an earlier event was put off is let go, for the next claim to bring in order', async () => {
  const { bus, sent, answer } = answeringBus();
  const flight = createFlight(bus, () => undefined);
  flight.startClaim();
  flight.admit([row(1, 'a')]);
  // Begun while the first is on its way, and without it.
  flight.startClaim();
  await answer('event-1', 'refused');
  flight.landed(flight.take());
  flight.admit([row(2, 'a'), row(3, 'b')]);
  expect(sent).toEqual(['event-1', 'event-3']);
  flight.startClaim();
  flight.admit([row(1, 'a'), row(2, 'a')]);
  expect(sent).toEqual(['event-1', 'event-3', 'event-1']);
});
