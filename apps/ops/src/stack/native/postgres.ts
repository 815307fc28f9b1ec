/** PostgreSQL of the native stack: cluster, settings, and the process. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessSpec } from '../../supervisor/process-spec.ts';
import { checkPostgres } from '../health.ts';
import { redactUrl } from '../endpoints.ts';
import { clearLeftovers } from './leftovers.ts';
import { runProgram } from './run-program.ts';
import type { Sandbox } from './sandbox.ts';
import { INFO_FD, sandboxArgs } from './sandbox.ts';

export const ADMIN = 'novax_admin';
const BIN = '/usr/lib/postgresql/17/bin';
const SETTINGS_FILE = 'novax.conf';

export interface PostgresOptions {
  sandbox: Sandbox;
  port: number;
  adminUrl: string;
  adminPassword: string;
  durable: boolean;
  signal: AbortSignal;
}

/** The process; before each start the cluster is made if missing, settings are written and a lock file of a dead server is removed. */
export function postgresProcess(options: PostgresOptions): ProcessSpec {
  const { sandbox } = options;
  return {
    step: 'process',
    name: 'postgres',
    kind: 'server',
    role: 'database',
    url: redactUrl(options.adminUrl).replace(/\/postgres$/, '/novax'),
    command: sandbox.bwrap,
    args: sandboxArgs(sandbox, [`${BIN}/postgres`, '-D', '/data/cluster'], { infoFd: true }),
    env: {},
    cwd: sandbox.run,
    pidFd: INFO_FD,
    // SIGINT is PostgreSQL's fast shutdown: sessions are ended, nothing is lost.
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    readyTimeoutMs: 60_000,
    before: async () => {
      await ensureCluster(options);
      await writeSettings(options);
      await ensureAdminPassword(options);
    },
    ready: () => checkPostgres(options.adminUrl),
  };
}

/** Made beside its place and renamed when initdb has finished, so a half-made cluster is never started. */
async function ensureCluster(options: PostgresOptions): Promise<void> {
  const { sandbox } = options;
  const cluster = join(sandbox.data, 'cluster');
  if (existsSync(join(cluster, 'PG_VERSION'))) return clearLeftovers(cluster);
  const partial = join(sandbox.data, 'cluster.partial');
  await rm(partial, { recursive: true, force: true });
  const passwordFile = join(sandbox.run, 'initial-password');
  await writeFile(passwordFile, `${options.adminPassword}\n`, { mode: 0o600 });
  const initdb = [
    `${BIN}/initdb`,
    '-D',
    '/data/cluster.partial',
    '-U',
    ADMIN,
    '--pwfile=/run/novax/initial-password',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--data-checksums',
    '--no-instructions',
    ...(options.durable ? [] : ['--no-sync']),
  ];
  try {
    await runProgram(sandbox.bwrap, sandboxArgs(sandbox, initdb), { signal: options.signal });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await appendFile(join(partial, 'postgresql.conf'), `\ninclude_if_exists = '${SETTINGS_FILE}'\n`);
  await mkdir(sandbox.data, { recursive: true });
  await writeFile(passwordStamp(sandbox), digest(options.adminPassword), { mode: 0o600 });
  await rename(partial, cluster);
}

async function writeSettings(options: PostgresOptions): Promise<void> {
  const settings: Record<string, string> = {
    'listen_addresses': "'127.0.0.1'",
    'port': String(options.port),
    'unix_socket_directories': "'/run/novax'",
    'max_connections': options.durable ? '100' : '200',
    'shared_preload_libraries': "'timescaledb,pg_stat_statements'",
    'shared_buffers': "'256MB'",
    'work_mem': "'8MB'",
    'maintenance_work_mem': "'128MB'",
    'effective_cache_size': "'1GB'",
    'random_page_cost': '1.1',
    'max_wal_size': "'1GB'",
    'max_worker_processes': '16',
    'max_parallel_workers': '2',
    // pgvector before 0.8.4 can build a broken HNSW index with parallel workers.
    'max_parallel_maintenance_workers': '0',
    'jit': 'off',
    'huge_pages': 'off',
    'timezone': "'UTC'",
    'log_timezone': "'UTC'",
    'log_line_prefix': "'%m [%p] %q%u@%d '",
    'log_lock_waits': 'on',
    'log_min_duration_statement': "'2s'",
    'password_encryption': "'scram-sha-256'",
    'timescaledb.telemetry_level': 'off',
    'timescaledb.max_background_workers': '4',
    'fsync': options.durable ? 'on' : 'off',
    'synchronous_commit': options.durable ? 'on' : 'off',
    'full_page_writes': options.durable ? 'on' : 'off',
  };
  const text = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(
    join(options.sandbox.data, 'cluster', SETTINGS_FILE),
    ['# Written at every start of the local stack.\n', ...text].join(''),
    { mode: 0o600 },
  );
}

/** After `config.json` was lost the data is still there: the administrator gets the password that is now written in it. */
async function ensureAdminPassword(options: PostgresOptions): Promise<void> {
  const { sandbox, adminPassword } = options;
  const stamp = await readFile(passwordStamp(sandbox), 'utf8').catch(() => '');
  if (stamp === digest(adminPassword)) return;
  const single = [
    `${BIN}/postgres`,
    '--single',
    '-D',
    '/data/cluster',
    '-c',
    'shared_preload_libraries=',
    '-c',
    'log_min_messages=fatal',
    'postgres',
  ];
  await runProgram(sandbox.bwrap, sandboxArgs(sandbox, single), {
    signal: options.signal,
    input: `ALTER ROLE ${ADMIN} PASSWORD '${adminPassword}'\n`,
  });
  await writeFile(passwordStamp(sandbox), digest(adminPassword), { mode: 0o600 });
}

const passwordStamp = (sandbox: Sandbox): string => join(sandbox.data, 'admin-password.sha256');
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
