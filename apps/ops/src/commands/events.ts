/** `novax events`: the outbox looked at, freed, and sent again. */
import type { Command } from '@commander-js/extra-typings';
import { isTransient } from '@novax/db/errors';
import { retry as tryAgain } from '@novax/runtime/retry';
import { CommandFailure, examples, UsageFailure, type CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { connectDatabase, type Connection } from '../database/connect.ts';
import { need, readSettings, type Settings } from '../database/settings.ts';
import { outboxStatus, retryEvents, type RetryChoice } from '../events/outbox.ts';
import { replayProjections } from '../events/replay-projections.ts';
import { replayRange } from '../events/replay-range.ts';

/** Adds `status`, `retry` and `replay`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('status')
    .summary('show what waits, what failed and why')
    .option('--check', 'exit 1 when events failed, or the oldest waits longer than a minute')
    .addHelpText('after', examples('novax events status', 'novax events status --check -o json'))
    .action(async ({ check = false }) => status(context(), check));
  command
    .command('retry')
    .summary('free refused and failed events, with all their attempts')
    .option('--id <event>', 'one event, by its id')
    .option('--aggregate <id>', 'those of one document, project, organization …')
    .option('--all-failed', 'every event that used up its attempts')
    .addHelpText('after', examples('novax events retry --all-failed', 'novax events retry --aggregate <id> -o json'))
    .action(async (choice) => retry(context(), choice));
  command
    .command('replay')
    .summary('publish again what was published, or rebuild what is derived')
    .description(
      'With --from and --to, for a stream that lost events or a new consumer: every message carries the header Novax-Replay, and consumers that have applied an event do nothing again. With --projection, for what is derived: it is compared with its tables, and what differs is mended without anybody being told.',
    )
    .option('--from <instant>', 'events that happened at this time or later, ISO 8601')
    .option('--to <instant>', 'and before this one')
    .option('--aggregate <id>', 'those of one document, project, organization … alone')
    .option('--projection <name>', 'one of the projections, or all')
    .option('--organization <id>', 'what the projection holds of one organization alone')
    .option('--dry-run', 'only show what would be sent and who has not applied it, or what differs')
    .option('--wait', 'follow until workers have done what the rebuild owes')
    .addHelpText(
      'after',
      examples(
        'novax events replay --projection all --dry-run',
        'novax events replay --projection vectors --organization <id> --wait',
        'novax events replay --from 2026-05-01T00:00:00Z --to 2026-05-02T00:00:00Z --dry-run',
        'novax events replay --from 2026-05-01T00:00:00Z --to 2026-05-02T00:00:00Z --aggregate <id>',
      ),
    )
    .action(async (given) => replay(context(), given));
}

/** A backlog older than this is one that somebody should look at. */
const LAG_WARN_S = 60;

async function status(context: CommandContext, check: boolean): Promise<void> {
  const { out } = context;
  await using client = await connected(await readSettings(context));
  const { shards, oldestPendingS, refusals } = await outboxStatus(client);
  out.json({ shards, oldestPendingS, refusals });
  out.table(
    ['SHARD', 'PENDING', 'REFUSED', 'FAILED', 'DROPPED', 'PUBLISHED'],
    shards.map(({ shard, pending, refused, failed, dropped, published }) =>
      [shard, pending, refused, failed, dropped, published].map(String),
    ),
  );
  out.line();
  out.line(oldestPendingS === null ? 'nothing waits' : `the oldest waits for ${humanDuration(oldestPendingS * 1000)}`);
  if (refusals.length > 0) {
    out.line();
    out.table(
      ['EVENT', 'TYPE', 'AGGREGATE', 'STATUS', 'TRIES', 'ERROR'],
      refusals.map((one) => [one.eventId, one.type, one.aggregateId, one.status, String(one.attempts), one.error]),
    );
  }
  const failed = shards.reduce((sum, one) => sum + one.failed, 0);
  if (!check) return;
  if (failed > 0)
    throw new CommandFailure(`${failed} events failed and hold their aggregates back`, {
      hint: 'novax events retry, or novax dlq drop to give them up',
      quiet: out.format === 'json',
    });
  if ((oldestPendingS ?? 0) > LAG_WARN_S)
    throw new CommandFailure('the outbox is behind', { quiet: out.format === 'json' });
}

async function retry(context: CommandContext, choice: RetryChoice): Promise<void> {
  const { out } = context;
  const chosen = [choice.id, choice.aggregate, choice.allFailed].filter((one) => one !== undefined && one !== false);
  if (chosen.length !== 1) throw new UsageFailure('choose one of --id, --aggregate and --all-failed');
  checkId(choice.id ?? choice.aggregate);
  const settings = await readSettings(context);
  await using client = await connected(settings);
  // The relay may be moving the very row: 40001 means that it has just gone to another partition.
  const freed = await tryAgain(() => retryEvents(client, choice), {
    attempts: 5,
    baseMs: 20,
    capMs: 500,
    when: isTransient,
  });
  out.json({ freed });
  out.line(`${freed} events are due again`);
  if (freed === 0 && choice.id !== undefined)
    throw new CommandFailure('no refused or failed event has this id', { quiet: out.format === 'json' });
}

interface ReplayOptions {
  from?: string | undefined;
  to?: string | undefined;
  aggregate?: string | undefined;
  projection?: string | undefined;
  organization?: string | undefined;
  dryRun?: boolean | undefined;
  wait?: boolean | undefined;
}

async function replay(context: CommandContext, given: ReplayOptions): Promise<void> {
  const { from, to, aggregate, projection, organization, dryRun = false, wait = false } = given;
  checkId(aggregate ?? organization);
  if (projection !== undefined) {
    if ([from, to, aggregate].some((one) => one !== undefined))
      throw new UsageFailure('--projection goes without --from, --to and --aggregate');
    if (dryRun && wait) throw new UsageFailure('a dry run has nothing to wait for');
    return replayProjections(context, { projection, organization: organization ?? null, dryRun, wait });
  }
  if (organization !== undefined || wait) throw new UsageFailure('--organization and --wait go with --projection');
  if (from === undefined || to === undefined) throw new UsageFailure('name --from and --to, or a --projection');
  await replayRange(context, { from, to, aggregate: aggregate ?? null, dryRun });
}

function connected(settings: Settings): Promise<Connection> {
  // The worker's role sees every event; the migrator, bound by policies, would see none.
  return connectDatabase(need(settings, 'DATABASE_WORKER_URL'), { name: 'novax-events' });
}

function checkId(id: string | undefined): void {
  if (id !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    throw new UsageFailure(`"${id}" is no id`);
}
