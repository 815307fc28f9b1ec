/** The servers alone, in the calling process: a second stack for tests and experiments. */
import { mkdir } from 'node:fs/promises';
import { readEnv } from '../env.ts';
import { endOrphans } from '../supervisor/orphans.ts';
import { runSupervisor } from '../supervisor/run.ts';
import { tryLock } from '../supervisor/lock.ts';
import { identify } from '../supervisor/pids.ts';
import { lockPath, logDir, readState, writeState } from '../supervisor/state.ts';
import type { StackState } from '../supervisor/state.ts';
import type { SupervisedStatus } from '../supervisor/supervised.ts';
import { chooseDriver, driverByName } from './choose.ts';
import type { ServiceName, StackContext, StackEndpoints, StackLog, StackName } from './driver.ts';

export interface RunningServers extends AsyncDisposable {
  endpoints: StackEndpoints;
  statuses(): SupervisedStatus[];
  stop(): Promise<void>;
}

/**
 * Starts servers with their state in `dir` and resolves when they answer. Nothing is created inside them: no database, no role, no stream.
 * Ports are the system's choice when `durable` is false. Servers that a killed predecessor left in `dir` are ended first. Throws when
 * another living process runs a stack in `dir`.
 */
export async function startServers(options: {
  dir: string;
  durable: boolean;
  only?: readonly ServiceName[];
  driver?: StackName;
  log?: StackLog;
}): Promise<RunningServers> {
  const { checkout, env } = readEnv();
  const { dir } = options;
  const abort = new AbortController();
  const log = options.log ?? { line: () => undefined, progress: () => undefined };
  const context: StackContext = {
    checkout,
    dir,
    env,
    durable: options.durable,
    log,
    signal: abort.signal,
    ...(options.only ? { only: options.only } : {}),
  };
  await mkdir(logDir(dir), { recursive: true });
  const attempt = await tryLock(lockPath(dir));
  if (!attempt.held) throw new Error(`process ${attempt.holder.pid} runs a stack in ${dir} already`);
  try {
    await endOrphans(readState(dir));
    const driver = options.driver ? await driverByName(options.driver) : (await chooseDriver(context)).driver;
    await driver.prepare(context);
    const plan = await driver.plan(context);
    const supervisor = runSupervisor({
      processes: [...plan.processes, ...plan.steps],
      logDir: logDir(dir),
      signal: abort.signal,
      onChange: () => writeState(dir, stateOf(driver.name, supervisor.statuses())),
    });
    const stop = async (): Promise<void> => {
      await supervisor.stop();
      await plan.stop();
      await attempt.lock.release();
    };
    await supervisor.ready.catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    return { endpoints: plan.endpoints, statuses: supervisor.statuses, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await attempt.lock.release();
    throw error;
  }
}

function stateOf(stack: StackName, processes: SupervisedStatus[]): StackState {
  const supervisor = identify(process.pid) ?? { pid: process.pid, start: '' };
  const now = new Date().toISOString();
  return {
    version: 1,
    phase: 'ready',
    error: null,
    stack,
    stackReason: null,
    mode: 'foreground',
    serversOnly: true,
    supervisor,
    startedAt: now,
    readyAt: now,
    last: '',
    progress: 1,
    notes: [],
    processes,
    services: [],
    urls: {},
  };
}
