/** Runs a program to its end and keeps what it said, for one-off work such as initdb. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface RunOptions {
  signal: AbortSignal;
  env?: Readonly<Record<string, string | undefined>>;
  input?: string;
  /** Called for each line of standard error and standard output as it comes. */
  onLine?: (line: string) => void;
}

/** Standard output of the program. Throws, with the last lines it printed, when it does not exit with 0. */
export function runProgram(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: options.env ?? {},
      signal: options.signal,
    });
    const last: string[] = [];
    let stdout = '';
    const listen = (line: string): void => {
      last.push(line);
      if (last.length > 15) last.shift();
      options.onLine?.(line);
    };
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', listen);
    createInterface({ input: child.stderr }).on('line', listen);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(stdout);
      reject(new Error(`${command} ended with ${signal ?? `code ${code}`}:\n${last.join('\n')}`));
    });
    // A program that ends early closes its input; its exit code tells the story.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}
