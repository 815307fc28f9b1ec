/** A look at the event bus that changes nothing: what differs from how streams and consumers must be. */
import { connect, credsAuthenticator } from 'nats';
import { natsAddress } from './nats-address.ts';
import { busNames, consumerConfig, defaultTimings, differing, streamConfigs } from './bus-config.ts';

export interface BusInspection {
  serverVersion: string;
  streams: { name: string; present: boolean; differences: string[]; messages: number }[];
  consumers: { name: string; differences: string[]; pending: number }[];
}

/** Connects once, within two seconds. Throws when the server cannot be reached, refuses us, or has JetStream disabled. */
export async function inspectBus(options: { url: string; credentials?: string }): Promise<BusInspection> {
  const { url, credentials } = options;
  const nc = await connect({
    ...natsAddress(url),
    name: 'novax-doctor',
    timeout: 2000,
    maxReconnectAttempts: 0,
    reconnect: false,
    ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(new TextEncoder().encode(credentials)) }),
  });
  try {
    const jsm = await nc.jetstreamManager({ timeout: 2000 });
    const names = busNames();
    const found = new Map((await jsm.streams.list().next()).map((info) => [info.config.name, info]));
    const streams = streamConfigs(names, defaultTimings).map((wanted) => {
      const info = found.get(wanted.name);
      // How many copies there are is the deployment's choice.
      const differences = info ? differing(info.config, wanted).filter((name) => name !== 'num_replicas') : [];
      return { name: wanted.name, present: info !== undefined, differences, messages: info?.state.messages ?? 0 };
    });
    const infos = found.has(names.events) ? await jsm.consumers.list(names.events).next() : [];
    const consumers = infos.map((info) => {
      const subjects = info.config.filter_subjects ?? [info.config.filter_subject ?? '>'];
      const config = { ...info.config, filter_subjects: subjects };
      return {
        name: info.name,
        differences: differing(config, consumerConfig(info.name, subjects, defaultTimings)),
        pending: info.num_pending + info.num_ack_pending,
      };
    });
    return { serverVersion: nc.info?.version ?? 'unknown', streams, consumers };
  } finally {
    await nc.close();
  }
}
