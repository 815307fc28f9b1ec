/** The loop of one durable consumer: one event in hand at a time, kept alive while it is handled, refused with a growing delay when that fails. */
import { type Envelope, envelopeSchema } from '@novax/contracts/events/envelope';
import { crashAt } from '@novax/runtime/crash';
import type { Logger } from '@novax/runtime/log';
import { runLoop } from './bus-loop.ts';
import type { PulledMessage } from './bus-message.ts';
import type { Puller } from './bus-pull.ts';

export interface ConsumerLoopOptions {
  readonly name: string;
  readonly log: Logger;
  readonly ackWaitMs: number;
  readonly handleWithinMs: number;
  /** Deliveries in all before an event is given up. */
  readonly maxDeliver: number;
  readonly retryBaseMs: number;
  readonly handle: (event: Envelope) => Promise<void>;
  /** Finds the consumer on the server, making it anew when it is gone. */
  readonly open: () => Promise<Puller>;
}

const retryCapMs = 60_000;

/** Hands events to the handler until stopped. The answer stops it after the event in hand. */
export function runConsumer(options: ConsumerLoopOptions): () => Promise<void> {
  const { name, log, open } = options;
  return runLoop({ name, log, open, take: (message) => handleOne(message, options) });
}

async function handleOne(message: PulledMessage, options: ConsumerLoopOptions): Promise<void> {
  const event = parseEnvelope(message);
  const log = options.log.child({ consumer: options.name, streamSeq: message.streamSeq, delivery: message.delivery });
  if (event instanceof Error) {
    log.error({ err: event, subject: message.subject }, 'event is not an envelope; given up');
    await message.giveUp('not an envelope');
    return;
  }
  crashAt('consumer.before_effect');
  const alive = setInterval(() => message.working(), options.ackWaitMs / 3);
  try {
    await within(options.handleWithinMs, options.handle(event));
  } catch (thrown) {
    if (message.delivery >= options.maxDeliver) {
      log.error({ err: thrown, eventId: event.id, type: event.type }, 'event used up its deliveries; given up');
      await message.giveUp(thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    const delayMs = Math.min(options.retryBaseMs * 2 ** (message.delivery - 1), retryCapMs);
    log.warn(
      { err: thrown, eventId: event.id, type: event.type, delayMs },
      'event was not handled; delivered again later',
    );
    message.refuse(delayMs);
    return;
  } finally {
    clearInterval(alive);
  }
  crashAt('consumer.after_effect');
  // Waits until the server has the acknowledgement; without it the event comes again, which its handler must bear anyway.
  const acknowledged = await message.acknowledge();
  crashAt('consumer.after_ack');
  if (!acknowledged) log.warn({ eventId: event.id }, 'acknowledgement was not confirmed; the event may come again');
}

function parseEnvelope(message: PulledMessage): Envelope | Error {
  try {
    return envelopeSchema.parse(JSON.parse(message.text));
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

/** Rejects when `work` takes longer; without this a handler that hangs would be kept alive for ever. */
function within(ms: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`handler took longer than ${ms} ms`)), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
