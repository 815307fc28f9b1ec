/** The streams and consumers of the event bus as data, and the repair of servers that differ from it. */
import {
  deadLetterConsumer,
  deadLetterStream,
  eventStream,
  givenUpSubject,
  redeliverySubject,
} from '@novax/contracts/events/envelope';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamManager,
  nanos,
  NatsError,
  ReplayPolicy,
  RetentionPolicy,
  type StreamConfig,
  StorageType,
} from 'nats';

const dayMs = 86_400_000;

export interface BusTimings {
  /** Milliseconds without a sign of life from a handler before its event goes to another one. */
  readonly ackWaitMs: number;
  /** Deliveries in all before an event is given up. */
  readonly maxDeliver: number;
  /** Milliseconds the stream keeps events. */
  readonly maxAgeMs: number;
  /** Milliseconds in which a second publish of one event is recognised. */
  readonly duplicateWindowMs: number;
  readonly replicas: number;
}

export const defaultTimings: BusTimings = {
  ackWaitMs: 30_000,
  maxDeliver: 5,
  maxAgeMs: 30 * dayMs,
  duplicateWindowMs: 120_000,
  replicas: 1,
};

/** Names in one server; a namespace keeps tests apart, production has none. */
export interface BusNames {
  readonly events: string;
  readonly deadLetters: string;
  /** A public subject as this bus spells it. */
  subject(subject: string): string;
}

/** The public names, or the same behind a namespace of letters and digits. */
export function busNames(namespace?: string): BusNames {
  if (namespace === undefined)
    return { events: eventStream, deadLetters: deadLetterStream, subject: (subject) => subject };
  const prefix = namespace.toUpperCase();
  return {
    events: `${prefix}_${eventStream}`,
    deadLetters: `${prefix}_${deadLetterStream}`,
    subject: (subject) => `${namespace}.${subject}`,
  };
}

/** Both streams as they must be. The second keeps what is said about given-up events, by their consumer or, where that is gone, by the server. */
export function streamConfigs(
  names: BusNames,
  timings: BusTimings,
): readonly (Partial<StreamConfig> & { name: string })[] {
  const common = {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: timings.replicas,
    // Age alone ends a message: a limit on numbers or bytes would drop events that nobody has had yet.
    discard: DiscardPolicy.Old,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_bytes: -1,
  };
  return [
    {
      ...common,
      name: names.events,
      subjects: [names.subject('novax.events.>'), names.subject(redeliverySubject('>'))],
      max_age: nanos(timings.maxAgeMs),
      duplicate_window: nanos(timings.duplicateWindowMs),
    },
    {
      ...common,
      name: names.deadLetters,
      subjects: deadLetterSubjects(names),
      max_age: nanos(timings.maxAgeMs),
    },
  ];
}

/** What consumers say themselves, and the server's advisories. */
function deadLetterSubjects(names: BusNames): string[] {
  const advisories = ['MAX_DELIVERIES', 'MSG_TERMINATED'].map(
    (kind) => `$JS.EVENT.ADVISORY.CONSUMER.${kind}.${names.events}.>`,
  );
  return [names.subject(givenUpSubject('>')), ...advisories];
}

/**
 * A durable pull consumer of public subjects as it must be; beside them it hears what is handed to it again. The server's own `backoff` stays unset: it would replace `ack_wait` and does not apply to refusals,
 * whose delays are given with each of them.
 */
export function consumerConfig(
  { name, subjects }: { readonly name: string; readonly subjects: readonly string[] },
  names: BusNames,
  timings: BusTimings,
): Partial<ConsumerConfig> & { durable_name: string } {
  return {
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    ack_wait: nanos(timings.ackWaitMs),
    max_deliver: timings.maxDeliver,
    max_ack_pending: 1000,
    filter_subjects: [...subjects, redeliverySubject(name)].map(names.subject),
  };
}

/** The consumer of the advisories. It never gives one up: what it copies is known nowhere else. */
export function deadLetterConsumerConfig(
  names: BusNames,
  timings: BusTimings,
): Partial<ConsumerConfig> & { durable_name: string } {
  return {
    durable_name: deadLetterConsumer,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    ack_wait: nanos(timings.ackWaitMs),
    max_deliver: -1,
    max_ack_pending: 1000,
    filter_subjects: deadLetterSubjects(names),
  };
}

/** Makes a stream, or changes what differs; what a server cannot change is an INTERNAL error that names it. */
export async function repairStream(
  jsm: JetStreamManager,
  wanted: Partial<StreamConfig> & { name: string },
  log: Logger,
): Promise<void> {
  const found = await orNull(() => jsm.streams.info(wanted.name));
  if (found === null) {
    await jsm.streams.add(wanted);
    return;
  }
  const differences = differing(found.config, wanted);
  if (differences.length === 0) return;
  refuseFixed(`stream ${wanted.name}`, differences, ['storage', 'retention']);
  log.warn({ stream: wanted.name, differences }, 'stream differed from its definition; repaired');
  await jsm.streams.update(wanted.name, wanted);
}

/** Makes a durable consumer, or changes what differs; see `repairStream`. */
export async function repairConsumer(
  jsm: JetStreamManager,
  { stream, wanted }: { readonly stream: string; readonly wanted: Partial<ConsumerConfig> & { durable_name: string } },
  log: Logger,
): Promise<void> {
  const name = wanted.durable_name;
  const found = await orNull(() => jsm.consumers.info(stream, name));
  if (found === null) {
    await jsm.consumers.add(stream, wanted);
    return;
  }
  const differences = differing(withFilters(found.config), wanted);
  if (differences.length === 0) return;
  refuseFixed(`consumer ${name}`, differences, ['ack_policy', 'deliver_policy', 'replay_policy']);
  log.warn({ consumer: name, differences }, 'consumer differed from its definition; repaired');
  const { durable_name: _, ack_policy: __, deliver_policy: ___, replay_policy: ____, ...changeable } = wanted;
  // A found filter in the singular field would stand beside ours, and both at once are refused.
  await jsm.consumers.update(stream, name, { ...changeable, filter_subject: '' });
}

/** The settings with their filters in the plural field: a server may answer a single one in the other. */
export function withFilters(config: ConsumerConfig): ConsumerConfig & { filter_subjects: string[] } {
  return { ...config, filter_subjects: config.filter_subjects ?? [config.filter_subject ?? '>'] };
}

/** Names of the wanted settings whose found value is another one. */
export function differing(found: object, wanted: object): string[] {
  const values = new Map<string, unknown>(Object.entries(found));
  return Object.entries(wanted)
    .filter(([name, value]) => JSON.stringify(sorted(values.get(name))) !== JSON.stringify(sorted(value)))
    .map(([name]) => name);
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) ? value.map(String).toSorted((a, b) => a.localeCompare(b)) : value;
}

function refuseFixed(what: string, differences: readonly string[], fixed: readonly string[]): void {
  const stuck = differences.filter((name) => fixed.includes(name));
  if (stuck.length === 0) return;
  throw new AppError('INTERNAL', {
    detail: `${what} exists with another ${stuck.join(', ')}, which cannot be changed; remove it and start again`,
  });
}

/** Null for what the server does not have. */
export async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof NatsError && thrown.api_error?.code === 404) return null;
    throw thrown;
  }
}
