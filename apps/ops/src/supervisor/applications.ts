/** The API and the workers as the supervisor runs them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StackContext, StackEndpoints } from '../stack/driver.ts';
import { checkHttp } from '../stack/health.ts';
import { leashArgs } from './child.ts';
import type { ProcessSpec } from './process-spec.ts';

export interface ApplicationPorts {
  host: string;
  api: number;
  apiMetrics: number;
  workersMetrics: number;
}

/** Addresses that a process has no business with are kept from it. */
const NOT_FOR_API = [
  'DATABASE_ADMIN_URL',
  'DATABASE_MIGRATOR_URL',
  'DATABASE_BACKUP_URL',
  'DATABASE_WORKER_URL',
  'DATABASE_READONLY_URL',
];
const NOT_FOR_WORKERS = ['DATABASE_ADMIN_URL', 'DATABASE_MIGRATOR_URL'];
/** Calls per minute on a developer's own machine, where imports and tests are the callers. */
const LOCAL_RATE_LIMITS = JSON.stringify({
  read: 100_000,
  write: 100_000,
  signIn: 1_000,
  address: 100_000,
  organization: 100_000,
});
/** Set by the user, these win over what the local stack made up. */
const USER_WINS = ['JWT_PRIVATE_KEYS', 'KEY_ENCRYPTION_KEY', 'AUDIT_SIGNING_KEY', 'STORAGE_DRIVER', 'STORAGE_DIR'];

/** API first, then workers. Each is ready when its /readyz says so. Script paths can be replaced by `NOVAX_API_MAIN` and `NOVAX_WORKERS_MAIN`. */
export function applications(context: StackContext, endpoints: StackEndpoints, ports: ApplicationPorts): ProcessSpec[] {
  const { checkout, env } = context;
  const shownHost = ports.host === '0.0.0.0' || ports.host === '::' ? '127.0.0.1' : ports.host;
  const apiUrl = `http://${shownHost.includes(':') ? `[${shownHost}]` : shownHost}:${ports.api}`;
  const workersUrl = `http://127.0.0.1:${ports.workersMetrics}`;
  const common = {
    step: 'process',
    kind: 'app',
    command: process.execPath,
    cwd: checkout,
    leash: true,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 25_000,
    readyTimeoutMs: 60_000,
  } as const;
  const main = (given: string | undefined, fallback: string): string[] => [
    '--disable-warning=ExperimentalWarning',
    ...leashArgs,
    given ?? join(checkout, fallback),
  ];
  return [
    {
      ...common,
      name: 'api',
      role: 'API',
      url: apiUrl,
      args: main(env['NOVAX_API_MAIN'], 'apps/api/src/main.ts'),
      env: {
        ...applicationEnv(context, endpoints, NOT_FOR_API),
        PORT: String(ports.api),
        HOST: ports.host,
        RATE_LIMITS: env['RATE_LIMITS'] ?? LOCAL_RATE_LIMITS,
        METRICS_PORT: String(ports.apiMetrics),
        // Callers come straight to it: nobody has to hear first that it leaves.
        SHUTDOWN_DELAY_MS: env['SHUTDOWN_DELAY_MS'] ?? '0',
        PUBLIC_URL: env['PUBLIC_URL'] ?? apiUrl,
      },
      ready: (signal) => checkHttp(`${apiUrl}/readyz`, signal),
    },
    {
      ...common,
      name: 'workers',
      role: 'relay, jobs, schedules, mail, seals',
      url: workersUrl,
      args: main(env['NOVAX_WORKERS_MAIN'], 'apps/workers/src/main.ts'),
      env: {
        ...applicationEnv(context, endpoints, NOT_FOR_WORKERS),
        METRICS_PORT: String(ports.workersMetrics),
        PUBLIC_URL: env['PUBLIC_URL'] ?? apiUrl,
        ...mailFolder(context),
      },
      ready: (signal) => checkHttp(`${workersUrl}/readyz`, signal),
    },
  ];
}

/** Where the local stack's mails lie, unless the user has named a server or another folder for them. */
export function mailFolder({ env, dir }: Pick<StackContext, 'env' | 'dir'>): { MAIL_DIR?: string } {
  const named = ['SMTP_URL', 'SMTP_URL_FILE', 'MAIL_DIR', 'MAIL_DIR_FILE'].some((name) => (env[name] ?? '') !== '');
  return named ? {} : { MAIL_DIR: join(dir, 'mail') };
}

/** The user's environment with the stack's addresses over it, without the addresses of `withheld`. */
function applicationEnv(
  context: StackContext,
  endpoints: StackEndpoints,
  withheld: readonly string[],
): Record<string, string> {
  const { env, dir } = context;
  const cache = join(dir, 'cache', 'node');
  mkdirSync(cache, { recursive: true });
  const merged: Record<string, string | undefined> = { NODE_ENV: 'development', ...env, NODE_COMPILE_CACHE: cache };
  for (const [name, value] of Object.entries(endpoints)) {
    const userSet = env[name] !== undefined || env[`${name}_FILE`] !== undefined;
    if (!(userSet && USER_WINS.includes(name))) merged[name] = value;
  }
  const kept = Object.entries(merged).flatMap(([name, value]) =>
    value === undefined || withheld.includes(name.replace(/_FILE$/, '')) ? [] : [[name, value] as const],
  );
  return Object.fromEntries(kept);
}
