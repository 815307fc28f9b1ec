/** One running child process: its real id, its log, its end, and how it is stopped. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { LogFile } from './log-file.ts';
import { identify, isAlive, signalProcess } from './pids.ts';
import type { ProcessIdentity } from './pids.ts';
import type { ProcessSpec } from './process-spec.ts';

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** For people: "exited with code 1", "was killed by SIGKILL". */
  text: string;
}

export interface Child {
  /** The process that serves (inside the sandbox where there is one). */
  readonly identity: ProcessIdentity;
  /** The sandbox's own process, where there is one. */
  readonly wrapper: ProcessIdentity | undefined;
  readonly startedAt: Date;
  /** Resolves when the process has ended, never rejects. */
  readonly ended: Promise<Ending>;
  /** Asks it to stop, kills it after the specification's time, resolves when it is gone. Answers whether it had to be killed. */
  stop(): Promise<{ killed: boolean }>;
}

const LEASH_MODULE = new URL('./leash.ts', import.meta.url).href;
const SIGNAL_NAMES: Readonly<Record<number, NodeJS.Signals>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  6: 'SIGABRT',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
};

/** Arguments that put a Node process on the leash; they go before its script. */
export const leashArgs: readonly string[] = ['--import', LEASH_MODULE];

/**
 * Starts the process in a session of its own, so that Ctrl-C on the terminal reaches the supervisor alone, which stops things in order.
 * Rejects when it could not be started or ended at once.
 */
export async function startChild(spec: ProcessSpec, log: LogFile): Promise<Child> {
  const extra = spec.pidFd !== undefined || spec.leash ? (['pipe'] as const) : [];
  const child = spawn(spec.command, spec.args, {
    cwd: spec.cwd,
    env: { ...spec.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...extra],
  });
  child.stdout?.on('data', (chunk: Buffer) => log.write(chunk));
  child.stderr?.on('data', (chunk: Buffer) => log.write(chunk));
  const ended = ending(child);
  if (child.pid === undefined) throw new Error((await ended).text);
  const outer = identify(child.pid);
  const inner = spec.pidFd === undefined ? outer : await reportedProcess(child, spec.pidFd);
  if (!outer || !inner) {
    child.kill('SIGKILL');
    throw new Error(`ended at once: it ${(await ended).text}`);
  }
  return {
    identity: inner,
    wrapper: spec.pidFd === undefined ? undefined : outer,
    startedAt: new Date(),
    ended,
    stop: async () => {
      const killed = await stopProcess(inner, { signal: spec.stopSignal, timeoutMs: spec.stopTimeoutMs });
      if (killed) signalProcess(outer, 'SIGKILL');
      await ended;
      return { killed };
    },
  };
}

/** Signals, waits, kills. True when it had to be killed. Resolves when the process is gone. */
export async function stopProcess(
  identity: ProcessIdentity,
  options: { signal: NodeJS.Signals; timeoutMs: number },
): Promise<boolean> {
  signalProcess(identity, options.signal);
  if (await isGone(identity, options.timeoutMs)) return false;
  signalProcess(identity, 'SIGKILL');
  if (!(await isGone(identity, 10_000))) throw new Error(`process ${identity.pid} does not die`);
  return true;
}

async function isGone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (isAlive(identity)) {
    if (Date.now() > deadline) return false;
    await pause(20);
  }
  return true;
}

function ending(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    child.once('error', (error) =>
      resolve({ code: null, signal: null, text: `could not be started: ${error.message}` }),
    );
    child.once('exit', (code, signal) => {
      // bwrap ends with 128 + n when what it ran was killed by signal n.
      const by = signal ?? (code === null ? null : (SIGNAL_NAMES[code - 128] ?? null));
      resolve({ code, signal: by, text: by ? `was killed by ${by}` : `exited with code ${code}` });
    });
  });
}

/** bwrap writes `{ "child-pid": n, … }` before the program starts. */
async function reportedProcess(child: ChildProcess, fd: number): Promise<ProcessIdentity | undefined> {
  const pipe = child.stdio[fd];
  if (!pipe || !('on' in pipe)) return undefined;
  let text = '';
  return new Promise((resolve) => {
    pipe.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const pid = /"child-pid":\s*(\d+)/.exec(text)?.[1];
      if (pid !== undefined) resolve(identify(Number(pid)));
    });
    pipe.on('error', () => resolve(undefined));
    pipe.on('close', () => resolve(undefined));
  });
}
