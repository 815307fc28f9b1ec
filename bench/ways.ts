/** Ways from a commit to the stream, for `latency.ts`. */
import { randomBytes } from 'node:crypto';
import { connectBus } from '@novax/adapters/bus';
import { busNames } from '@novax/adapters/bus-config';
import { wakeSubject } from '@novax/contracts/events/envelope';
import { createLogger } from '@novax/runtime/log';
import type { NatsConnection } from 'nats';
import { startProcess } from '../tests/kit/faults/processes.ts';
import type { BenchDatabase } from './database.ts';

export interface LatencyBench {
  readonly database: BenchDatabase;
  readonly nc: NatsConnection;
  readonly natsUrl: string;
  readonly queueUrl: string;
  readonly namespace: string;
}

/** Under way; ends when disposed. */
export interface Way extends AsyncDisposable {
  readonly name: string;
  /** To be called when the events with these numbers are committed. */
  committed(first: number, count: number): void;
}

/** The outbox: a relay in a process of its own is told, and claims what is there. */
export async function byRelay(bench: LatencyBench): Promise<Way> {
  const relay = await startProcess({
    script: 'apps/workers/src/main.ts',
    env: {
      DATABASE_WORKER_URL: bench.database.workerUrl,
      QUEUE_REDIS_URL: bench.queueUrl,
      NATS_URL: bench.natsUrl,
      NATS_NAMESPACE: bench.namespace,
      AUDIT_SIGNING_KEY: randomBytes(32).toString('base64'),
      WORKER_ROLES: 'relay',
      METRICS_PORT: 0,
    },
    ready: /"working"/,
  });
  const { subject } = busNames(bench.namespace);
  return {
    name: `relay ${relay.pid}`,
    committed: () => bench.nc.publish(subject(wakeSubject)),
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
}

/** No outbox: the writer publishes what it has committed, and loses it when it dies between. Nothing can be sooner on the same machine. */
export async function byWriter(bench: LatencyBench): Promise<Way> {
  const log = createLogger({ name: 'bench', level: 'warn' });
  const bus = await connectBus({ url: bench.natsUrl, namespace: bench.namespace, log });
  const type = 'document.updated';
  // As long as an envelope of the other way.
  const pad = 'x'.repeat(420);
  return {
    name: 'published by the writer, no outbox',
    committed(first, count) {
      for (let n = first; n < first + count; n++) {
        const id = `writer-${n}`;
        const body = JSON.stringify({ id, type, aggregate: { type: 'document', version: n }, payload: { pad } });
        bus.send({ id, type, traceparent: null, body }, () => undefined);
      }
    },
    [Symbol.asyncDispose]: () => bus.close(),
  };
}
