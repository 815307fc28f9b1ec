/** Which checks apply here, from what is known about this deployment. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandContext } from '../cli/command.ts';
import type { Settings } from '../database/settings.ts';
import { migrationsDir } from '../stack/database.ts';
import { currentState } from '../supervisor/attach.ts';
import type { Check } from './check.ts';
import { fail } from './check.ts';
import { dataChecks } from './data-checks.ts';
import { hostChecks } from './host-checks.ts';
import { roleChecks } from './role-checks.ts';
import { serverChecks } from './server-checks.ts';
import { busCheck, readinessCheck, redisCheck } from './service-checks.ts';

/** In the order in which a person looks: host, database, what is in it, other servers, processes. */
export async function checksFor(
  { checkout, dir }: Pick<CommandContext, 'checkout' | 'dir'>,
  settings: Settings,
): Promise<Check[]> {
  const { values, source } = settings;
  const data = join(dir, 'data');
  const widest =
    values.DATABASE_BACKUP_URL ?? values.DATABASE_MIGRATOR_URL ?? values.DATABASE_WORKER_URL ?? values.DATABASE_URL;
  const database =
    widest === undefined
      ? []
      : [
          ...serverChecks(widest),
          ...roleChecks(widest, settings),
          ...dataChecks(
            { migrator: values.DATABASE_MIGRATOR_URL, worker: values.DATABASE_WORKER_URL, widest },
            migrationsDir(checkout),
          ),
        ];
  return [
    ...hostChecks(settings, source === 'local stack' && existsSync(data) ? data : undefined),
    ...(source === 'none' ? [nothingRuns] : []),
    ...database,
    ...(values.QUEUE_REDIS_URL === undefined ? [] : [redisCheck('queue', values.QUEUE_REDIS_URL)]),
    ...(values.CACHE_REDIS_URL === undefined ? [] : [redisCheck('cache', values.CACHE_REDIS_URL)]),
    ...busCheck(values),
    ...(await processes(dir, settings)),
  ];
}

const nothingRuns: Check = {
  name: 'stack',
  mend: '',
  run: async () => [
    fail(
      'stack',
      'nothing is running here, and the environment names no database',
      'start with: npx novax up   or set DATABASE_URL and the other addresses',
    ),
  ],
};

/** The API and the workers of the local stack, or the API that PUBLIC_URL names. */
async function processes(dir: string, { source, values }: Settings): Promise<Check[]> {
  if (source === 'environment')
    return values.PUBLIC_URL === undefined ? [] : [readinessCheck('api', values.PUBLIC_URL.replace(/\/$/, ''))];
  const current = source === 'local stack' ? await currentState(dir) : undefined;
  const apps = current?.state.processes.filter(({ kind, url }) => kind === 'app' && url !== null) ?? [];
  return apps.flatMap(({ name, url }) => (url === null ? [] : [readinessCheck(name, url)]));
}
