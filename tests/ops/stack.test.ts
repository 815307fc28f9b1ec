/** A local stack from nothing, with real servers, through everything that kills parts of it. Skipped, and said, where the native stack cannot run. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseDriver } from '../../apps/ops/src/stack/choose.ts';
import type { StackContext } from '../../apps/ops/src/stack/driver.ts';
import { readEndpoints } from '../../apps/ops/src/stack/endpoints.ts';
import { findDebianArchive, parseDeb822, parseOneLine } from '../../apps/ops/src/stack/native/apt-sources.ts';
import { nativeDriver } from '../../apps/ops/src/stack/native/driver.ts';
import { isPortFree } from '../../apps/ops/src/stack/ports.ts';
import { startServers } from '../../apps/ops/src/stack/servers.ts';
import { identify } from '../../apps/ops/src/supervisor/pids.ts';
import { eventually } from '../kit/eventually.ts';

const main = fileURLToPath(new URL('../../apps/ops/src/main.ts', import.meta.url));
const checkout = fileURLToPath(new URL('../..', import.meta.url));
const scratch = await mkdtemp(join(tmpdir(), 'novax-stack-'));
const dir = join(scratch, 'stack');
const context: StackContext = {
  checkout,
  dir,
  env: process.env,
  durable: true,
  signal: new AbortController().signal,
  log: { line: () => undefined, progress: () => undefined },
};
const native = await nativeDriver.detect(context);

/** Answers its readiness path, says which addresses it was given, and dies when it is asked to. */
const STUB = `import { createServer } from 'node:http';
const port = Number(process.env.PORT ?? process.env.METRICS_PORT);
const server = createServer((request, response) => response.end(request.url === '/readyz' ? 'ok' : Object.keys(process.env).filter((name) => name.endsWith('_URL')).sort().join(' ')));
server.listen(port, '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
`;

interface Status {
  running: boolean;
  phase: string;
  urls: Record<string, string>;
  supervisor: { pid: number } | null;
  processes: { name: string; pid: number | null; state: string; restarts: number; url: string; role: string }[];
}

async function novax(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { PORT: _port, ...inherited } = process.env;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...inherited,
      NOVAX_STACK: 'native',
      NOVAX_DIR: dir,
      NOVAX_API_MAIN: join(scratch, 'stub.mjs'),
      NOVAX_WORKERS_MAIN: join(scratch, 'stub.mjs'),
      ...env,
    },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

async function status(): Promise<Status> {
  // The document is the one that `status -o json` promises; the assertions below check its parts.
  return JSON.parse((await novax(['status', '-o', 'json'])).stdout) as Status;
}

const pidOf = (state: Status, name: string): number => state.processes.find((one) => one.name === name)?.pid ?? 0;

async function asAdmin<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: (await readEndpoints(dir))?.DATABASE_ADMIN_URL });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
const rows = (): Promise<number> => asAdmin(async (client) => (await client.query('SELECT * FROM kept')).rowCount ?? 0);

beforeAll(async () => {
  await writeFile(join(scratch, 'stub.mjs'), STUB);
  if (native.possible) await nativeDriver.prepare(context);
}, 300_000);
afterAll(async () => {
  await novax(['down']);
  await rm(scratch, { recursive: true, force: true });
}, 120_000);

test.skipIf(!native.possible)(
  'one life of a stack: up, killed in every part, moved from a busy port, up again, down; nothing stored is lost',
  { timeout: 180_000 },
  async () => {
    expect(await novax(['status'])).toMatchObject({
      code: 1,
      stdout: 'nothing is running; start with: npx novax up\n',
    });
    expect(await novax(['down'])).toMatchObject({ code: 0 });

    const up = await novax(['up']);
    expect(up.stderr + up.stdout).toContain('everything is ready');
    expect(up.code).toBe(0);
    let state = await status();
    expect(state.running).toBe(true);
    expect(state.processes.map((one) => one.name)).toEqual([
      'postgres',
      'valkey-queue',
      'valkey-cache',
      'nats',
      'api',
      'workers',
    ]);
    expect(
      state.processes.every((one) => one.state === 'ready' && identify(one.pid ?? 0) !== undefined && one.role !== ''),
    ).toBe(true);
    const secrets = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8')) as {
      secrets: { nats: string; database: Record<string, string> };
    };
    for (const secret of [secrets.secrets.nats, ...Object.values(secrets.secrets.database)])
      expect(JSON.stringify(state)).not.toContain(secret);
    expect((await stat(join(dir, 'config.json'))).mode & 0o777).toBe(0o600);
    expect(await (await fetch(state.urls['api'] ?? '')).text()).not.toMatch(
      /DATABASE_(ADMIN|MIGRATOR|BACKUP|WORKER)_URL/,
    );
    await asAdmin((client) => client.query('CREATE TABLE kept AS SELECT 1 AS n'));

    for (const name of ['postgres', 'valkey-queue', 'nats', 'api']) {
      const killed = pidOf(state, name);
      process.kill(killed, 'SIGKILL');
      state = await eventually(
        async () => {
          const now = await status();
          expect(pidOf(now, name)).not.toBe(killed);
          expect(now.running).toBe(true);
          return now;
        },
        { timeoutMs: 20_000 },
      );
      expect(state.processes.find((one) => one.name === name)?.restarts, name).toBe(1);
    }
    expect(await rows()).toBe(1);

    const before = state.processes.map((one) => one.pid ?? 0);
    process.kill(state.supervisor?.pid ?? 0, 'SIGKILL');
    await eventually(async () => expect(await status()).toMatchObject({ running: false, phase: 'killed' }));
    const [one, two] = await Promise.all([novax(['up']), novax(['up'])]);
    expect([one.code, two.code]).toEqual([0, 0]);
    expect(before.map(identify).filter((left) => left !== undefined)).toEqual([]);
    state = await status();
    expect(state.running).toBe(true);
    expect(await rows()).toBe(1);
    const supervisor = state.supervisor?.pid;
    expect(await novax(['up'])).toMatchObject({ code: 0, stderr: expect.stringContaining('running already') });
    expect((await status()).supervisor?.pid).toBe(supervisor);

    expect(await novax(['down'])).toMatchObject({ code: 0 });
    expect(state.processes.map((process) => identify(process.pid ?? 0)).filter((left) => left !== undefined)).toEqual(
      [],
    );

    const oldPort = Number(new URL(state.processes[1]?.url ?? '').port);
    await using _busy = await occupy(oldPort);
    const moved = await novax(['up', '--servers']);
    expect(moved.code).toBe(0);
    expect(moved.stderr).toContain(`port ${oldPort} is in use; valkey-queue takes`);
    expect(await rows()).toBe(1);

    process.kill((await status()).supervisor?.pid ?? 0, 'SIGKILL');
    expect(await novax(['down'])).toMatchObject({ code: 0 });
    expect(await status()).toMatchObject({ running: false, phase: 'stopped', supervisor: null });

    expect(await novax(['reset'])).toMatchObject({ code: 2 });
    expect(await novax(['reset', '--yes'])).toMatchObject({ code: 0, stdout: expect.stringContaining('deleted') });
  },
);

test.skipIf(!native.possible)(
  'a port that the user asks for and that is taken ends the start with a message that names it',
  { timeout: 60_000 },
  async () => {
    await using busy = await occupy(0);
    const up = await novax(['up'], { PORT: String(busy.port) });
    expect(up).toMatchObject({ code: 1, stderr: expect.stringContaining(`port ${busy.port}`) });
    expect(await status()).toMatchObject({ running: false, phase: 'failed', processes: [] });
  },
);

test.skipIf(!native.possible)(
  'a second stack beside the first has servers, ports and data of its own',
  { timeout: 60_000 },
  async () => {
    await using one = await startServers({
      dir: join(scratch, 'one'),
      durable: false,
      driver: 'native',
      only: ['valkey-cache', 'nats'],
    });
    await using two = await startServers({
      dir: join(scratch, 'two'),
      durable: false,
      driver: 'native',
      only: ['valkey-cache'],
    });
    expect(one.statuses().map((server) => [server.name, server.state])).toEqual([
      ['valkey-cache', 'ready'],
      ['nats', 'ready'],
    ]);
    expect(one.endpoints.CACHE_REDIS_URL).not.toBe(two.endpoints.CACHE_REDIS_URL);
    await expect(
      startServers({ dir: join(scratch, 'one'), durable: false, driver: 'native', only: ['nats'] }),
    ).rejects.toThrow(`process ${process.pid} runs a stack`);
    await one.stop();
    expect(await isPortFree(Number(new URL(one.endpoints.NATS_URL).port))).toBe(true);
  },
);

test('an external stack is chosen when DATABASE_URL is set, and names every address that is missing', async () => {
  const env = { DATABASE_URL: 'postgresql://novax_api@db/novax' };
  await expect(chooseDriver({ ...context, env })).rejects.toThrow(
    /DATABASE_WORKER_URL, DATABASE_AI_URL, DATABASE_MIGRATOR_URL, QUEUE_REDIS_URL, CACHE_REDIS_URL, NATS_URL/,
  );
  await expect(chooseDriver({ ...context, env: { NOVAX_STACK: 'podman' } })).rejects.toThrow(
    /must be native, docker or external/,
  );
});

test('the Debian mirror is found in both formats of apt, and never a security or foreign one', () => {
  const deb822 = `Types: deb deb-src\n# comment\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n bookworm-updates\nComponents: main contrib\nSigned-By: /k.gpg\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n`;
  expect(findDebianArchive(parseDeb822(deb822))).toEqual({
    uri: 'http://mirror.example/debian',
    suites: ['bookworm', 'bookworm-updates'],
    components: ['main', 'contrib'],
    signedBy: '/k.gpg',
    trusted: false,
  });
  const lines = `# deb http://commented.example/debian bookworm main\ndeb https://other.example/node nodistro main\ndeb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ trixie main # why\n`;
  expect(findDebianArchive(parseOneLine(lines))).toMatchObject({
    uri: 'https://mirror.example/debian/',
    suites: ['trixie'],
    signedBy: '/k.gpg',
  });
  expect(findDebianArchive(parseOneLine('deb http://archive.example/ubuntu noble main\n'))).toBeUndefined();
});

async function occupy(port: number): Promise<AsyncDisposable & { port: number }> {
  const server: Server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
