/** `novax events replay --from --to`: published events sent again, in order; a dry run shows what, and whom it would change. */
import { readFile } from 'node:fs/promises';
import { connectBus } from '@novax/adapters/bus';
import type { Envelope } from '@novax/contracts/events/envelope';
import { toEnvelope } from '@novax/db/outbox';
import type { EventBus } from '@novax/domain/ports';
import { createLogger } from '@novax/runtime/log';
import { CommandFailure, UsageFailure, type CommandContext } from '../cli/command.ts';
import { connectDatabase, type Connection } from '../database/connect.ts';
import { need, readSettings, type Settings } from '../database/settings.ts';
import { consumerDifferences } from './consumers.ts';
import { publishedEvents, type ReplayRange } from './outbox.ts';

export interface RangeOptions {
  /** As given on the command line. */
  readonly from: string;
  readonly to: string;
  readonly aggregate: string | null;
  readonly dryRun: boolean;
}

/** Sends the range again, or shows it. Throws `UsageFailure` for a range that is none, `CommandFailure` when the stream refuses an event. */
export async function replayRange(context: CommandContext, options: RangeOptions): Promise<void> {
  const { out, signal } = context;
  const { aggregate, dryRun } = options;
  const range = { from: instant('--from', options.from), to: instant('--to', options.to), aggregate };
  if (range.from >= range.to) throw new UsageFailure('--from is not before --to');
  const settings = await readSettings(context);
  await using client = await connectDatabase(need(settings, 'DATABASE_WORKER_URL'), { name: 'novax-events' });
  const bus = dryRun ? null : await busOf(settings, context);
  try {
    const { sent, events, refused } = await send(client, { range, bus, signal });
    const consumers = dryRun ? await consumerDifferences(client, range) : [];
    out.json({ dryRun, count: sent, events: dryRun ? events : [], refused, ...(dryRun ? { consumers } : {}) });
    if (dryRun) {
      out.table(
        ['EVENT', 'TYPE', 'AGGREGATE', 'VERSION', 'OCCURRED'],
        events.map((one) => [one.id, one.type, one.aggregate, String(one.version), one.occurredAt]),
      );
      out.line();
      out.table(
        ['CONSUMER', 'APPLIED', 'OVERTAKEN', 'NOT APPLIED', 'FIRST OF THOSE'],
        consumers.map(({ consumer, applied, overtaken, notApplied, examples: [first = '-'] }) => [
          consumer,
          String(applied),
          String(overtaken),
          String(notApplied),
          first,
        ]),
      );
      out.line();
    }
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
