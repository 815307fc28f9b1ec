/** `novax events replay --projection`: what is derived held against its tables, the difference shown, and mended unless it is a dry run. */
import { createFileStore } from '@novax/adapters/blobs';
import { localModelId } from '@novax/adapters/embedder-local';
import { connectJobQueue } from '@novax/adapters/queues';
import type { JobQueue } from '@novax/domain/ports';
import { createLogger } from '@novax/runtime/log';
import { CommandFailure, UsageFailure, type CommandContext } from '../cli/command.ts';
import { connectDatabase, rowsOf, type Connection } from '../database/connect.ts';
import { need, readSettings, type Settings } from '../database/settings.ts';
import { projections } from '../projections/all.ts';
import { differing, measure, type Measured } from '../projections/measure.ts';
import type { EmbeddingModel, Projection } from '../projections/projection.ts';
import { follow, rebuild } from '../projections/rebuild.ts';

export interface ProjectionOptions {
  readonly projection: string;
  readonly organization: string | null;
  readonly dryRun: boolean;
  readonly wait: boolean;
}

/** Without progress for so long, something holds it up that waiting does not mend. */
const stallMs = 5 * 60_000;

/** Compares, and unless it is a dry run rebuilds and compares again. Throws `CommandFailure` when something failed, or differs after `wait`. */
export async function replayProjections(context: CommandContext, options: ProjectionOptions): Promise<void> {
  const { out, signal } = context;
  const { organization: organizationId, dryRun, wait } = options;
  const chosen = chosenOf(options.projection);
  const settings = await readSettings(context);
  await using client = await connectDatabase(need(settings, 'DATABASE_WORKER_URL'), { name: 'novax-projections' });
  // A comparison reads every text there is; the role's own bound is for jobs.
  await client.query(`set statement_timeout = '30min'`);
  await using queue = queueOf(settings);
  const parts = {
    client,
    organizationId,
    model: await modelOf(settings, client),
    searchEngine: searchEngineOf(settings),
    files: createFileStore(settings.values),
    queue: () => queue.open(),
    signal,
  };
  const found: Measured[] = [];
  for (const projection of chosen) found.push(await measure(projection, parts));
  if (!dryRun) print(context, 'before', found);
  let left: readonly Measured[] = found;
  if (!dryRun) {
    const after: Measured[] = [];
    for (const [at, projection] of chosen.entries()) {
      const before = found[at];
      if (before !== undefined) after.push(await rebuild(projection, before, parts));
    }
    left = after;
    if (wait && after.some(({ state }) => state === 'differs')) {
      const progress = out.progress('rebuilding');
      left = await follow(chosen, parts, { progress, stallMs });
      const count = left.reduce((sum, one) => sum + differing(one), 0);
      if (count === 0) progress.done();
      else progress.fail(`${count} left`);
    }
  }
  print(context, dryRun ? 'dry run' : 'after', left);
  out.json({ dryRun, organizationId, projections: found, ...(dryRun ? {} : { left }) });
  const failed = [...found, ...left].filter(({ state }) => state === 'failed');
  const quiet = out.format === 'json';
  if (failed.length > 0)
    throw new CommandFailure([...new Set(failed.map(({ name, reason }) => `${name}: ${reason}`))].join('\n'), {
      quiet,
    });
  if (wait && left.some(({ state }) => state === 'differs'))
    throw new CommandFailure(`nothing more was mended for ${stallMs / 60_000} minutes`, {
      hint: 'novax dlq list --source job',
      quiet,
    });
}

function chosenOf(name: string): readonly Projection[] {
  if (name === 'all') return projections;
  const chosen = projections.filter((one) => one.name === name);
  if (chosen.length === 0)
    throw new UsageFailure(`there is no projection ${name}; choose all or ${projectionNames().join(', ')}`);
  return chosen;
}

/** In the order in which they are rebuilt. */
export function projectionNames(): readonly string[] {
  return projections.map(({ name }) => name);
}

function print({ out }: CommandContext, when: 'dry run' | 'before' | 'after', measured: readonly Measured[]): void {
  if (when === 'after') out.line();
  out.table(
    ['PROJECTION', 'MISSING', 'STALE', 'EXTRA', when === 'after' ? 'IS NOW' : 'IS'],
    measured.map((one) => [one.name, ...counts(one), stateOf(one, when)]),
  );
  const examples = measured.flatMap(({ name, examples: some }) => some.map((row) => ({ name, ...row })));
  if (examples.length === 0 || when === 'after') return;
  out.line();
  out.table(
    ['PROJECTION', 'DIFFERENCE', 'ORGANIZATION', 'ID'],
    examples.map(({ name, kind, organizationId, id }) => [name, kind, organizationId ?? '-', id]),
  );
}

function counts({ missing, stale, extra, state }: Measured): string[] {
  return state === 'absent' || state === 'failed' ? ['-', '-', '-'] : [missing, stale, extra].map(String);
}

function stateOf(one: Measured, when: 'dry run' | 'before' | 'after'): string {
  if (one.reason !== null) return one.reason;
  if (one.state === 'equal') return 'as its tables say';
  if (when !== 'after') return 'different';
  const byWorkers = projections.some(({ name, mends }) => name === one.name && mends === 'by workers');
  return byWorkers ? 'owed, workers do it' : 'different again: it changes all the time';
}

async function modelOf(settings: Settings, client: Connection): Promise<EmbeddingModel> {
  const { EMBEDDING_PROVIDER: provider = 'local', EMBEDDING_MODEL: given } = settings.values;
  const name = provider === 'local' ? localModelId : (given ?? '');
  const [row] = await rowsOf<{ id: number }>(client, 'select id from embedding_models where name = $1', [name]);
  return { name, id: row?.id ?? null };
}

function searchEngineOf({ values }: Settings): { readonly url: string; readonly apiKey: string } | null {
  return values.MEILI_URL === undefined ? null : { url: values.MEILI_URL, apiKey: values.MEILI_MASTER_KEY ?? '' };
}

/** The job queue, connected when it is first needed and closed with the scope. */
function queueOf(settings: Settings): { readonly open: () => Promise<JobQueue> } & AsyncDisposable {
  let opened: Promise<JobQueue> | undefined;
  const open = async (): Promise<JobQueue> =>
    connectJobQueue({
      url: need(settings, 'QUEUE_REDIS_URL'),
      prefix: settings.values.QUEUE_PREFIX,
      log: createLogger({ name: 'novax-projections', level: 'silent' }),
    });
  return {
    open: () => (opened ??= open()),
    async [Symbol.asyncDispose]() {
      const queue = await opened?.catch(() => undefined);
      await queue?.close();
    },
  };
}
