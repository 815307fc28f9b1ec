/** Real processes of the product, to be killed, stopped and started again by tests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface TestProcess extends AsyncDisposable {
  readonly pid: number;
  /** How it ended, once it has: an exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** SIGKILL ends it, SIGSTOP holds it still, SIGCONT lets it go on. */
  signal(name: NodeJS.Signals): void;
}

export interface ProcessOptions {
  /** From the root of the checkout, for example `apps/workers/src/main.ts`. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, unknown>>;
  /** What a line of its output says once it serves; the first group, if there is one, is handed to `onReady`. */
  readonly ready: RegExp;
  readonly onReady?: (found: string) => void;
  /** Hears every line of its output. */
  readonly onLine?: (line: string) => void;
}

/** Starts a process and resolves when it is ready, or when it ended before that by a signal, as one that is armed to crash may. Rejects with its output when it exits by itself. */
export async function startProcess(options: ProcessOptions): Promise<TestProcess> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', options.script, ...(options.args ?? [])],
    {
      cwd: root,
      env: { PATH: process.env['PATH'] ?? '', ...environmentOf({ ...options.env, LOG_LEVEL: 'info' }) },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const output: string[] = [];
  const ended = once(child, 'exit').then(([code, signal]): number | NodeJS.Signals => signal ?? code ?? 1);
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        output.push(line);
        options.onLine?.(line);
        const found = options.ready.exec(line);
        if (found === null) return;
        options.onReady?.(found[1] ?? '');
        resolve();
      });
    }
  });
  const outcome = await Promise.race([ready.then(() => 'ready' as const), ended]);
  if (typeof outcome === 'number')
    throw new Error(`${options.script} exited with ${outcome}:\n${output.slice(-20).join('\n')}`);
  return {
    pid: child.pid ?? 0,
    ended,
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Settings as an environment has them: text. */
function environmentOf(settings: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]) => {
      if (value === undefined) return [];
      if (Array.isArray(value)) return [[name, value.join(',')]];
      return [[name, typeof value === 'string' ? value : JSON.stringify(value)]];
    }),
  );
}
