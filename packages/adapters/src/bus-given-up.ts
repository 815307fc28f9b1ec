/** What is said about messages that were given up, made whole: it names a place in the stream, the stream still has what stood there. */
import type { Logger } from '@novax/runtime/log';
import type { JetStreamManager, MsgHdrs } from 'nats';
import { z } from 'zod';
import { type BusNames, orNull } from './bus-config.ts';
import type { PulledMessage } from './bus-message.ts';

export interface GivenUp {
  readonly consumer: string;
  /** One and the same for every report of this message by this consumer, also over the ends of streams. */
  readonly key: string;
  readonly deliveries: number;
  /** What the consumer said when it gave the message up; null when the server did, because nobody answered. */
  readonly reason: string | null;
  /** The message's text; null when the stream has it no more. */
  readonly text: string | null;
  /** Its headers, with its stream, sequence, subject and time as `Nats-…`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A consumer's own words (`bus-message.ts`), which follow the server's: its advisories (NATS ADR-1) `io.nats.jetstream.advisory.v1.max_deliver` and `….terminated`. */
const advisorySchema = z.object({
  id: z.string(),
  timestamp: z.string(),
  stream: z.string(),
  consumer: z.string(),
  stream_seq: z.int().min(1),
  deliveries: z.int().min(0),
  reason: z.string().optional(),
});

/** Hands each message given up to `handle` and forgets the advisory once that resolves; a rejection makes it come again a second later, for ever. */
export function givenUpTaker(
  { jsm, names, log }: { readonly jsm: JetStreamManager; readonly names: BusNames; readonly log: Logger },
  handle: (message: GivenUp) => Promise<void>,
): (message: PulledMessage) => Promise<void> {
  return async (message) => {
    const parsed = advisorySchema.safeParse(parsedJson(message.text));
    if (!parsed.success) {
      log.error({ err: parsed.error, subject: message.subject }, 'not an advisory; left where it is');
      await message.giveUp('not an advisory');
      return;
    }
    try {
      await handle(await wholeOf(parsed.data, { jsm, names }));
      await message.acknowledge();
    } catch (thrown) {
      log.warn({ err: thrown, streamSeq: parsed.data.stream_seq }, 'message given up was not recorded; trying again');
      message.refuse(1000);
    }
  };
}

async function wholeOf(
  advisory: z.output<typeof advisorySchema>,
  { jsm, names }: { readonly jsm: JetStreamManager; readonly names: BusNames },
): Promise<GivenUp> {
  const { consumer, stream_seq: seq, deliveries } = advisory;
  const info = await orNull(() => jsm.streams.info(names.events));
  // A stream made anew counts from 1 again: what stands at this place now is another message.
  const same = info !== null && Date.parse(info.created) <= Date.parse(advisory.timestamp);
  const stored = same ? await orNull(() => jsm.streams.getMessage(names.events, { seq })) : null;
  return {
    consumer,
    key: same ? `${Date.parse(info.created)}:${seq}` : `advisory:${advisory.id}`,
    deliveries,
    reason: advisory.reason ?? null,
    text: stored === null ? null : new TextDecoder().decode(stored.data),
    headers: {
      ...(stored === null ? {} : { ...ownHeaders(stored.header), 'Nats-Subject': stored.subject }),
      'Nats-Stream': advisory.stream,
      'Nats-Sequence': String(seq),
      'Nats-Given-Up-At': advisory.timestamp,
    },
  };
}

function ownHeaders(headers: MsgHdrs | undefined): Record<string, string> {
  return Object.fromEntries((headers?.keys() ?? []).map((name) => [name, headers?.get(name) ?? '']));
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
