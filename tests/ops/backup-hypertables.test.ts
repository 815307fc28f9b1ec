/** Backups of a database whose measurements are hypertables, where the server has TimescaleDB. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertToHypertables } from '@novax/db/hypertables';
import { expect, test } from 'vitest';
import { createBackup } from '../../apps/ops/src/backup/create.ts';
import { restoreBackup } from '../../apps/ops/src/backup/restore.ts';
import { directoryTarget } from '../../apps/ops/src/backup/target.ts';
import { BOOTSTRAP_SQL, connect, MIGRATIONS_DIR, testAdminUrl, testDatabase } from '../kit/database.ts';

const preloaded = await (async () => {
  await using client = await connect(testAdminUrl());
  const { rows } = await client.query<{ yes: boolean }>(
    `select current_setting('shared_preload_libraries') ~ 'timescaledb' as yes`,
  );
  return rows[0]?.yes === true;
})();

test.skipIf(!preloaded)(
  'measurements saved from hypertables come back in the monthly partitions they belong to, none in the DEFAULT',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'novax-backup-hyper-'));
    try {
      await using source = await testDatabase();
      const outcomes = await convertToHypertables({ adminUrl: source.adminUrl });
      expect(outcomes.map(({ state }) => state)).toEqual(['converted', 'converted']);
      {
        await using admin = await connect(source.adminUrl);
        await admin.query(
          `insert into public.metric_samples (metric, value, sampled_at) select 'queue_depth', n, now() - make_interval(days => n) from generate_series(0, 400) n`,
        );
      }
      const target = directoryTarget(folder);
      const { name } = await createBackup({ url: source.url('novax_backup'), target });
      await using into = await testDatabase({ migrated: false });
      await restoreBackup({
        target,
        name,
        adminUrl: into.adminUrl,
        migrationsDir: MIGRATIONS_DIR,
        bootstrapFile: BOOTSTRAP_SQL,
      });
      await using client = await connect(into.adminUrl);
      const { rows } = await client.query(
        `select (select count(*)::int from public.metric_samples) as rows, (select count(*)::int from public.metric_samples_default) as stray`,
      );
      expect(rows).toEqual([{ rows: 401, stray: 0 }]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
