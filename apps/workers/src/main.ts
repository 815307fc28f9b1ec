/** The worker process. */
import { leaveOnSignal, runProcess } from '@novax/runtime/lifecycle';

leaveOnSignal();
// Everything else is loaded here, because that takes seconds in which a signal may come.
const { EnvError } = await import('@novax/runtime/env');
try {
  const { armCrash } = await import('@novax/runtime/crash');
  const { createLogger } = await import('@novax/runtime/log');
  const { readWorkersEnv } = await import('./env.ts');
  const env = readWorkersEnv();
  armCrash(env.NOVAX_CRASH_AT);
  const log = createLogger({ name: 'novax-workers', level: env.LOG_LEVEL });
  await runProcess({
    log,
    deadlineMs: env.SHUTDOWN_DEADLINE_MS,
    start: async (lifecycle) => {
      const { startWorkers } = await import('./compose.ts');
      await startWorkers(env, { lifecycle, log });
    },
  });
} catch (thrown) {
  if (!(thrown instanceof EnvError)) throw thrown;
  process.stderr.write(`novax-workers: ${thrown.message}\n`);
  process.exitCode = 2;
}
