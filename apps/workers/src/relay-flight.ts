/**
 * Events between claim and mark: each goes out as soon as the one before it of its aggregate is acknowledged, those of different aggregates side by side.
 *
 * Why the wait within an aggregate: a stream stores what one connection sends in the order sent, but it may refuse one message and take the next (too
 * large, a full subject, a leader that changed), and the client resends nothing after a lost connection. Sent ahead, a later event could then be
 * stored before an earlier one; with the acknowledgement awaited it cannot, whatever is refused, repeated or lost. Recognition of repeats by
 * event id only makes a second publish of the same event harmless, it does not mend an order. Other aggregates fill the window meanwhile.
 */
import type { KeptBus } from '@novax/adapters/bus';
import { type ClaimedEvent, envelopeText } from '@novax/db/outbox';
import type { PublishResult } from '@novax/domain/ports';

/** The key of a row, and what it takes up while it is on its way. */
interface Answered {
  readonly id: string;
  readonly created: string;
  readonly bytes: number;
}

export interface Settled {
  readonly stored: readonly (Answered & { readonly seq: number })[];
  readonly refused: readonly (Answered & {
    readonly aggregateId: string;
    readonly error: string;
    readonly poison: boolean;
  })[];
}

export interface Flight {
  /** Sends the rows of a claim, in id order within their aggregate. */
  admit(rows: readonly ClaimedEvent[]): void;
  /** What the stream has answered since the last call. Claims leave it out until `landed`. */
  take(): Settled;
  /** The database knows of these now: a claim may answer them again if they are still there. */
  landed(settled: Settled): void;
  /**
   * To be called when a claim is sent, of which there may be one at a time; answers what it must leave out, which is all that is claimed and not landed.
   * Marks go on meanwhile: what the claim answers of an aggregate whose event is refused, or was put off since the claim began, is let go by `admit`,
   * as the claim may have seen the later event without that one.
   */
  startClaim(): readonly string[];
  /** Events claimed and not landed. */
  size(): number;
  /** Bytes of those rows as the database stores them. */
  bytes(): number;
  /** Sent, or waiting for the event before them. */
  unanswered(): number;
  answered(): number;
  /** Nothing more is sent; what is on its way may still be stored. */
  abandon(): void;
}

/** An empty flight; `onAnswer` is called after each answer of the stream. */
export function createFlight(bus: Pick<KeptBus, 'send'>, onAnswer: () => void): Flight {
  const inFlight = new Set<string>();
  /** Aggregates of which an event is on its way. */
  const busy = new Set<string>();
  /** Events that wait for the one before them of their aggregate. */
  const lines = new Map<string, ClaimedEvent[]>();
  /** Aggregates with a refused event that is not yet put off. */
  const held = new Set<string>();
  /** Aggregates whose refused event was put off since the claim began. */
  const released = new Set<string>();
  let stored: Settled['stored'][number][] = [];
  let refused: Settled['refused'][number][] = [];
  let unanswered = 0;
  let bytes = 0;
  let abandoned = false;

  const drop = (row: Pick<Answered, 'id' | 'bytes'>): void => {
    if (inFlight.delete(row.id)) bytes -= row.bytes;
  };
  const send = (row: ClaimedEvent): void => {
    const { event_id: id, event_type: type, traceparent } = row;
    bus.send({ id, type, traceparent, body: envelopeText(row) }, (result) => answer(row, result));
  };
  const answer = (row: ClaimedEvent, result: PublishResult): void => {
    if (abandoned) return;
    unanswered -= 1;
    const { id, created, bytes: size, aggregate_id: aggregateId } = row;
    const line = lines.get(aggregateId) ?? [];
    if (result.ok) {
      stored.push({ id, created, bytes: size, seq: result.streamSeq });
      const next = line.shift();
      if (line.length === 0) lines.delete(aggregateId);
      if (next === undefined) busy.delete(aggregateId);
      else send(next);
    } else {
      const { error, poison } = result;
      held.add(aggregateId);
      refused.push({ id, created, bytes: size, aggregateId, error, poison });
      unanswered -= line.length;
      line.forEach(drop);
      lines.delete(aggregateId);
      busy.delete(aggregateId);
    }
    onAnswer();
  };

  return {
    admit(rows) {
      for (const row of rows) {
        const { id, aggregate_id: aggregateId } = row;
        if (held.has(aggregateId) || released.has(aggregateId)) continue;
        inFlight.add(id);
        bytes += row.bytes;
        unanswered += 1;
        if (!busy.has(aggregateId)) {
          busy.add(aggregateId);
          send(row);
          continue;
        }
        const line = lines.get(aggregateId);
        if (line === undefined) lines.set(aggregateId, [row]);
        else line.push(row);
      }
    },
    take() {
      const settled = { stored, refused };
      stored = [];
      refused = [];
      return settled;
    },
    landed(settled) {
      settled.stored.forEach(drop);
      for (const one of settled.refused) {
        drop(one);
        held.delete(one.aggregateId);
        released.add(one.aggregateId);
      }
    },
    startClaim() {
      released.clear();
      return [...inFlight];
    },
    size: () => inFlight.size,
    bytes: () => bytes,
    unanswered: () => unanswered,
    answered: () => stored.length + refused.length,
    abandon: () => void (abandoned = true),
  };
}
