/** Runs Docker Compose on this repository's files, as a project of its own for each state folder. */
import { createHash } from 'node:crypto';
import { devNull } from 'node:os';
import { join } from 'node:path';
import type { StackConfig } from '../config.ts';
import type { ServiceName, StackContext } from '../driver.ts';
import { runProgram } from '../native/run-program.ts';
import type { RunOptions } from '../native/run-program.ts';

/** Variables of docker-compose.local.yml that hold a published port. */
const PORT_VARIABLES: Readonly<Record<string, string>> = {
  'postgres': 'NOVAX_POSTGRES_PORT',
  'pgbouncer': 'NOVAX_PGBOUNCER_PORT',
  'valkey-queue': 'NOVAX_VALKEY_QUEUE_PORT',
  'valkey-cache': 'NOVAX_VALKEY_CACHE_PORT',
  'nats': 'NOVAX_NATS_PORT',
  'nats-monitor': 'NOVAX_NATS_MONITOR_PORT',
  'meilisearch': 'NOVAX_MEILISEARCH_PORT',
  's3': 'NOVAX_S3_PORT',
};

/** Services that only run with a profile of docker-compose.yml. */
const PROFILES = { meilisearch: 'search', s3: 'objects' } as const;
export type OptionalService = keyof typeof PROFILES;
export const OPTIONAL_SERVICES: readonly OptionalService[] = ['meilisearch', 's3'];

/** What the user asked for by COMPOSE_PROFILES; without it every service is wanted. */
export function isWanted(context: Pick<StackContext, 'env' | 'only'>, service: ServiceName): boolean {
  if (context.only) return context.only.includes(service);
  const profiles = context.env['COMPOSE_PROFILES'];
  const profile: string | undefined = service === 'meilisearch' || service === 's3' ? PROFILES[service] : undefined;
  return profile === undefined || profiles === undefined || profiles.split(',').includes(profile);
}

/** Two state folders are two stacks: containers, networks and volumes carry different names. */
export function projectName(dir: string): string {
  return `novax-${createHash('sha256').update(dir).digest('hex').slice(0, 8)}`;
}

/** Settings of both compose files, from the stack's own configuration; the user's own variables (base images, memory, engine) stay. */
export function composeEnvironment(context: StackContext, config: StackConfig): Record<string, string | undefined> {
  const { secrets } = config;
  const ports = Object.entries(config.ports).flatMap(([name, port]): [string, string][] => {
    const variable = PORT_VARIABLES[name];
    return variable === undefined ? [] : [[variable, String(port)]];
  });
  return {
    ...context.env,
    COMPOSE_PROFILES: Object.values(PROFILES).join(','),
    NOVAX_DURABLE: context.durable ? 'on' : 'off',
    NOVAX_ADMIN_PASSWORD: secrets.database.novax_admin,
    NOVAX_API_PASSWORD: secrets.database.novax_api,
    NOVAX_WORKER_PASSWORD: secrets.database.novax_worker,
    NOVAX_AI_PASSWORD: secrets.database.novax_ai,
    NOVAX_MIGRATOR_PASSWORD: secrets.database.novax_migrator,
    NOVAX_READONLY_PASSWORD: secrets.database.novax_readonly,
    NOVAX_BACKUP_PASSWORD: secrets.database.novax_backup,
    NOVAX_QUEUE_PASSWORD: secrets.queueRedis,
    NOVAX_CACHE_PASSWORD: secrets.cacheRedis,
    NOVAX_NATS_PASSWORD: secrets.nats,
    MEILI_MASTER_KEY: secrets.meiliMasterKey,
    S3_ACCESS_KEY_ID: secrets.s3AccessKeyId,
    S3_SECRET_ACCESS_KEY: secrets.s3SecretAccessKey,
    JWT_PRIVATE_KEYS: secrets.jwtPrivateKeys,
    KEY_ENCRYPTION_KEY: secrets.keyEncryptionKey,
    AUDIT_SIGNING_KEY: secrets.auditSigningKey,
    ...Object.fromEntries(ports),
  };
}

/** `docker compose <args>` with this project's files and settings. An `.env` of the checkout belongs to whoever runs everything in containers and is not read. */
export function compose(
  context: StackContext,
  config: StackConfig,
  run: { args: readonly string[] } & Partial<RunOptions>,
): Promise<string> {
  const { args, ...options } = run;
  const files = ['docker-compose.yml', 'docker-compose.local.yml'].flatMap((file) => [
    '--file',
    join(context.checkout, file),
  ]);
  const project = [
    '--project-name',
    projectName(context.dir),
    '--project-directory',
    context.checkout,
    '--env-file',
    devNull,
  ];
  return runProgram('docker', ['compose', ...project, ...files, '--progress', 'plain', ...args], {
    signal: context.signal,
    ...options,
    env: composeEnvironment(context, config),
  });
}
