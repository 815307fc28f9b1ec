/** The domain event stream on NATS JetStream. */
import { type Envelope, givenUpSubject } from '@novax/contracts/events/envelope';
import type { EventBus, PublishResult } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { retry } from '@novax/runtime/retry';
import { connect, type ConnectionOptions, credsAuthenticator, type NatsConnection } from 'nats';
import {
  type BusTimings,
  busNames,
  consumerConfig,
  deadLetterConsumerConfig,
  defaultTimings,
  repairConsumer,
  repairStream,
  streamConfigs,
} from './bus-config.ts';
import { runConsumer } from './bus-consumer.ts';
import { type GivenUp, givenUpTaker } from './bus-given-up.ts';
import { runLoop } from './bus-loop.ts';
import type { MessageSource } from './bus-message.ts';
import { createPublisher, type OutgoingEvent } from './bus-publish.ts';
import { type Puller, pullFrom } from './bus-pull.ts';
import { consumedUpTo, lags, type StreamState, streamState } from './bus-state.ts';
import { coalescedHints } from './hints.ts';
import { natsAddress } from './nats-address.ts';

/** Timings that are absent, or undefined, have their defaults. */
type GivenTimings = { readonly [Name in keyof BusTimings]?: BusTimings[Name] | undefined };

export interface BusOptions extends GivenTimings {
  readonly url: string;
  readonly log: Logger;
  /** Text of a `.creds` file, for servers that ask for one. */
  readonly credentials?: string;
  /** Prefix of every name, for tests that share a server. */
  readonly namespace?: string | undefined;
  /** Milliseconds to keep trying the first connection. */
  readonly connectWithinMs?: number;
  /** Milliseconds a handler may take before its event counts as failed. */
  readonly handleWithinMs?: number;
  /** Milliseconds before the second delivery of a failed event; doubles each time, to at most a minute. */
  readonly retryBaseMs?: number;
}

/** The bus with what only those ask who keep it: where the stream is, and what was given up. */
export interface KeptBus extends EventBus {
  /** Sends one event as it is; `answer` is called once, later. Never throws. How many may be unanswered is the caller's to bound. */
  send(event: OutgoingEvent, answer: (result: PublishResult) => void): void;
  /** The event stream as it is, made anew when there is none. Throws DEPENDENCY_UNAVAILABLE. */
  streamState(): Promise<StreamState>;
  /** See `consumedUpTo` in `bus-state.ts`. */
  consumedUpTo(): Promise<number | null>;
  /** Messages not acknowledged, by consumer. */
  lags(): Promise<ReadonlyMap<string, number>>;
  /** Calls `record` for every message that was given up, also for those while nobody listened, until it resolves. The answer stops it. */
  onGivenUp(record: (message: GivenUp) => Promise<void>): Promise<() => Promise<void>>;
}

/** Most publishes of one call that wait for their acknowledgement at one time. */
const inFlightMax = 512;
/** Milliseconds to wait for an answer about streams and consumers; short, because a lost connection swallows requests. */
const answerMs = 2000;

/** Connects; the connection mends itself for ever after. Throws DEPENDENCY_UNAVAILABLE when no server answers in time. */
export async function connectBus(options: BusOptions): Promise<KeptBus> {
  const { log } = options;
  const timings: BusTimings = { ...defaultTimings, ...defined(options) };
  const names = busNames(options.namespace);
  const nc = await firstConnection(options);
  const reconnected = new Set<() => void>();
  void watchStatus(nc, log, () => reconnected.forEach((listener) => listener()));
  const onReconnect = (listener: () => void): (() => void) => {
    reconnected.add(listener);
    return () => reconnected.delete(listener);
  };
  const jsm = await reached(() => nc.jetstreamManager({ timeout: answerMs }));
  const publisher = createPublisher(nc, names.subject);
  onReconnect(publisher.resend);
  const stops = new Set<() => Promise<void>>();
  const hints = coalescedHints((subject) => {
    if (!nc.isClosed() && !nc.isDraining()) nc.publish(names.subject(subject));
  });

  const ensureStreams = (): Promise<void> =>
    reached(async () => {
      for (const wanted of streamConfigs(names, timings)) await repairStream(jsm, wanted, log);
    });
  /** Opens a consumer for its loop, mending its definition each time but the first, when the caller has just done so. */
  const opener = (source: MessageSource, repair: () => Promise<void>): (() => Promise<Puller>) => {
    let repaired = true;
    return async () => {
      if (!repaired) await repair();
      repaired = false;
      return pullFrom(nc, source, onReconnect);
    };
  };
  const untilClosed = (stop: () => Promise<void>): (() => Promise<void>) => {
    stops.add(stop);
    return async () => {
      stops.delete(stop);
      await stop();
    };
  };

  return {
    ensureStreams,
    send: (event, answer) => publisher.send(event, answer),
    publish: (events, marks = {}) =>
      publishAll(events, (event) => {
        const { id, type, traceparent } = event;
        return new Promise((resolve) =>
          publisher.send({ id, type, traceparent, body: JSON.stringify(event), ...marks }, resolve),
        );
      }),
    async consume(consumer) {
      const { name } = consumer;
      const wanted = consumerConfig(consumer, names, timings);
      const repair = () => repairConsumer(jsm, { stream: names.events, wanted }, log);
      // The first time a wrong definition is the caller's to hear; later ones are retried by the loop.
      await reached(repair);
      return untilClosed(
        runConsumer({
          name,
          log,
          ackWaitMs: timings.ackWaitMs,
          maxDeliver: timings.maxDeliver,
          handleWithinMs: options.handleWithinMs ?? 60_000,
          retryBaseMs: options.retryBaseMs ?? 1000,
          handle: async (event) => consumer.handle(event),
          open: opener({ stream: names.events, name, givenUp: names.subject(givenUpSubject(name)) }, repair),
        }),
      );
    },
    async onGivenUp(record) {
      const wanted = deadLetterConsumerConfig(names, timings);
      const name = wanted.durable_name;
      const repair = () => repairConsumer(jsm, { stream: names.deadLetters, wanted }, log);
      await reached(repair);
      const take = givenUpTaker({ jsm, names, log }, record);
      return untilClosed(runLoop({ name, log, take, open: opener({ stream: names.deadLetters, name }, repair) }));
    },
    async streamState() {
      const found = await reached(() => streamState(jsm, names));
      if (found !== null) return found;
      log.warn({ stream: names.events }, 'the event stream is gone; making it anew');
      await ensureStreams();
      const made = await reached(() => streamState(jsm, names));
      if (made === null) throw unavailable(new Error(`no stream ${names.events}`));
      return made;
    },
    consumedUpTo: () => reached(() => consumedUpTo(jsm, names)),
    lags: () => reached(() => lags(jsm, names)),
    async lag(consumer) {
      const info = await reached(() => jsm.consumers.info(names.events, consumer));
      return info.num_pending + info.num_ack_pending;
    },
    hint: (subject) => hints.hint(subject),
    onHint(subject, listener) {
      const subscription = nc.subscribe(names.subject(subject), { callback: () => listener() });
      return () => subscription.unsubscribe();
    },
    async ping() {
      await reached(() => jsm.streams.info(names.events));
    },
    async close() {
      hints.close();
      await Promise.all([...stops].map((stop) => stop()));
      publisher.close();
      if (!nc.isClosed()) await nc.drain().catch(() => nc.close());
    },
  };
}

async function firstConnection(options: BusOptions): Promise<NatsConnection> {
  const deadline = Date.now() + (options.connectWithinMs ?? 10_000);
  const settings: ConnectionOptions = {
    ...natsAddress(options.url),
    name: options.namespace ?? 'novax',
    timeout: 2000,
    // For ever, also when the server refuses us for a while; only the very first connection is bounded.
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 10_000,
    maxPingOut: 2,
    // A stack trace per message otherwise, kept in case it fails: a quarter of what a publish costs.
    noAsyncTraces: true,
    ...(options.credentials === undefined
      ? {}
      : { authenticator: credsAuthenticator(new TextEncoder().encode(options.credentials)) }),
  };
  try {
    return await retry(() => connect(settings), {
      attempts: Infinity,
      baseMs: 200,
      capMs: 1000,
      when: () => Date.now() < deadline,
    });
  } catch (cause) {
    throw unavailable(cause);
  }
}

/** Sends in order with a bounded number unanswered; one failure is that event's result and nobody else's. */
async function publishAll(
  events: readonly Envelope[],
  send: (event: Envelope) => Promise<PublishResult>,
): Promise<readonly PublishResult[]> {
  const results: PublishResult[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; ; at = next++) {
      const event = events[at];
      if (event === undefined) return;
      results[at] = await send(event);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlightMax, events.length) }, lane));
  return results;
}

async function watchStatus(nc: NatsConnection, log: Logger, onReconnect: () => void): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect' || status.type === 'error')
      log.warn({ status: status.type, data: status.data }, 'event bus trouble');
    else if (status.type === 'reconnect') {
      log.info('event bus is back');
      onReconnect();
    }
  }
}

/** Runs a request to the server; anything but our own errors means that it cannot be reached. */
async function reached<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    throw unavailable(thrown);
  }
}

function unavailable(cause: unknown): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', {
    cause,
    detail: `event bus: ${cause instanceof Error ? cause.message : String(cause)}`,
  });
}

/** The timings that were given; an explicit undefined must not hide a default. */
function defined(options: GivenTimings): Partial<BusTimings> {
  const given = Object.keys(defaultTimings).map(
    (name) => [name, new Map<string, unknown>(Object.entries(options)).get(name)] as const,
  );
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
