/** `novax partitions`: the monthly partitions, listed, made and dropped. */
import type { Command } from '@commander-js/extra-typings';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples, UsageFailure } from '../cli/command.ts';
import { connectDatabase } from '../database/connect.ts';
import { humanBytes } from '../database/format.ts';
import { need, readSettings } from '../database/settings.ts';
import {
  ensurePartitions,
  managedTables,
  partitionTroubles,
  prunablePartitions,
  prunePartition,
} from '../partitions/partitions.ts';

/** Nothing younger may be asked for; the database refuses it too. */
const KEEP_MIN_DAYS = 30;

/** Adds `list`, `ensure` and `prune`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('list')
    .summary('show partitions, their sizes and how long they last')
    .option('--check', 'exit 1 when partitions run out within a month, or a DEFAULT partition holds rows')
    .addHelpText('after', examples('novax partitions list', 'novax partitions list --check -o json'))
    .action(async ({ check = false }) => list(context(), check));
  command
    .command('ensure')
    .summary('make the missing partitions of this month and the next ones')
    .option('--months <n>', 'how many months ahead', '3')
    .addHelpText('after', examples('novax partitions ensure', 'novax partitions ensure --months 12'))
    .action(async ({ months }) => ensure(context(), months));
  command
    .command('prune')
    .summary('drop old months of published events and of the inbox')
    .description(
      'Drops months that ended before the retention began, oldest first. A month stays while an event of it waits or failed, or when something of it was published or applied lately.',
    )
    .option('--keep-days <n>', 'how long they are kept, at least 30 (default: EVENT_RETENTION_DAYS, or 30)')
    .option('--dry-run', 'only show what would go')
    .addHelpText('after', examples('novax partitions prune --dry-run', 'novax partitions prune --keep-days 90'))
    .action(async ({ keepDays, dryRun = false }) => prune(context(), { keepDays, dryRun }));
}

async function list(context: CommandContext, check: boolean): Promise<void> {
  const { out } = context;
  // The backup role sees rows in a DEFAULT partition, which policies hide from the others.
  const url = need(await readSettings(context), 'DATABASE_BACKUP_URL', 'DATABASE_MIGRATOR_URL', 'DATABASE_WORKER_URL');
  await using client = await connectDatabase(url, { name: 'novax-partitions', statementMs: 60_000 });
  const tables = await managedTables(client);
  const troubles = partitionTroubles(tables);
  out.json({ tables, troubles });
  out.table(
    ['TABLE', 'PARTITION', 'FROM', 'TO', 'ROWS ~', 'SIZE'],
    tables.flatMap(({ table, partitions }) =>
      partitions.map(({ name, from, to, rows, bytes }) => [
        table,
        name,
        from?.slice(0, 10) ?? 'DEFAULT',
        to?.slice(0, 10) ?? '',
        String(rows),
        humanBytes(bytes),
      ]),
    ),
  );
  out.line();
  out.table(
    ['TABLE', 'LASTS', 'IN DEFAULT'],
    tables.map(({ table, runwayDays, default: rest }) => [
      table,
      `${runwayDays} days`,
      rest === null ? 'no DEFAULT' : `${rest.exact ? '' : 'about '}${rest.rows}`,
    ]),
  );
  for (const trouble of troubles) out.note(`${out.colors.yellow('warn')}  ${trouble}  → novax partitions ensure`);
  if (tables.length === 0) throw new CommandFailure('there are no partitioned tables', { hint: 'novax migrate up' });
  if (check && troubles.length > 0)
    throw new CommandFailure(`${troubles.length} troubles with partitions`, { quiet: true });
}

async function ensure(context: CommandContext, months: string): Promise<void> {
  const { out } = context;
  if (!/^\d{1,2}$/.test(months) || Number(months) > 60)
    throw new UsageFailure('--months is a whole number from 0 to 60');
  const url = need(await readSettings(context), 'DATABASE_WORKER_URL', 'DATABASE_MIGRATOR_URL');
  await using client = await connectDatabase(url, { name: 'novax-partitions' });
  const all = await ensurePartitions(client, Number(months));
  const created = all.filter((partition) => partition.created);
  out.json({ partitions: all.length, created: created.map(({ parent, partition }) => ({ table: parent, partition })) });
  for (const { partition } of created) out.line(`made ${partition}`);
  out.line(`${created.length} partitions made, ${all.length - created.length} were there`);
}

async function prune(
  context: CommandContext,
  { keepDays, dryRun }: { keepDays: string | undefined; dryRun: boolean },
): Promise<void> {
  const { out, env, signal } = context;
  const days = keepDays ?? env['EVENT_RETENTION_DAYS'] ?? String(KEEP_MIN_DAYS);
  if (!/^\d{1,5}$/.test(days) || Number(days) < KEEP_MIN_DAYS)
    throw new UsageFailure(`--keep-days is a whole number from ${KEEP_MIN_DAYS} on`);
  const url = need(await readSettings(context), 'DATABASE_WORKER_URL', 'DATABASE_MIGRATOR_URL');
  await using client = await connectDatabase(url, { name: 'novax-partitions' });
  const dropped: string[] = [];
  if (dryRun) {
    for (const { partition } of await prunablePartitions(client, Number(days))) dropped.push(partition);
  } else {
    for (;;) {
      signal.throwIfAborted();
      const partition = await prunePartition(client, Number(days));
      if (partition === null) break;
      dropped.push(partition);
    }
  }
  out.json({ keepDays: Number(days), dryRun, partitions: dropped });
  for (const partition of dropped) out.line(`${dryRun ? 'would drop' : 'dropped'} ${partition}`);
  out.line(`${dropped.length} partitions ${dryRun ? 'would be' : ''} dropped`.replace('  ', ' '));
}
