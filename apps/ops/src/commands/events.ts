/** `novax events`: the outbox looked at, freed, and sent again. */
import { readFile } from 'node:fs/promises';
import type { Command } from '@commander-js/extra-typings';
import { connectBus } from '@novax/adapters/bus';
import type { Envelope } from '@novax/contracts/events/envelope';
import { isTransient } from '@novax/db/errors';
import { toEnvelope } from '@novax/db/outbox';
import type { EventBus } from '@novax/domain/ports';
import { createLogger } from '@novax/runtime/log';
import { retry as tryAgain } from '@novax/runtime/retry';
import { CommandFailure, examples, UsageFailure, type CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { connectDatabase, type Connection } from '../database/connect.ts';
import { need, readSettings, type Settings } from '../database/settings.ts';
import { outboxStatus, publishedEvents, retryEvents, type ReplayRange, type RetryChoice } from '../events/outbox.ts';

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
    .summary('publish again what was published')
    .description(
      'For a stream that lost events or a new consumer. Every message carries the header Novax-Replay; consumers that have applied an event do nothing again.',
    )
    .requiredOption('--from <instant>', 'events that happened at this time or later, ISO 8601')
    .requiredOption('--to <instant>', 'and before this one')
    .option('--aggregate <id>', 'those of one document, project, organization … alone')
    .option('--dry-run', 'only show what would be sent')
    .addHelpText(
      'after',
      examples(
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
    ['SHARD', 'PENDING', 'REFUSED', 'FAILED', 'PUBLISHED'],
    shards.map(({ shard, pending, refused, failed, published }) =>
      [shard, pending, refused, failed, published].map(String),
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
      hint: 'novax events retry',
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
  from: string;
  to: string;
  aggregate?: string | undefined;
  dryRun?: boolean | undefined;
}

async function replay(context: CommandContext, given: ReplayOptions): Promise<void> {
  const { out, signal } = context;
  const dryRun = given.dryRun ?? false;
  checkId(given.aggregate);
  const range = {
    from: instant('--from', given.from),
    to: instant('--to', given.to),
    aggregate: given.aggregate ?? null,
  };
  if (range.from >= range.to) throw new UsageFailure('--from is not before --to');
  const settings = await readSettings(context);
  await using client = await connected(settings);
  const bus = dryRun ? null : await busOf(settings, context);
  try {
    const { sent, events, refused } = await send(client, { range, bus, signal });
    out.json({ dryRun, count: sent, events: dryRun ? events : [], refused });
    out.table(
      ['EVENT', 'TYPE', 'AGGREGATE', 'VERSION', 'OCCURRED'],
      dryRun ? events.map((one) => [one.id, one.type, one.aggregate, String(one.version), one.occurredAt]) : [],
    );
    out.line(`${sent} events ${dryRun ? 'would be ' : ''}sent again`);
    if (refused !== null)
      throw new CommandFailure(`the stream refused ${refused.id}: ${refused.error}`, { quiet: out.format === 'json' });
  } finally {
    await bus?.close();
  }
}

/** Shown of a dry run; a range may hold millions. */
const SHOWN_MAX = 1_000;

/** In order, page after page, each acknowledged before the next; stops at the first refusal. */
async function send(
  client: Connection,
  { range, bus, signal }: { range: ReplayRange; bus: EventBus | null; signal: AbortSignal },
) {
  const events: { id: string; type: string; aggregate: string; version: number; occurredAt: string }[] = [];
  const name = new Date().toISOString();
  let sent = 0;
  let after = '0';
  for (;;) {
    signal.throwIfAborted();
    const rows = await publishedEvents(client, range, after);
    const last = rows.at(-1);
    if (last === undefined) return { sent, events, refused: null };
    after = last.id;
    const envelopes = rows.map(toEnvelope);
    for (const { id, type, aggregate, occurredAt } of envelopes)
      if (events.length < SHOWN_MAX)
        events.push({ id, type, aggregate: aggregate.id, version: aggregate.version, occurredAt });
    if (bus === null) {
      sent += rows.length;
      continue;
    }
    for (const wave of waves(envelopes)) {
      const results = await bus.publish(wave, { replay: name });
      sent += results.filter((result) => result.ok).length;
      const refused = results.find((result) => !result.ok);
      if (refused?.ok === false) return { sent, events, refused: { id: refused.id, error: refused.error } };
    }
  }
}

/** At most one event per aggregate in each: the next of an aggregate goes out when the one before it is safe. */
function waves(envelopes: readonly Envelope[]): Envelope[][] {
  const depth = new Map<string, number>();
  const out: Envelope[][] = [];
  for (const envelope of envelopes) {
    const wave = depth.get(envelope.aggregate.id) ?? 0;
    depth.set(envelope.aggregate.id, wave + 1);
    (out[wave] ??= []).push(envelope);
  }
  return out;
}

function connected(settings: Settings): Promise<Connection> {
  // The worker's role sees every event; the migrator, bound by policies, would see none.
  return connectDatabase(need(settings, 'DATABASE_WORKER_URL'), { name: 'novax-events' });
}

async function busOf(settings: Settings, { env }: CommandContext): Promise<EventBus> {
  const log = createLogger({ name: 'novax-events', level: 'silent' });
  const credentials = settings.values.NATS_CREDS_FILE;
  return connectBus({
    url: need(settings, 'NATS_URL'),
    ...(credentials === undefined ? {} : { credentials: await readFile(credentials, 'utf8') }),
    namespace: env['NATS_NAMESPACE'],
    log,
    connectWithinMs: 3_000,
  });
}

function instant(option: string, text: string): Date {
  const time = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(time.getTime()))
    throw new UsageFailure(`${option} is not an instant like 2026-05-01T00:00:00Z`);
  return time;
}

function checkId(id: string | undefined): void {
  if (id !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    throw new UsageFailure(`"${id}" is no id`);
}
