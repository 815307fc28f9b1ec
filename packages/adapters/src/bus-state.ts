/** Where the event stream and its consumers are: what the outbox compares itself with, and what metrics show. */
import { deadLetterConsumer } from '@novax/contracts/events/envelope';
import { type ConsumerInfo, type JetStreamManager, NatsError } from 'nats';
import { type BusNames, orNull } from './bus-config.ts';

export interface StreamState {
  readonly name: string;
  /** Another one when the stream was deleted and made anew. */
  readonly identity: string;
  readonly lastSeq: number;
}

/** The event stream as it is; null when there is none. */
export async function streamState(jsm: JetStreamManager, names: BusNames): Promise<StreamState | null> {
  const info = await orNull(() => jsm.streams.info(names.events));
  if (info === null) return null;
  return { name: names.events, identity: info.created, lastSeq: info.state.last_seq };
}

/** Messages each consumer has not acknowledged, the one of the dead letters among them. */
export async function lags(jsm: JetStreamManager, names: BusNames): Promise<ReadonlyMap<string, number>> {
  const infos = [...(await consumersOf(jsm, names.events)), ...(await consumersOf(jsm, names.deadLetters))];
  return new Map(infos.map((info) => [info.name, unanswered(info)]));
}

/**
 * The sequence up to which every durable consumer is done with every message, those it gave up included; null while that cannot be said, because
 * advisories wait to be copied.
 */
export async function consumedUpTo(jsm: JetStreamManager, names: BusNames): Promise<number | null> {
  const { state } = await jsm.streams.info(names.events);
  const consumers = await consumersOf(jsm, names.events);
  // A consumer's own floor stands at the last message that it wanted.
  const floors = consumers.map((info) => (unanswered(info) === 0 ? state.last_seq : info.ack_floor.stream_seq));
  const letters = await orNull(() => jsm.streams.info(names.deadLetters));
  if (letters !== null && letters.state.messages > 0) {
    const keeper = await orNull(() => jsm.consumers.info(names.deadLetters, deadLetterConsumer));
    if (keeper === null || unanswered(keeper) > 0) return null;
  }
  return floors.length === 0 ? 0 : Math.min(...floors);
}

function unanswered(info: ConsumerInfo): number {
  return info.num_pending + info.num_ack_pending;
}

async function consumersOf(jsm: JetStreamManager, stream: string): Promise<ConsumerInfo[]> {
  const found: ConsumerInfo[] = [];
  try {
    for await (const info of jsm.consumers.list(stream)) found.push(info);
  } catch (thrown) {
    if (!(thrown instanceof NatsError && thrown.api_error?.code === 404)) throw thrown;
  }
  return found;
}
