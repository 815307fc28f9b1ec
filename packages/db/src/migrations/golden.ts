/**
 * Writes or checks `migrations/schema.sql`: makes a scratch database on the given cluster, bootstraps and migrates it,
 * dumps it, drops it. Run with Node 24: `node packages/db/src/migrations/golden.ts --admin-url <superuser URL> --write`
 * (or `--check`, exit 1 when it differs).
 */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, escapeIdentifier } from 'pg';
import { bootstrapCluster, withDatabase } from '../bootstrap.ts';
import { migrateUp } from '../migrate.ts';
import { dumpSchema } from './dump.ts';

/**
 * The dump of a fresh database on the cluster of `adminUrl` after every migration of `dir`; the database is gone
 * afterwards.
 */
export async function generateGolden(options: { adminUrl: string; dir: string; sqlFile: string }): Promise<string> {
  const database = `novax_golden_${randomBytes(4).toString('hex')}`;
  const url = withDatabase(options.adminUrl, database);
  try {
    await bootstrapCluster({ adminUrl: options.adminUrl, database, passwords: {}, sqlFile: options.sqlFile });
    await migrateUp({ url, dir: options.dir });
    return await dumpSchema(url);
  } finally {
    const client = new Client({ connectionString: withDatabase(options.adminUrl, 'postgres') });
    await client.connect();
    await client.query(`drop database if exists ${escapeIdentifier(database)} with (force)`);
    await client.end();
  }
}

async function main(): Promise<void> {
  const root = fileURLToPath(new URL('../../../..', import.meta.url));
  const { values } = parseArgs({
    options: {
      'admin-url': { type: 'string' },
      'dir': { type: 'string', default: join(root, 'migrations') },
      'bootstrap-sql': { type: 'string', default: join(root, 'infra/images/postgres/bootstrap.sql') },
      'write': { type: 'boolean', default: false },
      'check': { type: 'boolean', default: false },
    },
  });
  if (values['admin-url'] === undefined || values.write === values.check) {
    process.stderr.write('usage: golden.ts --admin-url <superuser URL> (--write | --check)\n');
    process.exitCode = 2;
    return;
  }
  const golden = await generateGolden({
    adminUrl: values['admin-url'],
    dir: values.dir,
    sqlFile: values['bootstrap-sql'],
  });
  const file = join(values.dir, 'schema.sql');
  if (values.write) {
    await writeFile(file, golden);
  } else if ((await readFile(file, 'utf8').catch(() => '')) !== golden) {
    process.stderr.write(`${file} is not what the migrations make; run this with --write and review the difference\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
