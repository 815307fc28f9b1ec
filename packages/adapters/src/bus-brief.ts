/** One short visit to the event bus by a command: connect within two seconds, look or mend, leave. */
import { durableConsumers, redeliverySubject } from '@novax/contracts/events/envelope';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { connect, credsAuthenticator, headers, type NatsConnection } from 'nats';
import {
  type BusTimings,
  busNames,
  consumerConfig,
  deadLetterConsumerConfig,
  defaultTimings,
  orNull,
  repairConsumer,
  repairStream,
  streamConfigs,
} from './bus-config.ts';
import { natsAddress } from './nats-address.ts';

export interface BusAddress {
  readonly url: string;
  /** Text of a `.creds` file, for servers that ask for one. */
  readonly credentials?: string;
  readonly namespace?: string | undefined;
  /** Where the installation's settings differ from the defaults. */
  readonly timings?: Partial<BusTimings>;
}

/** Connects once; the caller's work ends the connection. Throws when the server cannot be reached or refuses us. */
export async function visitBus<T>(address: BusAddress, work: (nc: NatsConnection) => Promise<T>): Promise<T> {
  const { url, credentials } = address;
  const nc = await connect({
    ...natsAddress(url),
    name: 'novax-command',
    timeout: 2000,
    maxReconnectAttempts: 0,
    reconnect: false,
    ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(new TextEncoder().encode(credentials)) }),
  });
  try {
    return await work(nc);
  } finally {
    await nc.close();
  }
}

/** Makes or mends both streams and every consumer that this release knows. A setting that a server cannot change is an INTERNAL error that names it. */
export async function repairBus(address: BusAddress, log: Logger): Promise<void> {
  await visitBus(address, async (nc) => {
    const jsm = await nc.jetstreamManager({ timeout: 2000 });
    const names = busNames(address.namespace);
    const timings = { ...defaultTimings, ...address.timings };
    for (const wanted of streamConfigs(names, timings)) {
      const found = await orNull(() => jsm.streams.info(wanted.name));
      // How many copies there are is the deployment's choice.
      await repairStream(jsm, { ...wanted, num_replicas: found?.config.num_replicas ?? timings.replicas }, log);
    }
    for (const [name, subjects] of Object.entries(durableConsumers)) {
      const wanted = consumerConfig({ name, subjects }, names, timings);
      await repairConsumer(jsm, { stream: names.events, wanted }, log);
    }
    await repairConsumer(jsm, { stream: names.deadLetters, wanted: deadLetterConsumerConfig(names, timings) }, log);
  });
}

/** Hands a message to one consumer again, and to nobody else. The same `messageId` within two minutes is stored once. Throws NOT_FOUND when there is no such consumer. */
export async function redeliver(
  address: BusAddress,
  message: {
    readonly consumer: string;
    readonly text: string;
    readonly messageId: string;
    readonly traceparent?: string;
  },
): Promise<void> {
  const { consumer, text, messageId, traceparent } = message;
  await visitBus(address, async (nc) => {
    const jsm = await nc.jetstreamManager({ timeout: 2000 });
    const names = busNames(address.namespace);
    if ((await orNull(() => jsm.consumers.info(names.events, consumer))) === null)
      throw new AppError('NOT_FOUND', { detail: `no consumer ${consumer}` });
    const head = headers();
    if (traceparent !== undefined) head.set('traceparent', traceparent);
    head.set('Novax-Replay-Of', messageId);
    const subject = names.subject(redeliverySubject(consumer));
    await nc.jetstream({ timeout: 5000 }).publish(subject, text, { msgID: messageId, headers: head });
  });
}
