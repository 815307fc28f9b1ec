/** Old months of published events and of the inbox leave; what something still needs stays. */
import { prunePartitions } from '@novax/db/queries/upkeep';
import { openDatabase } from '@novax/db/tx';
import type { Client } from 'pg';
import { expect, test } from 'vitest';
import { connect, testDatabase } from '../kit/database.ts';
import { addressesOf, novax } from './run-novax.ts';

/** Makes months that are long over, each with a published event and an inbox row of its time. */
async function oldMonths(admin: Client, months: readonly string[]): Promise<void> {
  for (const month of months) {
    const name = month.replace('-', '_');
    const next = new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 1)).toISOString().slice(0, 10);
    for (const table of ['events_published', 'inbox'])
      await admin.query(
        `create table public.${table}_${name} partition of public.${table} for values from ('${month}-01 00:00:00+00') to ('${next} 00:00:00+00');
         alter table public.${table}_${name} owner to novax_owner`,
      );
    await admin.query(
      `insert into events (event_type, aggregate_type, aggregate_id, actor_type, payload, status, created_at, occurred_at, published_at)
       values ('document.updated', 'document', gen_random_uuid(), 'system', '{}', 'published', $1, $1, $1)`,
      [`${month}-10T00:00:00Z`],
    );
    await admin.query(
      `insert into inbox (consumer, event_id, occurred_at, created_at) values ('reader', gen_random_uuid(), $1, $1)`,
      [`${month}-10T00:00:00Z`],
    );
  }
}

async function monthsOf(admin: Client, table: string): Promise<string[]> {
  const { rows } = await admin.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass and inhrelid::regclass::text < $2 order by 1`,
    [`public.${table}`, `${table}_2025`],
  );
  return rows.map(({ name }) => name);
}

test('months older than the retention go, oldest first, from outbox and inbox; a dry run only names them', async () => {
  await using database = await testDatabase();
  await using admin = await connect(database.adminUrl);
  await oldMonths(admin, ['2024-03', '2024-04']);
  const names = ['events_published_2024_03', 'inbox_2024_03', 'events_published_2024_04', 'inbox_2024_04'];
  const dry = await novax('partitions prune --dry-run -o json', addressesOf(database));
  expect({ code: dry.code, ...JSON.parse(dry.stdout) }).toEqual({
    code: 0,
    keepDays: 30,
    dryRun: true,
    partitions: names,
  });
  expect(await monthsOf(admin, 'inbox')).toHaveLength(2);
  const done = await novax('partitions prune -o json', addressesOf(database));
  expect(JSON.parse(done.stdout)).toMatchObject({ dryRun: false, partitions: names });
  expect(await monthsOf(admin, 'inbox')).toEqual([]);
  expect(await monthsOf(admin, 'events_published')).toEqual([]);
  // The months of today and the DEFAULT are as they were, and take rows.
  expect((await novax('partitions list --check', addressesOf(database))).code).toBe(0);
  expect(JSON.parse((await novax('partitions prune -o json', addressesOf(database))).stdout).partitions).toEqual([]);
});

test('a month stays while an event of it waits or failed, and when something of it was published or applied lately', async () => {
  await using database = await testDatabase();
  await using admin = await connect(database.adminUrl);
  await using db = await openDatabase({ url: database.url('novax_worker'), poolMax: 2 }).then((it) =>
    Object.assign(it, { [Symbol.asyncDispose]: () => it.close() }),
  );
  await oldMonths(admin, ['2024-03', '2024-04', '2024-05', '2024-06']);
  await admin.query(
    `insert into events (event_type, aggregate_type, aggregate_id, actor_type, payload, status, created_at, occurred_at)
     values ('document.updated', 'document', gen_random_uuid(), 'system', '{}', 'failed', '2024-05-10', '2024-05-10')`,
  );
  await admin.query(`update events set published_at = now() where status = 'published' and created_at < '2024-04-01'`);
  await admin.query(
    `update inbox set created_at = now() where occurred_at >= '2024-04-01' and occurred_at < '2024-05-01'`,
  );
  expect(await prunePartitions(db, 30)).toEqual(['inbox_2024_03', 'events_published_2024_04']);
  await admin.query(`delete from events where status = 'failed'`);
  expect(await prunePartitions(db, 30)).toEqual([
    'events_published_2024_05',
    'inbox_2024_05',
    'events_published_2024_06',
    'inbox_2024_06',
  ]);
  expect(await monthsOf(admin, 'events_published')).toEqual(['events_published_2024_03']);
});

test('a retention of less than 30 days is refused by the command and by the database', async () => {
  await using database = await testDatabase();
  expect((await novax('partitions prune --keep-days 29', addressesOf(database))).code).toBe(2);
  await using worker = await connect(database.url('novax_worker'));
  await expect(worker.query(`select private.prune_partition(interval '29 days')`)).rejects.toThrow('at least 30 days');
});

test('a month that somebody reads is waited for, not forced, and goes once it is free', async () => {
  await using database = await testDatabase();
  await using admin = await connect(database.adminUrl);
  await oldMonths(admin, ['2024-03']);
  await using reader = await connect(database.adminUrl);
  await reader.query('begin; select count(*) from events_published_2024_03');
  await using worker = await connect(database.url('novax_worker'));
  await expect(worker.query(`select private.prune_partition(interval '30 days')`)).rejects.toMatchObject({
    code: '55P03',
  });
  const pruning = novax('partitions prune', addressesOf(database));
  await reader.query('commit');
  expect((await pruning).stdout).toContain('dropped events_published_2024_03');
});
