/** A look at the event bus that changes nothing: what differs from how streams and consumers must be. */
import { durableConsumers } from '@novax/contracts/events/envelope';
import type { ConsumerConfig, JetStreamManager } from 'nats';
import { type BusAddress, visitBus } from './bus-brief.ts';
import {
  busNames,
  consumerConfig,
  deadLetterConsumerConfig,
  defaultTimings,
  differing,
  orNull,
  streamConfigs,
  withFilters,
} from './bus-config.ts';

export interface BusInspection {
  serverVersion: string;
  streams: { name: string; present: boolean; differences: string[]; messages: number }[];
  consumers: { name: string; present: boolean; differences: string[]; pending: number }[];
  /** Consumers of the event stream that this release knows nothing of. */
  strangers: { name: string; pending: number }[];
}

/** Connects once, within two seconds. Throws when the server cannot be reached, refuses us, or has JetStream disabled. */
export function inspectBus(address: BusAddress): Promise<BusInspection> {
  return visitBus(address, async (nc) => {
    const jsm = await nc.jetstreamManager({ timeout: 2000 });
    const names = busNames(address.namespace);
    const timings = { ...defaultTimings, ...address.timings };
    const streams = await Promise.all(
      streamConfigs(names, timings).map(async (wanted) => {
        const info = await orNull(() => jsm.streams.info(wanted.name));
        // How many copies there are is the deployment's choice.
        const differences = info ? differing(info.config, wanted).filter((name) => name !== 'num_replicas') : [];
        return { name: wanted.name, present: info !== null, differences, messages: info?.state.messages ?? 0 };
      }),
    );
    const consumers = await Promise.all([
      ...Object.entries(durableConsumers).map(([name, subjects]) =>
        inspectConsumer(jsm, names.events, consumerConfig({ name, subjects }, names, timings)),
      ),
      inspectConsumer(jsm, names.deadLetters, deadLetterConsumerConfig(names, timings)),
    ]);
    const events = await orNull(() => jsm.streams.info(names.events));
    const all = events === null ? [] : await jsm.consumers.list(names.events).next();
    const strangers = all
      .filter(({ name }) => !consumers.some((known) => known.name === name))
      .map((info) => ({ name: info.name, pending: info.num_pending + info.num_ack_pending }));
    return { serverVersion: nc.info?.version ?? 'unknown', streams, consumers, strangers };
  });
}

async function inspectConsumer(
  jsm: JetStreamManager,
  stream: string,
  wanted: Partial<ConsumerConfig> & { durable_name: string },
): Promise<BusInspection['consumers'][number]> {
  const name = wanted.durable_name;
  const info = await orNull(() => jsm.consumers.info(stream, name));
  if (info === null) return { name, present: false, differences: [], pending: 0 };
  return {
    name,
    present: true,
    differences: differing(withFilters(info.config), wanted),
    pending: info.num_pending + info.num_ack_pending,
  };
}
