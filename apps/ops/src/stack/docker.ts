/** Servers in containers: docker-compose.yml with loopback ports from docker-compose.local.yml. */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskSpec } from '../supervisor/process-spec.ts';
import type { StackConfig } from './config.ts';
import { loadConfig, readConfig, saveConfig } from './config.ts';
import { compose, isWanted, projectName } from './docker/compose.ts';
import { ensureImages, leftOutServices } from './docker/images.ts';
import type {
  Detection,
  PlannedStack,
  ServiceName,
  ServiceStatus,
  StackContext,
  StackDriver,
  StackEndpoints,
} from './driver.ts';
import { loopbackEndpoints, portOf, redactUrl } from './endpoints.ts';
import { runProgram } from './native/run-program.ts';
import { choosePorts } from './ports.ts';

const ROLES: Readonly<Record<ServiceName, string>> = {
  'postgres': 'database',
  'valkey-queue': 'queues and sessions',
  'valkey-cache': 'cache',
  'nats': 'event streams',
  'pgbouncer': 'connection pool',
  'meilisearch': 'search engine',
  's3': 'object store',
};
// The order of the table is the order in which people see the servers; its keys are exactly the service names.
const SERVERS = Object.keys(ROLES) as ServiceName[];
const DETECT_TIMEOUT_MS = 900;
const READY_TIMEOUT_S = 180;
const STOP_TIMEOUT_MS = 120_000;
const BUCKET = 'novax';

export const dockerDriver: StackDriver = { name: 'docker', detect, prepare, plan, reset };

async function detect(context: StackContext): Promise<Detection> {
  const ask = (args: string[]): Promise<string> =>
    runProgram('docker', args, { signal: AbortSignal.timeout(DETECT_TIMEOUT_MS), env: context.env });
  const [engine, plugin] = await Promise.allSettled([
    ask(['version', '--format', '{{.Server.Version}}']),
    ask(['compose', 'version', '--short']),
  ]);
  if (engine.status === 'rejected') return { possible: false, reason: 'no container engine answers' };
  if (plugin.status === 'rejected')
    return { possible: false, reason: `engine ${engine.value.trim()} answers, but Docker Compose is not installed` };
  const [major = 0, minor = 0] = plugin.value.trim().replace(/^v/, '').split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 20))
    return { possible: false, reason: `Docker Compose is ${plugin.value.trim()}; 2.20 or newer is needed` };
  return { possible: true, reason: `engine ${engine.value.trim()} answers` };
}

async function prepare(context: StackContext): Promise<void> {
  await mkdir(context.dir, { recursive: true });
  await ensureImages(context, await loadConfig(context.dir));
}

async function plan(context: StackContext): Promise<PlannedStack> {
  const config = await loadConfig(context.dir);
  const leftOut: readonly ServiceName[] = await leftOutServices(context.dir);
  const wanted = SERVERS.filter((name) => isWanted(context, name) && !leftOut.includes(name));
  // A container of ours that survived its supervisor keeps its port: the port is taken, but by ourselves.
  const running = new Set(
    (await containers(context))
      .filter(({ state }) => state === 'ready' || state === 'starting')
      .map(({ name }) => name),
  );
  const names = wanted
    .filter((name) => !running.has(name))
    .flatMap((name): string[] => (name === 'nats' ? ['nats', 'nats-monitor'] : [name]));
  await choosePorts(names, { config, log: context.log, ephemeral: !context.durable });
  await saveConfig(context.dir, config);
  await mkdir(join(context.dir, 'data', 'storage'), { recursive: true });
  const endpoints = containerEndpoints(config, context.dir, wanted);
  return {
    endpoints,
    processes: [],
    steps: [startTask(context, config, wanted), ...(wanted.includes('s3') ? [bucketTask(context, endpoints)] : [])],
    services: async () => (await containers(context)).map((status) => ({ ...status, url: urlOf(status.name, config) })),
    stop: async () => {
      await compose(context, config, {
        args: ['down', '--timeout', '30'],
        signal: AbortSignal.timeout(STOP_TIMEOUT_MS),
      });
    },
  };
}

/** The usual loopback addresses, with those of the servers that only this stack has. Only `DATABASE_URL` leads through the pool. */
function containerEndpoints(config: StackConfig, dir: string, wanted: readonly ServiceName[]): StackEndpoints {
  const endpoints = loopbackEndpoints(config, dir);
  const { ports, secrets } = config;
  if (wanted.includes('pgbouncer')) {
    const pooled = new URL(endpoints.DATABASE_URL);
    pooled.port = String(portOf(ports, 'pgbouncer'));
    endpoints.DATABASE_URL = pooled.href;
  }
  return {
    ...endpoints,
    ...(wanted.includes('meilisearch')
      ? { MEILI_URL: `http://127.0.0.1:${portOf(ports, 'meilisearch')}`, MEILI_MASTER_KEY: secrets.meiliMasterKey }
      : {}),
    ...(wanted.includes('s3')
      ? {
          STORAGE_DRIVER: 's3',
          S3_ENDPOINT: `http://127.0.0.1:${portOf(ports, 's3')}`,
          S3_REGION: 'us-east-1',
          S3_BUCKET: BUCKET,
          S3_ACCESS_KEY_ID: secrets.s3AccessKeyId,
          S3_SECRET_ACCESS_KEY: secrets.s3SecretAccessKey,
        }
      : {}),
  };
}

function startTask(context: StackContext, config: StackConfig, wanted: readonly ServiceName[]): TaskSpec {
  return {
    step: 'task',
    name: 'containers',
    run: async (signal) => {
      const args = ['up', '--detach', '--no-build', '--wait', '--wait-timeout', String(READY_TIMEOUT_S), ...wanted];
      await compose(context, config, {
        args,
        signal,
        onLine: (line) => context.log.progress(`containers: ${line.trim().slice(0, 80)}`),
      });
    },
  };
}

function bucketTask(context: StackContext, endpoints: StackEndpoints): TaskSpec {
  return {
    step: 'task',
    name: 'object store bucket',
    run: async (signal) => {
      const { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = endpoints;
      const script = join(context.checkout, 'infra', 'images', 'app', 'ensure-bucket.mjs');
      await runProgram(process.execPath, [script], {
        signal,
        env: { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY },
      });
    },
  };
}

/** What the engine says about this project's containers, in the usual order. */
async function containers(context: StackContext): Promise<(ServiceStatus & { name: ServiceName })[]> {
  const ask = (args: string[]): Promise<string> =>
    runProgram('docker', args, { signal: AbortSignal.timeout(10_000), env: context.env });
  const ids = (
    await ask(['ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${projectName(context.dir)}`])
  )
    .split('\n')
    .filter((id) => id !== '');
  if (ids.length === 0) return [];
  const format =
    '{{index .Config.Labels "com.docker.compose.service"}}|{{.State.Status}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{.RestartCount}}|{{.State.StartedAt}}|{{.State.ExitCode}}';
  const lines = (await ask(['inspect', '--format', format, ...ids])).trim().split('\n');
  const found = lines.flatMap((line): (ServiceStatus & { name: ServiceName })[] => {
    const [service = '', state = '', health = '', restarts = '0', startedAt = '', exitCode = '0'] = line.split('|');
    const name = SERVERS.find((server) => server === service);
    if (!name) return [];
    return [
      {
        name,
        kind: 'server',
        role: ROLES[name],
        url: null,
        pid: null,
        logFile: null,
        state: stateOf(state, health, Number(exitCode)),
        restarts: Number(restarts),
        startedAt: state === 'running' ? startedAt : null,
      },
    ];
  });
  return found.toSorted((a, b) => SERVERS.indexOf(a.name) - SERVERS.indexOf(b.name));
}

/** The engine's two words for a container as one of ours. */
function stateOf(state: string, health: string, exitCode: number): ServiceStatus['state'] {
  if (state === 'running') return health === 'healthy' ? 'ready' : health === 'unhealthy' ? 'failed' : 'starting';
  if (state === 'restarting') return 'restarting';
  if (state === 'created') return 'starting';
  if (state === 'exited') return exitCode === 0 ? 'stopped' : 'failed';
  return 'unknown';
}

function urlOf(name: ServiceName, config: StackConfig): string {
  const scheme = {
    'postgres': 'postgresql',
    'pgbouncer': 'postgresql',
    'nats': 'nats',
    'meilisearch': 'http',
    's3': 'http',
    'valkey-queue': 'redis',
    'valkey-cache': 'redis',
  }[name];
  const path = scheme === 'postgresql' ? '/novax' : '';
  return redactUrl(`${scheme}://127.0.0.1:${portOf(config.ports, name)}${path}`);
}

async function reset(context: StackContext, options: { all: boolean }): Promise<string[]> {
  const deleted: string[] = [];
  const config = await readConfig(context.dir);
  if (config) {
    await compose(context, config, {
      args: ['down', '--volumes', '--timeout', '10', ...(options.all ? ['--rmi', 'all'] : [])],
    });
    deleted.push(`containers and volumes of the project ${projectName(context.dir)}`);
    if (options.all) deleted.push('images of the servers');
  }
  for (const path of ['data', 'run', 'docker-images.json'].map((name) => join(context.dir, name))) {
    if (!existsSync(path)) continue;
    await rm(path, { recursive: true, force: true });
    deleted.push(path);
  }
  return deleted;
}
