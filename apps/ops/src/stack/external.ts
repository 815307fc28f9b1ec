/** Servers that somebody else runs: every address comes from the environment. */
import { join } from 'node:path';
import { loadConfig } from './config.ts';
import type { Detection, PlannedStack, ServiceStatus, StackContext, StackDriver, StackEndpoints } from './driver.ts';
import { redactUrl } from './endpoints.ts';
import { checkNats, checkPostgres, checkRedis } from './health.ts';

const REQUIRED = [
  'DATABASE_URL',
  'DATABASE_WORKER_URL',
  'DATABASE_AI_URL',
  'DATABASE_MIGRATOR_URL',
  'QUEUE_REDIS_URL',
  'CACHE_REDIS_URL',
  'NATS_URL',
] as const;
const OPTIONAL = [
  'DATABASE_READONLY_URL',
  'DATABASE_BACKUP_URL',
  'DATABASE_ADMIN_URL',
  'NATS_MONITOR_URL',
  'MEILI_URL',
  'MEILI_MASTER_KEY',
  'S3_ENDPOINT',
  'S3_REGION',
  'S3_BUCKET',
  'S3_ACCESS_KEY_ID',
  'S3_SECRET_ACCESS_KEY',
] as const;

export const externalDriver: StackDriver = {
  name: 'external',
  detect: async (context): Promise<Detection> => {
    const missing = REQUIRED.filter((name) => !context.env[name]);
    if (missing.length === 0) return { possible: true, reason: 'every address is set in the environment' };
    return { possible: false, reason: `an external stack needs ${missing.join(', ')} in the environment` };
  },
  prepare: async () => undefined,
  plan: async (context): Promise<PlannedStack> => {
    const endpoints = await externalEndpoints(context);
    return {
      endpoints,
      processes: [],
      steps: [{ step: 'task', name: 'external servers', run: () => checkAll(endpoints) }],
      services: () => statuses(endpoints),
      stop: async () => undefined,
    };
  },
  reset: async () => {
    throw new Error('these servers belong to somebody else; their data is not deleted from here');
  },
};

async function externalEndpoints(context: StackContext): Promise<StackEndpoints> {
  const { env, dir } = context;
  const { secrets } = await loadConfig(dir);
  const read = (name: (typeof REQUIRED)[number]): string => {
    const value = env[name];
    if (!value) throw new Error(`an external stack needs ${name} in the environment`);
    return value;
  };
  const optional = Object.fromEntries(OPTIONAL.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
  return {
    DATABASE_URL: read('DATABASE_URL'),
    DATABASE_WORKER_URL: read('DATABASE_WORKER_URL'),
    DATABASE_AI_URL: read('DATABASE_AI_URL'),
    DATABASE_MIGRATOR_URL: read('DATABASE_MIGRATOR_URL'),
    QUEUE_REDIS_URL: read('QUEUE_REDIS_URL'),
    CACHE_REDIS_URL: read('CACHE_REDIS_URL'),
    NATS_URL: read('NATS_URL'),
    STORAGE_DRIVER: env['STORAGE_DRIVER'] === 's3' ? 's3' : 'fs',
    STORAGE_DIR: env['STORAGE_DIR'] ?? join(dir, 'data', 'storage'),
    JWT_PRIVATE_KEYS: env['JWT_PRIVATE_KEYS'] ?? secrets.jwtPrivateKeys,
    KEY_ENCRYPTION_KEY: env['KEY_ENCRYPTION_KEY'] ?? secrets.keyEncryptionKey,
    AUDIT_SIGNING_KEY: env['AUDIT_SIGNING_KEY'] ?? secrets.auditSigningKey,
    ...optional,
  };
}

interface Check {
  name: string;
  role: string;
  url: string;
  check: () => Promise<void>;
}

/** The database is asked as its administrator where one is given: roles may not exist before the bootstrap. */
function checks(endpoints: StackEndpoints): Check[] {
  const admin = endpoints.DATABASE_ADMIN_URL ?? endpoints.DATABASE_MIGRATOR_URL;
  return [
    { name: 'postgres', role: 'database', url: endpoints.DATABASE_URL, check: () => checkPostgres(admin) },
    {
      name: 'valkey-queue',
      role: 'queues and sessions',
      url: endpoints.QUEUE_REDIS_URL,
      check: () => checkRedis(endpoints.QUEUE_REDIS_URL),
    },
    {
      name: 'valkey-cache',
      role: 'cache',
      url: endpoints.CACHE_REDIS_URL,
      check: () => checkRedis(endpoints.CACHE_REDIS_URL),
    },
    { name: 'nats', role: 'event streams', url: endpoints.NATS_URL, check: () => checkNats(endpoints.NATS_URL) },
  ];
}

async function checkAll(endpoints: StackEndpoints): Promise<void> {
  for (const { name, url, check } of checks(endpoints)) {
    await check().catch((cause: unknown) => {
      throw new Error(
        `${name} at ${redactUrl(url)} does not answer: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    });
  }
}

function statuses(endpoints: StackEndpoints): Promise<ServiceStatus[]> {
  return Promise.all(
    checks(endpoints).map(async ({ name, role, url, check }): Promise<ServiceStatus> => {
      const state = await check().then(
        () => 'ready' as const,
        () => 'failed' as const,
      );
      return {
        name,
        kind: 'server',
        role,
        url: redactUrl(url),
        pid: null,
        logFile: null,
        state,
        restarts: 0,
        startedAt: null,
      };
    }),
  );
}
