/** Everything between an empty server and a database that the processes may use. */
import { bootstrapCluster, LOGIN_ROLES } from '@novax/db/bootstrap';
import type { LoginRole } from '@novax/db/bootstrap';
import { convertToHypertables } from '@novax/db/hypertables';
import type { HypertableOutcome } from '@novax/db/hypertables';
import { migrateUp } from '@novax/db/migrate';
import type { AppliedMigration } from '@novax/db/migrate';
import { connectDatabase } from '../database/connect.ts';
import { DATABASE_URLS, need } from '../database/settings.ts';
import type { Settings } from '../database/settings.ts';
import { ensurePartitions } from '../partitions/partitions.ts';

export interface UpResult {
  bootstrapped: boolean;
  applied: AppliedMigration[];
  hypertables: HypertableOutcome[];
  partitionsMade: string[];
}

/**
 * Superuser work first where an administrator is known (database, roles, extensions, passwords as the addresses have them), then the missing
 * migrations, hypertables, partitions. Each step is idempotent, so a failed run is mended by the next. With `to`, migrations alone.
 */
export async function bringUp(options: {
  settings: Settings;
  migrationsDir: string;
  bootstrapFile: string;
  to?: number;
  log: (text: string) => void;
  /** As of the migrator. */
  signal: AbortSignal;
}): Promise<UpResult> {
  const { settings, log } = options;
  const migrator = need(settings, 'DATABASE_MIGRATOR_URL');
  const admin = settings.values.DATABASE_ADMIN_URL;
  const database = decodeURIComponent(new URL(migrator).pathname.slice(1));
  if (admin === undefined) log('DATABASE_ADMIN_URL is not set: database, roles and extensions are taken to exist');
  else {
    await bootstrapCluster({
      adminUrl: admin,
      database,
      passwords: passwordsOf(settings),
      sqlFile: options.bootstrapFile,
    });
    log('database, roles, extensions and passwords are in place');
  }
  const applied = await migrateUp({
    url: migrator,
    dir: options.migrationsDir,
    log,
    signal: options.signal,
    ...(options.to === undefined ? {} : { to: options.to }),
  });
  const result: UpResult = { bootstrapped: admin !== undefined, applied, hypertables: [], partitionsMade: [] };
  if (options.to !== undefined) return result;
  if (admin !== undefined && settings.values.NOVAX_HYPERTABLES !== 'off') {
    const inside = new URL(admin);
    inside.pathname = new URL(migrator).pathname;
    result.hypertables = await convertToHypertables({ adminUrl: inside.href });
    for (const { table, state, detail } of result.hypertables)
      if (state !== 'already') log(`hypertable ${table}: ${state}, ${detail}`);
  }
  await using client = await connectDatabase(migrator, { name: 'novax-migrate' });
  result.partitionsMade = (await ensurePartitions(client, 3))
    .filter(({ created }) => created)
    .map(({ partition }) => partition);
  return result;
}

/** Passwords by login role, of the addresses that sign in as that role. */
function passwordsOf(settings: Settings): Partial<Record<LoginRole, string>> {
  const passwords: Partial<Record<LoginRole, string>> = {};
  for (const name of DATABASE_URLS) {
    const url = settings.values[name];
    if (url === undefined) continue;
    const { username, password } = new URL(url);
    const role = LOGIN_ROLES.find((login) => login === decodeURIComponent(username));
    if (role !== undefined && password !== '') passwords[role] = decodeURIComponent(password);
  }
  return passwords;
}
