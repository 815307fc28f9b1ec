/** Addresses of a stack's servers: made from its configuration, kept for other commands, shown without secrets. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StackConfig } from './config.ts';
import { isMissing, writeJsonAtomically } from './config.ts';
import type { StackEndpoints } from './driver.ts';

export const DATABASE_NAME = 'novax';
const NATS_USER = 'novax';

/** Endpoints of servers on this machine's loopback, by the ports and secrets of `config`. */
export function loopbackEndpoints(config: StackConfig, dir: string): StackEndpoints {
  const { secrets, ports } = config;
  const database = (role: keyof typeof secrets.database): string =>
    `postgresql://${role}:${secrets.database[role]}@127.0.0.1:${portOf(ports, 'postgres')}/${role === 'novax_admin' ? 'postgres' : DATABASE_NAME}`;
  return {
    DATABASE_URL: database('novax_api'),
    DATABASE_WORKER_URL: database('novax_worker'),
    DATABASE_AI_URL: database('novax_ai'),
    DATABASE_MIGRATOR_URL: database('novax_migrator'),
    DATABASE_READONLY_URL: database('novax_readonly'),
    DATABASE_BACKUP_URL: database('novax_backup'),
    DATABASE_ADMIN_URL: database('novax_admin'),
    QUEUE_REDIS_URL: `redis://default:${secrets.queueRedis}@127.0.0.1:${portOf(ports, 'valkey-queue')}`,
    CACHE_REDIS_URL: `redis://default:${secrets.cacheRedis}@127.0.0.1:${portOf(ports, 'valkey-cache')}`,
    NATS_URL: `nats://${NATS_USER}:${secrets.nats}@127.0.0.1:${portOf(ports, 'nats')}`,
    NATS_MONITOR_URL: `http://127.0.0.1:${portOf(ports, 'nats-monitor')}`,
    STORAGE_DRIVER: 'fs',
    STORAGE_DIR: join(dir, 'data', 'storage'),
    JWT_PRIVATE_KEYS: secrets.jwtPrivateKeys,
    KEY_ENCRYPTION_KEY: secrets.keyEncryptionKey,
    AUDIT_SIGNING_KEY: secrets.auditSigningKey,
  };
}

/** The port chosen for `name`; 0 when the stack does not hold that server. */
export function portOf(ports: StackConfig['ports'], name: string): number {
  return ports[name] ?? 0;
}

/** The address without user, password and query, for people and logs; the text itself when it is no URL. */
export function redactUrl(url: string): string {
  if (!URL.canParse(url)) return '(unreadable address)';
  const parsed = new URL(url);
  const path = parsed.pathname === '/' ? '' : parsed.pathname;
  return `${parsed.protocol}//${parsed.host}${path}`;
}

const endpointsPath = (dir: string): string => join(dir, 'run', 'endpoints.json');

/** Keeps the endpoints of the stack that starts now for commands that run beside it. Mode 600. */
export async function saveEndpoints(dir: string, endpoints: StackEndpoints): Promise<void> {
  await writeJsonAtomically(endpointsPath(dir), endpoints, 0o600);
}

/** Endpoints of the stack started last in `dir`, or undefined when none ever was. */
export async function readEndpoints(dir: string): Promise<StackEndpoints | undefined> {
  try {
    // Written by `saveEndpoints` alone, in a file of ours with mode 600.
    return JSON.parse(await readFile(endpointsPath(dir), 'utf8')) as StackEndpoints;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
