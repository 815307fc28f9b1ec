/** The supervisor's promises, tried on real processes. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeEvent } from '../../apps/ops/src/supervisor/events.ts';
import type { SupervisorEvent } from '../../apps/ops/src/supervisor/events.ts';
import { openLogFile } from '../../apps/ops/src/supervisor/log-file.ts';
import { readHolder, tryLock } from '../../apps/ops/src/supervisor/lock.ts';
import { identify, isAlive } from '../../apps/ops/src/supervisor/pids.ts';
import type { ProcessSpec } from '../../apps/ops/src/supervisor/process-spec.ts';
import { runSupervisor } from '../../apps/ops/src/supervisor/run.ts';
import { eventually } from '../kit/eventually.ts';

const QUICK = { firstDelayMs: 10, maxDelayMs: 40, stableMs: 60_000, maxFailedStarts: 3 };
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'novax-supervisor-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A process that runs `body`; ready when it has created the file it is given as `ready`. */
function node(name: string, body: string, change: Partial<ProcessSpec> = {}): ProcessSpec {
  const flag = join(dir, `${name}.ready`);
  const script = `const ready = () => require('node:fs').writeFileSync(${JSON.stringify(flag)}, ''); ${body}`;
  return {
    step: 'process',
    name,
    kind: 'app',
    role: 'test',
    url: null,
    command: process.execPath,
    args: ['-e', script],
    env: {},
    cwd: dir,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 5000,
    readyTimeoutMs: 10_000,
    before: () => rm(flag, { force: true }),
    ready: async () => {
      if (!existsSync(flag)) throw new Error('no sign of life yet');
    },
    ...change,
  };
}
const FOREVER = `setInterval(() => {}, 1000);`;

function run(processes: ProcessSpec[], signal = new AbortController().signal) {
  const events: SupervisorEvent[] = [];
  const supervisor = runSupervisor({
    processes,
    logDir: dir,
    signal,
    policy: QUICK,
    onEvent: (event) => events.push(event),
  });
  return { supervisor, said: () => events.map(describeEvent), events };
}

test('a killed process is started again under a new id, and that is said', async () => {
  const { supervisor, said } = run([node('api', `ready(); ${FOREVER}`)]);
  await supervisor.ready;
  const first = supervisor.statuses()[0]?.pid ?? 0;
  process.kill(first, 'SIGKILL');
  await eventually(() => {
    expect(supervisor.statuses()[0]).toMatchObject({ state: 'ready', restarts: 1 });
    expect(supervisor.statuses()[0]?.pid).not.toBe(first);
  });
  expect(said()).toContain('api was killed by SIGKILL, restarting in 10 ms (attempt 1)');
  await supervisor.stop();
  expect(await supervisor.done).toBeUndefined();
});

test('a process that never becomes ready is given up with its reason, and what had started is stopped', async () => {
  const { supervisor, said } = run([node('first', `ready(); ${FOREVER}`), node('second', 'process.exit(7)')]);
  await expect(supervisor.ready).rejects.toThrow(/second exited with code 7/);
  const reason = await supervisor.done;
  expect(reason?.message).toMatch(/second exited with code 7/);
  expect(said()).toContain('second exited with code 7; giving up'.replace(';', ' (3 failed starts);'));
  expect(supervisor.statuses().map((one) => [one.name, one.state, one.pid])).toEqual([
    ['first', 'stopped', null],
    ['second', 'failed', null],
  ]);
});

test('a step begins only when the one before it is ready, and the end comes in reverse', async () => {
  const { supervisor, events } = run([node('one', `ready(); ${FOREVER}`), node('two', `ready(); ${FOREVER}`)]);
  await supervisor.ready;
  await supervisor.stop();
  const order = events
    .filter((event) => ['starting', 'ready', 'stopped'].includes(event.type))
    .map((event) => ('name' in event ? `${event.type} ${event.name}` : ''));
  expect(order).toEqual(['starting one', 'ready one', 'starting two', 'ready two', 'stopped two', 'stopped one']);
});

test('a process that ignores its stop signal is killed when its time is over', async () => {
  const { supervisor, events } = run([
    node('deaf', `process.on('SIGTERM', () => {}); ready(); ${FOREVER}`, { stopTimeoutMs: 100 }),
  ]);
  await supervisor.ready;
  const pid = supervisor.statuses()[0]?.pid ?? 0;
  await supervisor.stop();
  expect(identify(pid)).toBeUndefined();
  expect(events).toContainEqual({ type: 'stopped', name: 'deaf', killed: true });
});

test('aborting the signal stops everything, also in the middle of the start', async () => {
  const abort = new AbortController();
  const { supervisor } = run([node('quick', `ready(); ${FOREVER}`), node('never', FOREVER)], abort.signal);
  const pids = await eventually(() => {
    const found = supervisor.statuses().map((one) => one.pid ?? 0);
    expect(found.filter((pid) => pid > 0)).toHaveLength(2);
    return found;
  });
  abort.abort();
  await expect(supervisor.ready).rejects.toThrow();
  expect(await supervisor.done).toBeUndefined();
  expect(pids.map(identify)).toEqual([undefined, undefined]);
});

test('when the supervisor is killed, a leashed process ends by itself', async () => {
  const url = (path: string): string => new URL(`../../apps/ops/src/supervisor/${path}`, import.meta.url).href;
  const spec = { ...node('held', `ready(); ${FOREVER}`), leash: true };
  const script = join(dir, 'supervisor.mjs');
  await writeFile(
    script,
    `import { runSupervisor } from ${JSON.stringify(url('run.ts'))}; import { leashArgs } from ${JSON.stringify(url('child.ts'))};
     const spec = ${JSON.stringify(spec)};
     const supervisor = runSupervisor({ processes: [{ ...spec, args: [...leashArgs, ...spec.args], ready: async () => {} }], logDir: ${JSON.stringify(dir)}, signal: new AbortController().signal });
     await supervisor.ready; console.log(supervisor.statuses()[0].pid);`,
  );
  const supervisor = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = await new Promise<number>((resolve) =>
    supervisor.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString()))),
  );
  await eventually(() => expect(existsSync(join(dir, 'held.ready'))).toBe(true));
  const held = identify(pid);
  supervisor.kill('SIGKILL');
  await eventually(() => expect(held && isAlive(held)).toBe(false));
});

test('a log past its size is turned over and nothing written is lost', async () => {
  const log = openLogFile(join(dir, 'api.log'), 1000);
  const lines = Array.from({ length: 30 }, (_, n) => `line ${n} ${'x'.repeat(80)}\n`);
  for (const line of lines) log.write(line);
  log.close();
  const parts = await Promise.all(
    ['.3', '.2', '.1', ''].map((suffix) => readFile(join(dir, `api.log${suffix}`), 'utf8').catch(() => '')),
  );
  expect(parts.join('')).toBe(lines.join(''));
  for (const part of parts) expect(part.length).toBeLessThanOrEqual(1000);
});

test('of many that try for a lock at once, exactly one gets it', async () => {
  const attempts = await Promise.all(Array.from({ length: 20 }, () => tryLock(join(dir, 'lock'))));
  expect(attempts.filter((attempt) => attempt.held)).toHaveLength(1);
});

test.each([
  ['names a process that is gone', JSON.stringify({ pid: 4_194_303, start: 'x:1' })],
  ['names an id that belongs to another process by now', JSON.stringify({ pid: process.pid, start: 'earlier boot:1' })],
  ['is empty after a crash', ''],
])('a lock that %s is taken over by exactly one of many', async (_case, content) => {
  const path = join(dir, 'lock');
  await writeFile(path, content);
  const attempts = await Promise.all(Array.from({ length: 10 }, () => tryLock(path)));
  expect(attempts.filter((attempt) => attempt.held)).toHaveLength(1);
  expect(await readHolder(path)).toEqual(identify(process.pid));
  for (const attempt of attempts) if (attempt.held) await attempt.lock.release();
  expect((await readdir(dir)).filter((file) => file.startsWith('lock'))).toEqual([]);
});
