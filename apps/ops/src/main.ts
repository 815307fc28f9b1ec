/** Entry of the `novax` command. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './cli/program.ts';
import { readEnv } from './env.ts';

/** A terminal's Ctrl-C reaches this process twice, directly and through whatever started it; within this time it counts as one. */
const SAME_INTERRUPT_MS = 1000;

const { checkout, dir, env } = readEnv();
const abort = new AbortController();
let firstInterrupt = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (firstInterrupt === 0) firstInterrupt = Date.now();
    // Asking again means: do not wait for things to stop in good order. Servers die with this process.
    else if (signal === 'SIGINT' && Date.now() - firstInterrupt > SAME_INTERRUPT_MS) process.exit(130);
    abort.abort();
  });
}
// `novax logs | head` closes our output early; that is no failure.
process.stdout.on('error', (error) => {
  if ('code' in error && error.code === 'EPIPE') process.exit(0);
});

// package.json is our own file and always has a version.
const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string };
process.exitCode = await runProgram(process.argv.slice(2), {
  checkout,
  dir,
  env,
  version,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: abort.signal,
});
