/** The API process. */
import { armCrash } from '@novax/runtime/crash';
import { EnvError } from '@novax/runtime/env';
import { runProcess } from '@novax/runtime/lifecycle';
import { createLogger } from '@novax/runtime/log';
import { readApiEnv } from './env.ts';

try {
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
      // Loaded here, because that takes seconds in which a signal may come.
      const { startApi } = await import('./compose.ts');
      ({ reload } = await startApi(env, { lifecycle, log }));
    },
  });
} catch (thrown) {
  if (!(thrown instanceof EnvError)) throw thrown;
  process.stderr.write(`novax-api: ${thrown.message}\n`);
  process.exitCode = 2;
}
