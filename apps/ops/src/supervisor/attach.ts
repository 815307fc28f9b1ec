/** How commands look at, start and stop a supervisor that runs in another process. */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopProcess } from './child.ts';
import { readHolder, tryLock } from './lock.ts';
import { endOrphans } from './orphans.ts';
import { isAlive } from './pids.ts';
import type { ProcessIdentity } from './pids.ts';
import { lockPath, logDir, readState, writeState } from './state.ts';
import type { StackState } from './state.ts';

const DAEMON = fileURLToPath(new URL('./daemon.ts', import.meta.url));
const POLL_MS = 100;
/** The supervisor stops processes one by one, each with a time of its own; this covers all of them. */
const STOP_TIMEOUT_MS = 90_000;

/** The living supervisor of this folder, if there is one. */
export async function livingSupervisor(dir: string): Promise<ProcessIdentity | undefined> {
  const holder = await readHolder(lockPath(dir));
  return holder && isAlive(holder) ? holder : undefined;
}

/** State of the living supervisor, or of the last one, with `alive` telling which. Undefined when none ever ran here. */
export async function currentState(dir: string): Promise<{ alive: boolean; state: StackState } | undefined> {
  const holder = await livingSupervisor(dir);
  const state = readState(dir);
  if (!state) return undefined;
  return {
    alive: holder !== undefined && state.supervisor.pid === holder.pid && state.supervisor.start === holder.start,
    state,
  };
}

/** Starts a supervisor that outlives this process; its output goes to the supervisor's log. */
export function startDaemon(options: {
  checkout: string;
  dir: string;
  env: Readonly<Record<string, string | undefined>>;
  serversOnly: boolean;
}): DaemonStart {
  mkdirSync(logDir(options.dir), { recursive: true });
  const logFile = join(logDir(options.dir), 'supervisor.log');
  const log = openSync(logFile, 'a', 0o640);
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', DAEMON, ...(options.serversOnly ? ['--servers'] : [])],
    {
      cwd: options.checkout,
      env: { ...options.env, NOVAX_DIR: options.dir },
      detached: true,
      stdio: ['ignore', log, log],
    },
  );
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1));
    child.once('error', () => resolve(1));
  });
  child.unref();
  return { logFile, exited };
}

export interface DaemonStart {
  logFile: string;
  /** The daemon's exit code, should it end while we look. */
  exited: Promise<number>;
}

/**
 * Waits until the living supervisor is ready, and answers its state. Rejects with its reason when it fails or is gone.
 * `onChange` is called with every new state. `exited` is that of a daemon started just now, which has no lock yet.
 */
export async function waitUntilReady(options: {
  dir: string;
  signal: AbortSignal;
  onChange: (state: StackState) => void;
  exited?: Promise<number>;
}): Promise<StackState> {
  const { dir, signal } = options;
  const since = Date.now();
  let daemonGone = options.exited === undefined;
  void options.exited?.then(() => {
    daemonGone = true;
  });
  let last = '';
  for (;;) {
    const wasGone = daemonGone;
    const current = await currentState(dir);
    if (current?.alive) {
      const text = JSON.stringify(current.state);
      if (text !== last) options.onChange(current.state);
      last = text;
      if (current.state.phase === 'ready') return current.state;
    } else if (wasGone && (await livingSupervisor(dir)) === undefined) {
      const reason = current && Date.parse(current.state.startedAt) >= since - 1000 ? current.state.error : null;
      throw new Error(reason ?? 'the supervisor ended before everything was ready');
    }
    await pause(POLL_MS, undefined, { signal });
  }
}

/**
 * Stops whatever runs in this folder, from any state: a living supervisor in good order, else what a dead one left. Answers the names of
 * the processes that were stopped; [] when nothing ran.
 */
export async function stopEverything(dir: string, onChange: (text: string) => void): Promise<string[]> {
  const supervisor = await livingSupervisor(dir);
  const stopped = new Set<string>();
  if (supervisor) {
    for (const process of readState(dir)?.processes ?? []) if (process.pid !== null) stopped.add(process.name);
    const timer = setInterval(() => onChange(readState(dir)?.last ?? ''), POLL_MS);
    try {
      await stopProcess(supervisor, { signal: 'SIGTERM', timeoutMs: STOP_TIMEOUT_MS });
    } finally {
      clearInterval(timer);
    }
    stopped.add('supervisor');
  }
  const attempt = await tryLock(lockPath(dir));
  if (!attempt.held) throw new Error(`process ${attempt.holder.pid} started the stack again meanwhile`);
  try {
    const state = readState(dir);
    for (const name of await endOrphans(state)) stopped.add(name);
    if (state)
      writeState(dir, {
        ...state,
        phase: 'stopped',
        processes: state.processes.map((process) => ({
          ...process,
          pid: null,
          identity: null,
          wrapper: null,
          state: 'stopped',
        })),
      });
  } finally {
    await attempt.lock.release();
  }
  return [...stopped];
}
