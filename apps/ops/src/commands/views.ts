/** `novax views`: the materialized views that the AI reads, refreshed by hand. */
import type { Command } from '@commander-js/extra-typings';
import { aiViews, type ViewOutcome } from '@novax/db/queries/upkeep';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples } from '../cli/command.ts';
import { connectDatabase, rowOf } from '../database/connect.ts';
import { need, readSettings } from '../database/settings.ts';

/** Adds `refresh`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('refresh')
    .summary('refresh the views that do not show everything yet')
    .option('--force', 'refresh also what shows everything')
    .addHelpText('after', examples('novax views refresh', 'novax views refresh --force -o json'))
    .action(async ({ force = false }) => refresh(context(), force));
}

async function refresh(context: CommandContext, force: boolean): Promise<void> {
  const { out } = context;
  const url = need(await readSettings(context), 'DATABASE_WORKER_URL');
  await using client = await connectDatabase(url, { name: 'novax-views' });
  const views: { view: string; outcome: ViewOutcome; ms: number }[] = [];
  for (const view of aiViews) {
    const started = performance.now();
    const { outcome } = await rowOf<{ outcome: ViewOutcome }>(
      client,
      'select private.refresh_view($1, $2) as outcome',
      [view, force],
    );
    views.push({ view, outcome, ms: Math.round(performance.now() - started) });
  }
  out.json({ views });
  out.table(
    ['VIEW', 'OUTCOME', 'TOOK'],
    views.map(({ view, outcome, ms }) => [view, outcome, `${ms} ms`]),
  );
  if (force && views.some(({ outcome }) => outcome === 'busy'))
    throw new CommandFailure('a view is being refreshed elsewhere', { hint: 'try again in a moment' });
}
