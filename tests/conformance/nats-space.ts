/** A corner of the NATS server for one test: its own stream and subject names, removed afterwards. */
import { type BusOptions, connectBus } from '@novax/adapters/bus';
import { natsAddress } from '@novax/adapters/nats-address';
import { type BusNames, busNames } from '@novax/adapters/bus-config';
import type { EventBus } from '@novax/domain/ports';
import { connect, type JetStreamManager, type NatsConnection } from 'nats';
import { servers } from '../kit/servers.ts';
import { quiet, uniqueName } from './unique.ts';

export interface NatsSpace extends AsyncDisposable {
  readonly bus: EventBus;
  readonly names: BusNames;
  readonly namespace: string;
  /** A connection past the adapter, to look and to break things. */
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
}

/** A connected bus with its streams made. */
export async function testBus(options: Partial<BusOptions> = {}): Promise<NatsSpace> {
  const namespace = options.namespace ?? uniqueName();
  const names = busNames(namespace);
  const nc = await connect(natsAddress(servers().natsUrl));
  const jsm = await nc.jetstreamManager();
  const bus = await connectBus({ url: servers().natsUrl, log: quiet, ...options, namespace });
  await bus.ensureStreams();
  return {
    bus,
    names,
    namespace,
    nc,
    jsm,
    async [Symbol.asyncDispose]() {
      await bus.close();
      for (const stream of [names.events, names.deadLetters]) await jsm.streams.delete(stream).catch(() => false);
      await nc.close();
    },
  };
}
