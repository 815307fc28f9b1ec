/** What happens between "PostgreSQL answers" and "the API may start": superuser bootstrap, then migrations. */
import { join } from 'node:path';
import { bootstrapCluster, LOGIN_ROLES } from '@novax/db/bootstrap';
import { migrateUp } from '@novax/db/migrate';
import type { TaskSpec } from '../supervisor/process-spec.ts';
import type { StackEndpoints, StackLog } from './driver.ts';
import { DATABASE_NAME } from './endpoints.ts';

/** Folder of the numbered migrations. */
export const migrationsDir = (checkout: string): string => join(checkout, 'migrations');
/** Superuser work that precedes migrations. */
export const bootstrapFile = (checkout: string): string =>
  join(checkout, 'infra', 'images', 'postgres', 'bootstrap.sql');

/** Creates the database, roles, extensions and passwords; idempotent. Skipped, and said, where no administrator is known. */
export function bootstrapTask(endpoints: StackEndpoints, options: { checkout: string; log: StackLog }): TaskSpec {
  return {
    step: 'task',
    name: 'database bootstrap',
    run: async () => {
      const adminUrl = endpoints.DATABASE_ADMIN_URL;
      if (adminUrl === undefined) {
        options.log.line('DATABASE_ADMIN_URL is not set: roles and extensions are taken to exist');
        return;
      }
      await bootstrapCluster({
        adminUrl,
        database: databaseOf(endpoints),
        passwords: passwordsOf(endpoints),
        sqlFile: bootstrapFile(options.checkout),
      });
    },
  };
}

/** Applies the migrations that are missing. */
export function migrateTask(endpoints: StackEndpoints, options: { checkout: string; log: StackLog }): TaskSpec {
  return {
    step: 'task',
    name: 'migrations',
    run: async () => {
      const applied = await migrateUp({
        url: endpoints.DATABASE_MIGRATOR_URL,
        dir: migrationsDir(options.checkout),
        log: (text: string) => options.log.line(text),
      });
      if (applied.length > 0) options.log.line(`${applied.length} migration${applied.length === 1 ? '' : 's'} applied`);
    },
  };
}

function databaseOf(endpoints: StackEndpoints): string {
  const name = decodeURIComponent(new URL(endpoints.DATABASE_MIGRATOR_URL).pathname.slice(1));
  return name === '' ? DATABASE_NAME : name;
}

/** Passwords by login role, for the addresses that sign in as that role. */
function passwordsOf(endpoints: StackEndpoints): Partial<Record<(typeof LOGIN_ROLES)[number], string>> {
  const urls = [
    endpoints.DATABASE_URL,
    endpoints.DATABASE_WORKER_URL,
    endpoints.DATABASE_AI_URL,
    endpoints.DATABASE_MIGRATOR_URL,
    endpoints.DATABASE_READONLY_URL,
    endpoints.DATABASE_BACKUP_URL,
  ];
  const passwords: Partial<Record<(typeof LOGIN_ROLES)[number], string>> = {};
  for (const url of urls) {
    if (url === undefined) continue;
    const { username, password } = new URL(url);
    const role = LOGIN_ROLES.find((name) => name === decodeURIComponent(username));
    if (role && password !== '') passwords[role] = decodeURIComponent(password);
  }
  return passwords;
}
