/** A whole local stack of a test's own: its folder, its ports, the real `novax` command as a process, and a view into its database. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { chooseDriver } from '../../apps/ops/src/stack/choose.ts';
import { loadConfig, saveConfig } from '../../apps/ops/src/stack/config.ts';
import { readEndpoints } from '../../apps/ops/src/stack/endpoints.ts';
import { DEFAULT_PORTS, isPortFree } from '../../apps/ops/src/stack/ports.ts';
import { identify } from '../../apps/ops/src/supervisor/pids.ts';
import { readState, type StackState } from '../../apps/ops/src/supervisor/state.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const main = join(checkout, 'apps', 'ops', 'src', 'main.ts');
/** Below the ports the system hands out for connections, so that a port found free stays free. */
const PORTS_FROM = 20_000;
const PORTS_TO = 32_000;
/** Variables of the test run and of a real installation that must not reach the stack. */
const WITHHELD =
  /^(PORT|HOST|NODE_ENV|NODE_OPTIONS|TEST|VITEST.*|NOVAX_.*|.*DATABASE_.*URL|.*REDIS_URL|NATS_URL|RATE_LIMITS)$/;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Command {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
}

export interface OwnStack {
  readonly dir: string;
  /** A folder for the test's files, beside the stack's. */
  readonly scratch: string;
  /** Why no stack can run here; undefined when one can. */
  readonly impossible: string | undefined;
  /** Starts the command and answers at once. */
  begin(...args: readonly string[]): Command;
  /** Runs the command to its end. */
  run(...args: readonly string[]): Promise<Ended>;
  /** What the supervisor wrote down last. Throws when it wrote nothing yet. */
  state(): StackState;
  /** Process id of a supervised process. Throws while it has none. */
  pidOf(name: string): number;
  /** Rows as `novax_backup` sees them, which is all of them; `admin` asks the superuser instead. A new connection each time: servers are killed here. */
  rows<Row extends pg.QueryResultRow>(
    sql: string,
    options?: { values?: readonly unknown[]; admin?: boolean },
  ): Promise<Row[]>;
  /** Ends whatever runs and deletes everything. */
  remove(): Promise<void>;
}

/** Prepares the folder and chooses ports; starts nothing. The servers' programs are those of the checkout, made once for all stacks. */
export async function ownStack(): Promise<OwnStack> {
  const scratch = await mkdtemp(join(tmpdir(), 'novax-own-'));
  const dir = join(scratch, 'stack');
  await mkdir(dir);
  const env: Record<string, string | undefined> = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !WITHHELD.test(name)),
  );
  for (const name of ['NOVAX_STACK', 'NOVAX_NATIVE_ROOT']) if (process.env[name]) env[name] = process.env[name];
  env['NOVAX_DIR'] = dir;
  const impossible = await chooseDriver({
    checkout,
    dir,
    env,
    durable: true,
    signal: new AbortController().signal,
    log: { line: () => undefined, progress: () => undefined },
  }).then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
  await takePorts(dir);

  const begin = (...args: readonly string[]): Command => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
      cwd: checkout,
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
    const ended = new Promise<Ended>((resolve) =>
      child.on('close', (code, signal) => resolve({ code, signal, ...output })),
    );
    return { child, output, ended };
  };
  const state = (): StackState => {
    const found = readState(dir);
    if (found === undefined) throw new Error('the supervisor wrote no state yet');
    return found;
  };
  return {
    dir,
    scratch,
    impossible,
    begin,
    run: (...args) => begin(...args).ended,
    state,
    pidOf: (name) => {
      const pid = state().processes.find((process) => process.name === name)?.pid;
      if (typeof pid !== 'number' || identify(pid) === undefined) throw new Error(`${name} does not run`);
      return pid;
    },
    async rows<Row extends pg.QueryResultRow>(
      sql: string,
      options: { values?: readonly unknown[]; admin?: boolean } = {},
    ) {
      const endpoints = await readEndpoints(dir);
      const url = new URL((options.admin ? endpoints?.DATABASE_ADMIN_URL : endpoints?.DATABASE_BACKUP_URL) ?? '');
      url.pathname = '/novax';
      const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5_000 });
      client.on('error', () => undefined);
      await client.connect();
      try {
        return (await client.query<Row>(sql, [...(options.values ?? [])])).rows;
      } finally {
        await client.end();
      }
    },
    async remove() {
      if (impossible === undefined) await begin('down').ended;
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/**
 * Makes every new document take `seconds`, as on a slow disk: an import of a few files then lasts long enough to be hit in its middle.
 * Waits for nothing; throws while the table is not there.
 */
export async function slowDown(stack: OwnStack, seconds: number): Promise<void> {
  await stack.rows(
    `create or replace function public.take_time() returns trigger language plpgsql as $$ begin perform pg_sleep(${seconds}); return new; end $$;
     create or replace trigger take_time before insert on public.documents for each row execute function public.take_time()`,
    { admin: true },
  );
}

/** Ends what `slowDown` began. */
export async function fullSpeed(stack: OwnStack): Promise<void> {
  await stack.rows('drop trigger take_time on public.documents; drop function public.take_time()', { admin: true });
}

/** Fixed before the first start, and at random: stacks of other files start at the same time and would choose the same next free ones. */
async function takePorts(dir: string): Promise<void> {
  const config = await loadConfig(dir);
  for (const name of Object.keys(DEFAULT_PORTS)) {
    let port: number;
    do port = PORTS_FROM + Math.floor(Math.random() * (PORTS_TO - PORTS_FROM));
    while (Object.values(config.ports).includes(port) || !(await isPortFree(port)));
    config.ports[name] = port;
  }
  await saveConfig(dir, config);
}
