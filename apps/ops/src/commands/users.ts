/** `novax users`: accounts found, suspended and restored by an operator. */
import type { Command } from '@commander-js/extra-typings';
import { CommandFailure, examples, UsageFailure, type CommandContext } from '../cli/command.ts';
import { connectDatabase, type Connection } from '../database/connect.ts';
import { need, readSettings } from '../database/settings.ts';
import { findUsers, setSuspended, type FoundUser } from '../users/users.ts';

const REASON_MAX = 200;

/** Adds `list`, `suspend` and `restore`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('list')
    .summary('show the person behind an address or id, or everybody who is suspended')
    .argument('[person]', 'e-mail address or id')
    .addHelpText('after', examples('novax users list', 'novax users list ada@example.com -o json'))
    .action(async (person) => list(context(), person ?? null));
  command
    .command('suspend')
    .summary('keep a person out: every session ends within a second, and nobody can sign in')
    .argument('<person>', 'e-mail address or id')
    .option('--reason <words>', 'why, for the audit trail')
    .addHelpText(
      'after',
      examples('novax users suspend ada@example.com', 'novax users suspend ada@example.com --reason phishing'),
    )
    .action(async (person, { reason }) => change(context(), person, { suspended: true, reason: reason ?? null }));
  command
    .command('restore')
    .summary('let a suspended person sign in again')
    .argument('<person>', 'e-mail address or id')
    .option('--reason <words>', 'why, for the audit trail')
    .addHelpText('after', examples('novax users restore ada@example.com'))
    .action(async (person, { reason }) => change(context(), person, { suspended: false, reason: reason ?? null }));
}

async function list(context: CommandContext, person: string | null): Promise<void> {
  const { out } = context;
  await using client = await connected(context);
  const users = await findUsers(client, person);
  if (person !== null && users.length === 0) throw new CommandFailure(`there is nobody called ${person}`);
  out.json({ users });
  out.table(
    ['ID', 'E-MAIL', 'NAME', 'STATUS', 'SESSIONS', 'SINCE'],
    users.map(({ id, email, username, status, liveSessions, createdAt }) => [
      id,
      email,
      username,
      status,
      String(liveSessions),
      createdAt.slice(0, 10),
    ]),
  );
}

async function change(
  context: CommandContext,
  person: string,
  { suspended, reason }: { suspended: boolean; reason: string | null },
): Promise<void> {
  const { out } = context;
  if (reason !== null && reason.length > REASON_MAX)
    throw new UsageFailure(`--reason has at most ${REASON_MAX} letters`);
  await using client = await connected(context);
  const { id, email } = await onlyOne(client, person);
  const { outcome, endedSessions } = await setSuspended(client, { userId: id, suspended, reason });
  if (outcome !== 'done') throw new CommandFailure(`${email} is ${outcome === 'unknown' ? 'gone' : outcome}`);
  const status = suspended ? 'suspended' : 'active';
  out.json({ id, email, status, endedSessions });
  out.line(`${email} is ${status}${suspended ? `; sessions ended: ${endedSessions}` : ''}.`);
}

/** The person meant. A deleted account keeps its address, which may be somebody else's by now: the living one is meant then. */
async function onlyOne(client: Connection, person: string): Promise<FoundUser> {
  const found = await findUsers(client, person);
  const [one] = found.filter(({ status }) => status !== 'deleted').concat(found);
  if (one === undefined) throw new CommandFailure(`there is nobody called ${person}`, { hint: 'novax users list' });
  return one;
}

async function connected(context: CommandContext): Promise<Connection> {
  const url = need(await readSettings(context), 'DATABASE_MIGRATOR_URL');
  return connectDatabase(url, { name: 'novax-users', statementMs: 30_000 });
}
