/** What docker-compose.yml and the images promise; with an engine that holds the images, the docker stack itself. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Yaml } from 'cdk8s';
import pg from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { dockerDriver } from '../../apps/ops/src/stack/docker.ts';
import { projectName } from '../../apps/ops/src/stack/docker/compose.ts';
import type { StackContext } from '../../apps/ops/src/stack/driver.ts';
import { checkNats, checkRedis } from '../../apps/ops/src/stack/health.ts';
import { startServers } from '../../apps/ops/src/stack/servers.ts';

const run = promisify(execFile);
const checkout = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): Promise<string> => readFile(join(checkout, path), 'utf8');

interface Service {
  image: string;
  build?: { context: string; dockerfile?: string; args: Record<string, string> };
  command?: string[];
  environment?: Record<string, string | null>;
  ports?: string[];
  networks?: string[];
  restart?: string;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  mem_limit?: string;
  profiles?: string[];
  healthcheck?: { disable: boolean };
}
interface ComposeFile {
  'version'?: string;
  'services': Record<string, Service>;
  'networks': Record<string, { internal?: boolean } | null>;
  'x-app-environment': Record<string, string | null>;
}

// The assertions below check every part that they use.
const file = Yaml.load(join(checkout, 'docker-compose.yml'))[0] as ComposeFile;
const local = Yaml.load(join(checkout, 'docker-compose.local.yml'))[0] as ComposeFile;
const services = Object.entries(file.services);
const ONE_SHOT = ['migrate', 's3-bucket'];
const SERVERS = ['postgres', 'valkey-queue', 'valkey-cache', 'nats', 'pgbouncer', 'meilisearch', 's3'];

describe('the compose file', () => {
  test('runs the servers, the migration, the API and the workers', () => {
    expect(services.map(([name]) => name).toSorted()).toEqual([...SERVERS, ...ONE_SHOT, 'api', 'workers'].toSorted());
    expect(file.version).toBeUndefined();
  });

  test('publishes the API and nothing else, on loopback unless told otherwise', () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`));
    expect(published).toEqual(['api ${NOVAX_API_BIND:-127.0.0.1}:${NOVAX_API_PORT:-3000}:3000']);
  });

  test('keeps the servers on a network without a way in or out', () => {
    expect(file.networks['servers']).toEqual({ internal: true });
    for (const name of [...SERVERS, ...ONE_SHOT]) expect(file.services[name]?.networks, name).toEqual(['servers']);
  });

  test.each(services)(
    'gives %s no capability, a read-only root, a memory bound and a restart policy',
    (name, service) => {
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
      expect(service.mem_limit).toMatch(/\d[mg]/);
      expect(service.restart).toBe(ONE_SHOT.includes(name) ? 'no' : 'unless-stopped');
      expect(service.healthcheck).toEqual(ONE_SHOT.includes(name) ? { disable: true } : undefined);
    },
  );

  test('offers every process only settings that it knows, and those that operators set', async () => {
    const sources = { api: 'apps/api/src/env.ts', workers: 'apps/workers/src/env.ts' };
    for (const [name, path] of Object.entries(sources)) {
      const known = `${await read(path)}${await read('packages/adapters/src/blobs.ts')}`;
      const own = Object.keys(file.services[name]?.environment ?? {}).filter(
        // What both are told, of which each reads its part.
        (setting) => !Object.hasOwn(file['x-app-environment'], setting) && setting !== 'HEALTH_URL',
      );
      expect(own.filter((setting) => !new RegExp(`\\b${setting}: `).test(known))).toEqual(
        name === 'workers' ? ['DATABASE_AI_URL'] : [],
      );
    }
    const offered = file.services['workers']?.environment;
    for (const name of ['OPERATOR_TOKEN', 'QUEUE_LIMITS', 'JOB_LOCK_MS', 'EVENT_RETENTION_DAYS'])
      // Without a value: taken from .env or the shell when it is set there, and absent otherwise.
      expect(offered, name).toHaveProperty(name, null);
  });

  test('refuses to start without its secrets, and holds none itself', async () => {
    const text = await read('docker-compose.yml');
    const secrets = [
      ...text.matchAll(/\$\{((?:NOVAX_\w+_PASSWORD|JWT_PRIVATE_KEYS|KEY_ENCRYPTION_KEY|AUDIT_SIGNING_KEY))([^}]*)\}/g),
    ];
    expect(new Set(secrets.map(([, name]) => name)).size).toBe(13);
    for (const [whole, , rest] of secrets) expect(rest, whole).toMatch(/^:\?/);
  });

  test('tells each process only the database logins that it uses, and leads only the API through the pool', () => {
    const urls = (name: string): [string, string][] =>
      Object.entries(file.services[name]?.environment ?? {}).flatMap(([key, value]): [string, string][] =>
        key.startsWith('DATABASE_') ? [[key, value ?? '']] : [],
      );
    expect(urls('api').map(([key]) => key)).toEqual(['DATABASE_URL']);
    expect(urls('workers').map(([key]) => key)).toEqual(['DATABASE_WORKER_URL', 'DATABASE_AI_URL']);
    expect(urls('migrate').map(([key]) => key)).toEqual(['DATABASE_MIGRATOR_URL']);
    expect(urls('api')[0]?.[1]).toContain('@pgbouncer:6432/');
    for (const [key, url] of [...urls('workers'), ...urls('migrate')]) expect(url, key).toContain('@postgres:5432/');
    expect(JSON.stringify(file.services['api'])).not.toContain('ADMIN');
  });

  test('queues never lose a key to memory pressure, the cache forgets what is used least', async () => {
    expect([file.services['valkey-queue']?.command, file.services['valkey-cache']?.command]).toEqual([
      ['queue'],
      ['cache'],
    ]);
    const entrypoint = await read('infra/images/valkey/entrypoint.sh');
    expect(entrypoint).toMatch(/queue\)[^;]*policy=noeviction\s+appendonly=yes/);
    expect(entrypoint).toMatch(/cache\)[^;]*policy=allkeys-lru\s+appendonly=no/);
  });

  test('the local override publishes every server on loopback and names no other service', () => {
    expect(Object.keys(local.services).toSorted()).toEqual([...SERVERS].toSorted());
    const ports = Object.values(local.services).flatMap((service) => service.ports ?? []);
    expect(ports).toHaveLength(SERVERS.length + 1);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\$\{NOVAX_\w+_PORT:-\d+\}:\d+$/);
  });
});

describe('the images', () => {
  test.each(['app', 'postgres', 'valkey', 'nats', 'pgbouncer', 'meilisearch', 's3'])(
    '%s has its base as an argument, an ordinary user and a health check',
    async (name) => {
      const dockerfile = await read(`infra/images/${name}/Dockerfile`);
      expect(dockerfile).toMatch(/^ARG BASE_IMAGE=\S+:\S+$/m);
      expect(dockerfile.match(/^FROM .*$/gm)?.every((line) => line.startsWith('FROM ${BASE_IMAGE}'))).toBe(true);
      const uid = Number(/^USER (\d+):\d+$/m.exec(dockerfile)?.[1]);
      expect(uid).toBeGreaterThanOrEqual(10_000);
      expect(dockerfile).toMatch(/^HEALTHCHECK /m);
    },
  );

  test('the application image knows the manifest of every workspace, or its dependencies would be missing', async () => {
    const dockerfile = await read('infra/images/app/Dockerfile');
    // Our own file; a workspace pattern is a folder or `folder/*`.
    const { workspaces } = JSON.parse(await read('package.json')) as { workspaces: string[] };
    const folders: string[] = [];
    for (const pattern of workspaces) {
      if (!pattern.endsWith('/*')) folders.push(pattern);
      else
        for (const name of await readdir(join(checkout, pattern.slice(0, -2))))
          folders.push(`${pattern.slice(0, -1)}${name}`);
    }
    expect(folders.length).toBeGreaterThan(5);
    for (const folder of folders) expect(dockerfile).toContain(`COPY ${folder}/package.json ${folder}/`);
  });

  test('the settings file is made once, for its owner only, with every secret different', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'novax-env-'));
    try {
      const path = join(dir, '.env');
      const make = (): Promise<unknown> => run(process.execPath, [join(checkout, 'infra/images/make-env.mjs'), path]);
      await make();
      const text = await readFile(path, 'utf8');
      const values = [
        ...text.matchAll(
          /^(?:NOVAX_\w+_PASSWORD|MEILI_MASTER_KEY|S3_SECRET_ACCESS_KEY|KEY_ENCRYPTION_KEY|AUDIT_SIGNING_KEY)=(.+)$/gm,
        ),
      ].map(([, value]) => value);
      expect(values).toHaveLength(14);
      expect(new Set(values).size).toBe(14);
      await expect(make()).rejects.toMatchObject({ code: 1 });
      expect(await readFile(path, 'utf8')).toBe(text);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

const scratch = await mkdtemp(join(tmpdir(), 'novax-docker-'));
const context: StackContext = {
  checkout,
  dir: scratch,
  env: { ...process.env, COMPOSE_PROFILES: '' },
  durable: false,
  signal: new AbortController().signal,
  log: { line: () => undefined, progress: () => undefined },
};
afterAll(() => rm(scratch, { recursive: true, force: true }));
const engine = await dockerDriver.detect(context);
/** Building images takes minutes the first time: the stack is tried where they lie ready. */
const built =
  engine.possible &&
  (await run('docker', [
    'image',
    'inspect',
    'novax-postgres:17',
    'novax-valkey:8',
    'novax-nats:2',
    'novax-pgbouncer:1',
  ]).then(
    () => true,
    () => false,
  ));

describe('with an engine', () => {
  test.skipIf(!engine.possible)('Docker Compose finds nothing wrong with the files, together or alone', async () => {
    const env = join(scratch, 'env');
    await run(process.execPath, [join(checkout, 'infra/images/make-env.mjs'), env]);
    const config = (...files: string[]): Promise<unknown> =>
      run('docker', [
        'compose',
        '--env-file',
        env,
        ...files.flatMap((name) => ['--file', join(checkout, name)]),
        'config',
        '--quiet',
      ]);
    await config('docker-compose.yml');
    await config('docker-compose.yml', 'docker-compose.local.yml');
    await writeFile(env, '');
    await expect(config('docker-compose.yml')).rejects.toThrow(/make-env\.mjs/);
  });

  test.skipIf(!built)(
    'the docker stack answers on its endpoints with extensions, policies and streams in place, and leaves nothing',
    { timeout: 300_000 },
    async () => {
      process.env['COMPOSE_PROFILES'] = '';
      const servers = await startServers({ dir: scratch, durable: false, driver: 'docker' });
      try {
        const { endpoints } = servers;
        const admin = new pg.Client({
          connectionString: endpoints.DATABASE_ADMIN_URL?.replace(/\/postgres$/, '/novax'),
        });
        await admin.connect();
        const { rows } = await admin.query<{ name: string }>(
          `select name from pg_available_extensions where name in ('vector', 'timescaledb', 'pg_stat_statements') order by name`,
        );
        const roles = await admin.query(
          `select from pg_roles where rolname in ('novax_api', 'novax_worker', 'novax_ai', 'novax_migrator') and rolcanlogin and not rolsuper and not rolbypassrls`,
        );
        await admin.end();
        expect(rows.map(({ name }) => name)).toEqual(['pg_stat_statements', 'timescaledb', 'vector']);
        expect(roles.rowCount).toBe(4);
        for (const url of [endpoints.DATABASE_URL, endpoints.DATABASE_WORKER_URL, endpoints.DATABASE_MIGRATOR_URL]) {
          const client = new pg.Client({ connectionString: url });
          await client.connect();
          expect((await client.query<{ who: string }>('select current_user as who')).rows[0]?.who).toBe(
            new URL(url).username,
          );
          await client.end();
        }
        await checkRedis(endpoints.QUEUE_REDIS_URL);
        await checkRedis(endpoints.CACHE_REDIS_URL);
        await checkNats(endpoints.NATS_URL);
        const jetstream = await (await fetch(`${endpoints.NATS_MONITOR_URL}/jsz`)).json();
        expect(jetstream).toMatchObject({ config: { store_dir: '/var/lib/novax/jetstream' } });
        const plan = await dockerDriver.plan(context);
        expect(plan.endpoints).toEqual(endpoints);
        expect((await plan.services()).map(({ name, state }) => `${name} ${state}`)).toEqual(
          ['postgres', 'valkey-queue', 'valkey-cache', 'nats', 'pgbouncer'].map((name) => `${name} ready`),
        );
      } finally {
        await servers.stop();
        await dockerDriver.reset(context, { all: false });
      }
      const { stdout } = await run('docker', [
        'volume',
        'ls',
        '--quiet',
        '--filter',
        `label=com.docker.compose.project=${projectName(scratch)}`,
      ]);
      expect(stdout).toBe('');
    },
  );
});
