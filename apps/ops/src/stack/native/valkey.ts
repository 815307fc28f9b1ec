/** The two Valkey servers of the native stack: one that keeps everything, one that forgets. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessSpec } from '../../supervisor/process-spec.ts';
import { redactUrl } from '../endpoints.ts';
import { checkRedis } from '../health.ts';
import type { Sandbox } from './sandbox.ts';
import { INFO_FD, sandboxArgs } from './sandbox.ts';

export interface ValkeyOptions {
  name: 'valkey-queue' | 'valkey-cache';
  sandbox: Sandbox;
  port: number;
  url: string;
  password: string;
  durable: boolean;
}

/** Queues, sessions and rate limits never lose a key to memory pressure; the cache holds at most 256 MB and nothing on disk. */
export function valkeyProcess(options: ValkeyOptions): ProcessSpec {
  const { name, sandbox } = options;
  return {
    step: 'process',
    name,
    kind: 'server',
    role: name === 'valkey-queue' ? 'queues and sessions' : 'cache',
    url: redactUrl(options.url),
    command: sandbox.bwrap,
    args: sandboxArgs(sandbox, ['/usr/bin/valkey-server', '/run/novax/valkey.conf'], { infoFd: true }),
    env: {},
    cwd: sandbox.run,
    pidFd: INFO_FD,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 10_000,
    readyTimeoutMs: 60_000,
    before: () => writeFile(join(sandbox.run, 'valkey.conf'), settings(options), { mode: 0o600 }),
    ready: () => checkRedis(options.url),
  };
}

function settings(options: ValkeyOptions): string {
  const keeps = options.name === 'valkey-queue';
  const lines = [
    'bind 127.0.0.1',
    `port ${options.port}`,
    'daemonize no',
    'dir /data',
    `requirepass ${options.password}`,
    'save ""',
    `appendonly ${keeps ? 'yes' : 'no'}`,
    `appendfsync ${options.durable ? 'everysec' : 'no'}`,
    ...(keeps ? ['maxmemory-policy noeviction'] : ['maxmemory 256mb', 'maxmemory-policy allkeys-lru']),
  ];
  return `${lines.join('\n')}\n`;
}
