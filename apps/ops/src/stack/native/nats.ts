/** NATS with JetStream, of the native stack. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessSpec } from '../../supervisor/process-spec.ts';
import { redactUrl } from '../endpoints.ts';
import { checkHttp, checkNats } from '../health.ts';
import type { Sandbox } from './sandbox.ts';
import { INFO_FD, sandboxArgs } from './sandbox.ts';

export interface NatsOptions {
  sandbox: Sandbox;
  port: number;
  monitorPort: number;
  /** With user and password. */
  url: string;
  monitorUrl: string;
  durable: boolean;
}

/** Collects garbage a quarter as often as Go would by itself, within bounds: a third off the p99 of a publish (measured at 2,000 events/s). */
const collector = ['GOGC=400', 'GOMEMLIMIT=384MiB'];

/** A single server whose streams are synced to disk at every write; ready when it accepts our login and JetStream is enabled. */
export function natsProcess(options: NatsOptions): ProcessSpec {
  const { sandbox } = options;
  return {
    step: 'process',
    name: 'nats',
    kind: 'server',
    role: 'event streams',
    url: redactUrl(options.url),
    command: sandbox.bwrap,
    args: sandboxArgs(sandbox, ['/usr/bin/env', ...collector, '/usr/sbin/nats-server', '-c', '/run/novax/nats.conf'], {
      infoFd: true,
    }),
    env: {},
    cwd: sandbox.run,
    pidFd: INFO_FD,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 10_000,
    readyTimeoutMs: 60_000,
    before: () => writeFile(join(sandbox.run, 'nats.conf'), settings(options), { mode: 0o600 }),
    ready: async (signal) => {
      await checkNats(options.url);
      await checkHttp(`${options.monitorUrl}/healthz?js-enabled-only=true`, signal);
    },
  };
}

function settings(options: NatsOptions): string {
  const { username, password } = new URL(options.url);
  return [
    'server_name: novax',
    `listen: "127.0.0.1:${options.port}"`,
    `http: "127.0.0.1:${options.monitorPort}"`,
    `authorization { user: ${JSON.stringify(username)}, password: ${JSON.stringify(password)} }`,
    'jetstream {',
    '  store_dir: "/data"',
    '  max_memory_store: 64MB',
    '  max_file_store: 10GB',
    // The default syncs every two minutes: a power cut would lose acknowledged events.
    ...(options.durable ? ['  sync_interval: always'] : []),
    '}',
    '',
  ].join('\n');
}
