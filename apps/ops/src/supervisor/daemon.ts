/** Entry of the detached supervisor that `novax up` starts. Its standard output is the supervisor's log. */
import { readEnv } from '../env.ts';
import { describeEvent } from './events.ts';
import { AlreadyRunning, runStack } from './run-stack.ts';

/** Exit code that tells `novax up` that somebody else was first. */
const ALREADY_RUNNING = 3;

async function main(): Promise<number> {
  const { checkout, dir, env } = readEnv();
  const abort = new AbortController();
  const say = (text: string): void => void process.stdout.write(`${new Date().toISOString()} ${text}\n`);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => abort.abort());
  try {
    const stack = await runStack({
      context: {
        checkout,
        dir,
        env,
        durable: true,
        log: { line: say, progress: () => undefined },
        signal: abort.signal,
      },
      serversOnly: process.argv.includes('--servers'),
      mode: 'detached',
      onEvent: (event) => say(describeEvent(event)),
    });
    const reason = await stack.done;
    say(reason ? `stopped: ${reason.message}` : 'stopped');
    return reason ? 1 : 0;
  } catch (error) {
    if (error instanceof AlreadyRunning) {
      say(error.message);
      return ALREADY_RUNNING;
    }
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return abort.signal.aborted ? 0 : 1;
  }
}

process.exitCode = await main();
