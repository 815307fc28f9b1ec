/** `novax dlq`: work that failed for good, shown, done again or dropped. */
import { InvalidArgumentError, Option, type Command } from '@commander-js/extra-typings';
import { idSchema } from '@novax/contracts/ids';
import { isTransient } from '@novax/db/errors';
import { retry } from '@novax/runtime/retry';
import { CommandFailure, examples, UsageFailure, type CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { connectDatabase, reasonOf, type Connection } from '../database/connect.ts';
import { busAddress } from '../database/bus-address.ts';
import { need, readSettings, type Settings } from '../database/settings.ts';
import { dropLetter } from '../dead-letters/drop.ts';
import {
  type ActFacts,
  letterById,
  letterSources,
  letterStatuses,
  listLetters,
  resolveLetter,
  type LetterFilter,
  type Outcome,
  type WholeLetter,
} from '../dead-letters/letters.ts';
import { replayLetter } from '../dead-letters/replay.ts';

/** Letters that one call shows or ends. */
const LETTERS_MAX = 1000;
const REASON_MAX = 200;

const sourceOption = () => new Option('--source <source>', 'only those of').choices(letterSources);
const NAME = ['--name <name>', 'only those of this consumer, job or type of event'] as const;

/** Adds `list`, `show`, `replay` and `drop`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('list')
    .summary('show dead letters, oldest first')
    .addOption(sourceOption())
    .option(...NAME)
    .addOption(new Option('--status <status>', 'which ones').choices([...letterStatuses, 'all']).default('pending'))
    .addHelpText('after', examples('novax dlq list', 'novax dlq list --source job --status all -o json'))
    .action(async ({ source, name, status }) =>
      list(context(), { ...filterOf(source, name), status: status === 'all' ? null : status }),
    );
  command
    .command('show')
    .summary('show one dead letter with its payload and headers')
    .argument('<id>', 'as the list shows it', letterId)
    .addHelpText('after', examples('novax dlq show 0198c0de-0000-7000-8000-000000000000 -o json'))
    .action(async (id) => show(context(), id));
  command
    .command('replay')
    .summary('hand the work to its consumer, queue or stream again')
    .argument('[ids...]', 'as the list shows them', letterIds)
    .option('--all', 'every waiting letter that fits')
    .addOption(sourceOption())
    .option(...NAME)
    .addHelpText('after', examples('novax dlq replay --all --name fan-out', 'novax dlq replay --all --source job'))
    .action(async (ids, { all = false, source, name }) =>
      resolve(context(), { ids, all, filter: filterOf(source, name), end: { status: 'replayed', reason: null } }),
    );
  command
    .command('drop')
    .summary('give up a dead letter, for a reason that the audit trail keeps')
    .description(
      'A letter of the outbox holds its aggregate back; dropping it gives the event up, which is never published then, and the later ones go.',
    )
    .argument('[ids...]', 'as the list shows them', letterIds)
    .requiredOption('--reason <words>', 'why')
    .option('--all', 'every waiting letter that fits')
    .addOption(sourceOption())
    .option(...NAME)
    .addHelpText('after', examples('novax dlq drop --all --name fan-out --reason "of a release that is gone"'))
    .action(async (ids, { all = false, source, name, reason }) =>
      resolve(context(), { ids, all, filter: filterOf(source, name), end: { status: 'dropped', reason } }),
    );
}

async function list(context: CommandContext, filter: LetterFilter): Promise<void> {
  const { out } = context;
  await using client = await connected(await readSettings(context));
  const letters = await listLetters(client, filter);
  const now = Date.now();
  const shown = letters.map((letter) => ({ ...letter, ageMs: Math.max(0, now - Date.parse(letter.createdAt)) }));
  out.json({ letters: shown });
  out.table(
    ['ID', 'SOURCE', 'NAME', 'STATUS', 'AGE', 'ATTEMPTS', 'REASON'],
    shown.map(({ id, source, name, status, ageMs, attempts, error }) => [
      id,
      source,
      name,
      status,
      humanDuration(ageMs),
      String(attempts),
      oneLine(error),
    ]),
  );
  out.line(`${letters.length}${letters.length === LETTERS_MAX ? ' or more' : ''} dead letters`);
}

async function show(context: CommandContext, id: string): Promise<void> {
  const { out } = context;
  await using client = await connected(await readSettings(context));
  const letter = await letterById(client, id);
  if (letter === undefined) throw new CommandFailure(`there is no dead letter ${id}`, { hint: 'novax dlq list' });
  out.json(letter);
  const { payload, headers, error, ...rest } = letter;
  for (const [name, value] of Object.entries(rest)) out.line(`${name.padEnd(16)}${value ?? '-'}`);
  out.line(
    `\nreason\n${error}\n\nheaders\n${JSON.stringify(headers, null, 2)}\n\npayload\n${JSON.stringify(payload, null, 2)}`,
  );
}

async function resolve(
  context: CommandContext,
  what: {
    ids: readonly string[];
    all: boolean;
    filter: LetterFilter;
    end: { status: 'replayed' | 'dropped'; reason: string | null };
  },
): Promise<void> {
  const { out, signal } = context;
  const { end } = what;
  if (what.all === what.ids.length > 0) throw new UsageFailure('name letters, or say --all');
  if (end.reason !== null && (end.reason.trim() === '' || end.reason.length > REASON_MAX))
    throw new UsageFailure(`--reason has 1 to ${REASON_MAX} letters`);
  const settings = await readSettings(context);
  await using client = await connected(settings);
  const ids = what.all ? (await listLetters(client, what.filter)).map(({ id }) => id) : what.ids;
  const act = async (letter: WholeLetter): Promise<ActFacts> => {
    if (end.status === 'dropped') return dropLetter(letter, client);
    await replayLetter(letter, { client, ...servers(settings) });
    return {};
  };
  // The relay may be moving the very event: 40001 means that it has just gone to another partition.
  const again = { attempts: 5, baseMs: 20, capMs: 500, when: isTransient, signal };
  const results: { id: string; outcome: Outcome | 'refused'; error?: string }[] = [];
  for (const id of ids) {
    signal.throwIfAborted();
    try {
      results.push({ id, outcome: await retry(() => resolveLetter(client, id, { ...end, act }), again) });
    } catch (thrown) {
      results.push({ id, outcome: 'refused', error: reasonOf(thrown) });
    }
  }
  const done = results.filter(({ outcome }) => outcome === 'done').length;
  out.json({ [end.status]: done, results });
  for (const { id, outcome, error } of results)
    if (outcome !== 'done')
      out.note(`${id}: ${error ?? (outcome === 'unknown' ? 'there is no such letter' : `is ${outcome} already`)}`);
  out.line(`${done} of ${results.length} dead letters ${end.status}`);
  if (done < results.length) throw new CommandFailure(`${results.length - done} left as they were`, { quiet: true });
}

/** Where the work goes, looked up only when a letter needs it. */
function servers(settings: Settings) {
  return {
    bus: async () => busAddress(need(settings, 'NATS_URL'), settings.values),
    queue: () => ({ url: need(settings, 'QUEUE_REDIS_URL'), prefix: settings.values.QUEUE_PREFIX }),
  };
}

function connected(settings: Settings): Promise<Connection> {
  return connectDatabase(need(settings, 'DATABASE_WORKER_URL'), { name: 'novax-dlq', statementMs: 30_000 });
}

function filterOf(source: LetterFilter['source'] | undefined, name: string | undefined): LetterFilter {
  return { source: source ?? null, name: name ?? null, status: 'pending', limit: LETTERS_MAX };
}

function letterId(text: string): string {
  const parsed = idSchema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('It is not an id.');
  return parsed.data;
}

function letterIds(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), letterId(text)];
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
