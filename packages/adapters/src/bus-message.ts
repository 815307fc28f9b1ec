/** One message of a pull consumer and the answers it may be given (JetStream's acknowledgement protocol, NATS ADR-15). */
import { newId } from '@novax/runtime/ids';
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
  /** Never deliver again; a stream keeps the reason, its first 1,000 characters. Lost on its way, the event is given up without it when its time is over. */
  giveUp(reason: string): Promise<void>;
}

export interface MessageSource {
  readonly stream: string;
  readonly name: string;
  /** Subject of a stream that keeps what this consumer gives up; absent where nothing does. */
  readonly givenUp?: string;
}

/** Short: a lost connection swallows the answer, and an event that comes again does no harm. */
const acknowledgeWithinMs = 1000;

/** Reads a delivered message; its reply subject carries the delivery's numbers. */
export function pulledMessage(nc: NatsConnection, message: Msg, source: MessageSource): PulledMessage {
  const reply = message.reply ?? '';
  const { delivery, streamSeq } = deliveryNumbers(reply);
  const asked = async (subject: string, words: string): Promise<boolean> =>
    (await nc.request(subject, words, { timeout: acknowledgeWithinMs }).catch(() => null)) !== null;
  const stored = async (subject: string, words: string): Promise<boolean> =>
    nc
      .jetstream({ timeout: acknowledgeWithinMs })
      .publish(subject, words)
      .then(
        () => true,
        () => false,
      );
  return {
    subject: message.subject,
    text: message.string(),
    streamSeq,
    delivery,
    acknowledge: () => asked(reply, '+ACK'),
    refuse(delayMs) {
      message.respond(`-NAK ${JSON.stringify({ delay: nanos(delayMs) })}`);
    },
    working() {
      message.respond('+WPI');
    },
    async giveUp(reason) {
      const short = reason.slice(0, 1000);
      const { stream, name: consumer, givenUp } = source;
      // The server would say so itself, from memory, a moment after it has forgotten the message; killed between the two it would lose both. So a stream has
      // it first. Dying after that makes the server say it once more, about the same place.
      const said = { id: newId(), timestamp: new Date().toISOString(), stream, consumer, stream_seq: streamSeq };
      const words = JSON.stringify({ ...said, deliveries: delivery, reason: short });
      if (givenUp !== undefined && (await stored(givenUp, words))) await asked(reply, '+ACK');
      else message.respond(`+TERM ${short}`);
    },
  };
}

/** `$JS.ACK.<stream>.<consumer>.<delivery>.<stream seq>.…`; newer servers put a domain and an account hash before the stream. */
function deliveryNumbers(reply: string): { delivery: number; streamSeq: number } {
  const tokens = reply.split('.');
  const at = tokens.length > 9 ? 6 : 4;
  return { delivery: Number(tokens[at] ?? 1), streamSeq: Number(tokens[at + 1] ?? 0) };
}
