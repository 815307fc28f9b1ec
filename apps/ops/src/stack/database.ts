/** What happens between "PostgreSQL answers" and "the API may start", as one task of the supervisor. */
import { join } from 'node:path';
import { bringUp } from '../migrate/up.ts';
import type { TaskSpec } from '../supervisor/process-spec.ts';
import type { StackEndpoints, StackLog } from './driver.ts';

/** Folder of the numbered migrations. */
export const migrationsDir = (checkout: string): string => join(checkout, 'migrations');
/** Superuser work that precedes migrations. */
export const bootstrapFile = (checkout: string): string =>
  join(checkout, 'infra', 'images', 'postgres', 'bootstrap.sql');

/** Bootstrap where an administrator is known, then migrations, hypertables and partitions; idempotent. */
export function databaseTask(
  endpoints: StackEndpoints,
  options: { checkout: string; env: Readonly<Record<string, string | undefined>>; log: StackLog },
): TaskSpec {
  const { checkout, env, log } = options;
  const hypertables = env['NOVAX_HYPERTABLES'];
  return {
    step: 'task',
    name: 'migrations',
    run: async (signal) => {
      await bringUp({
        settings: {
          source: 'local stack',
          values: { ...endpoints, ...(hypertables === undefined ? {} : { NOVAX_HYPERTABLES: hypertables }) },
        },
        migrationsDir: migrationsDir(checkout),
        bootstrapFile: bootstrapFile(checkout),
        log: (text) => log.line(text),
        signal,
      });
    },
  };
}
