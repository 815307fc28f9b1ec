/** The worker process. */
import { armCrash } from '@novax/runtime/crash';
import { EnvError } from '@novax/runtime/env';
import { runProcess } from '@novax/runtime/lifecycle';
import { createLogger } from '@novax/runtime/log';
import { readWorkersEnv } from './env.ts';

try {
  const env = readWorkersEnv();
  armCrash(env.NOVAX_CRASH_AT);
  const log = createLogger({ name: 'novax-workers', level: env.LOG_LEVEL });
  await runProcess({
    log,
    deadlineMs: env.SHUTDOWN_DEADLINE_MS,
    start: async (lifecycle) => {
      // Loaded here, because that takes seconds in which a signal may come.
      const { startWorkers } = await import('./compose.ts');
      await startWorkers(env, { lifecycle, log });
    },
  });
} catch (thrown) {
  if (!(thrown instanceof EnvError)) throw thrown;
  process.stderr.write(`novax-workers: ${thrown.message}\n`);
  process.exitCode = 2;
}
