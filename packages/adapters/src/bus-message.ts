/** One message of a pull consumer and the answers it may be given (JetStream's acknowledgement protocol, NATS ADR-15). */
import { type Msg, nanos, type NatsConnection } from 'nats';

export interface PulledMessage {
  readonly subject: string;
  readonly text: string;
  readonly streamSeq: number;
  /** 1 for the first delivery. */
  readonly delivery: number;
  /** Done; true once the server has noted it. */
  acknowledge(): Promise<boolean>;
  /** Deliver again after a delay. */
  refuse(delayMs: number): void;
  /** Still at work: the acknowledgement wait starts anew. */
  working(): void;
  /** Never deliver again; the reason, its first 1,000 characters, goes into the advisory. Lost on its way, the event is given up without it when its time is over. */
  giveUp(reason: string): void;
}

/** Short: a lost connection swallows the answer, and an event that comes again does no harm. */
const acknowledgeWithinMs = 1000;

/** Reads a delivered message; its reply subject carries the delivery's numbers. */
export function pulledMessage(nc: NatsConnection, message: Msg): PulledMessage {
  const reply = message.reply ?? '';
  const { delivery, streamSeq } = deliveryNumbers(reply);
  return {
    subject: message.subject,
    text: message.string(),
    streamSeq,
    delivery,
    async acknowledge() {
      const answer = await nc.request(reply, '+ACK', { timeout: acknowledgeWithinMs }).catch(() => null);
      return answer !== null;
    },
    refuse(delayMs) {
      message.respond(`-NAK ${JSON.stringify({ delay: nanos(delayMs) })}`);
    },
    working() {
      message.respond('+WPI');
    },
    giveUp(reason) {
      message.respond(`+TERM ${reason.slice(0, 1000)}`);
    },
  };
}

/** `$JS.ACK.<stream>.<consumer>.<delivery>.<stream seq>.…`; newer servers put a domain and an account hash before the stream. */
function deliveryNumbers(reply: string): { delivery: number; streamSeq: number } {
  const tokens = reply.split('.');
  const at = tokens.length > 9 ? 6 : 4;
  return { delivery: Number(tokens[at] ?? 1), streamSeq: Number(tokens[at + 1] ?? 0) };
}
