/** The API process. */
import { leaveOnSignal, runProcess } from '@novax/runtime/lifecycle';

leaveOnSignal();
// Everything else is loaded here, because that takes seconds in which a signal may come.
const { EnvError } = await import('@novax/runtime/env');
try {
  const { armCrash } = await import('@novax/runtime/crash');
  const { createLogger } = await import('@novax/runtime/log');
  const { readApiEnv } = await import('./env.ts');
  const env = readApiEnv();
  armCrash(env.NOVAX_CRASH_AT);
  const log = createLogger({ name: 'novax-api', level: env.LOG_LEVEL });
  let reload = async (): Promise<void> => undefined;
  process.on('SIGHUP', () => void reload());
  await runProcess({
    log,
    deadlineMs: env.SHUTDOWN_DEADLINE_MS,
    delayMs: env.SHUTDOWN_DELAY_MS,
    start: async (lifecycle) => {
      const { startApi } = await import('./compose.ts');
      ({ reload } = await startApi(env, { lifecycle, log }));
    },
  });
} catch (thrown) {
  if (!(thrown instanceof EnvError)) throw thrown;
  process.stderr.write(`novax-api: ${thrown.message}\n`);
  process.exitCode = 2;
}
