/** The `novax` command: its verbs, each loaded only when it is called. */
import { Command, CommanderError, Option } from '@commander-js/extra-typings';
import type { CommandContext, CommandModule } from './command.ts';
import { CommandFailure, examples } from './command.ts';
import { createOutput } from './output.ts';
import type { OutputFormat } from './output.ts';
import type { Sink } from './progress.ts';

interface Verb {
  name: string;
  summary: string;
  load: () => Promise<CommandModule>;
}

/** In the order of the help. */
const VERBS: readonly Verb[] = [
  {
    name: 'start',
    summary: 'start everything in the foreground and show what it does',
    load: () => import('../commands/start.ts'),
  },
  { name: 'up', summary: 'start servers, API and workers in the background', load: () => import('../commands/up.ts') },
  { name: 'down', summary: 'stop everything', load: () => import('../commands/down.ts') },
  { name: 'status', summary: 'show every process, address and state', load: () => import('../commands/status.ts') },
  { name: 'logs', summary: 'show logs of the processes', load: () => import('../commands/logs.ts') },
  { name: 'reset', summary: 'delete the data of the local stack', load: () => import('../commands/reset.ts') },
  {
    name: 'doctor',
    summary: 'check servers, roles, policies and settings, and name the mend',
    load: () => import('../commands/doctor.ts'),
  },
  {
    name: 'seed',
    summary: 'fill the database with an organization to play with',
    load: () => import('../commands/seed.ts'),
  },
  {
    name: 'import',
    summary: 'import a folder of Markdown files as documents',
    load: () => import('../commands/import.ts'),
  },
  {
    name: 'migrate',
    summary: 'apply, revert, inspect and lint migrations',
    load: () => import('../commands/migrate.ts'),
  },
  {
    name: 'events',
    summary: 'show the outbox, free events that were refused, send events again',
    load: () => import('../commands/events.ts'),
  },
  { name: 'partitions', summary: 'list, create and drop partitions', load: () => import('../commands/partitions.ts') },
  {
    name: 'dlq',
    summary: 'show, replay and drop work that failed for good',
    load: () => import('../commands/dlq.ts'),
  },
  {
    name: 'views',
    summary: 'refresh the materialized views that the AI reads',
    load: () => import('../commands/views.ts'),
  },
  {
    name: 'users',
    summary: 'find, suspend and restore accounts',
    load: () => import('../commands/users.ts'),
  },
  {
    name: 'keys',
    summary: 'make and rotate the keys that sign access tokens',
    load: () => import('../commands/keys.ts'),
  },
  { name: 'backup', summary: 'make, verify and restore backups', load: () => import('../commands/backup.ts') },
  { name: 'audit', summary: 'check the seals of the audit trail', load: () => import('../commands/audit.ts') },
  { name: 'manifests', summary: 'render Kubernetes manifests', load: () => import('../commands/manifests.ts') },
];

export interface ProgramOptions {
  checkout: string;
  dir: string;
  env: Readonly<Record<string, string | undefined>>;
  version: string;
  stdout: Sink;
  stderr: Sink;
  signal: AbortSignal;
}

/** Runs one command line (without node and script). Answers the exit code: 0 done, 1 failed, 2 called wrongly. Never throws. */
export async function runProgram(argv: readonly string[], options: ProgramOptions): Promise<number> {
  let out = createOutput({
    format: argvFormat(argv),
    stdout: options.stdout,
    stderr: options.stderr,
    env: options.env,
  });
  try {
    const program = await buildProgram(argv, options, () => ({ ...options, out }));
    program.hook('preAction', (_program, action) => {
      // `-o` is declared on every verb by `finish` below, with these two choices.
      const { output = 'table' } = action.opts() as { output?: OutputFormat };
      out = createOutput({ format: output, stdout: options.stdout, stderr: options.stderr, env: options.env });
    });
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError)
      return ['commander.helpDisplayed', 'commander.version'].includes(error.code) ? 0 : 2;
    if (options.signal.aborted && isAbort(error)) return 130;
    const failure = error instanceof Error ? error : new Error(String(error));
    const code = failure instanceof CommandFailure ? failure.exitCode : 1;
    if (failure instanceof CommandFailure && failure.quiet) return code;
    const hint = failure instanceof CommandFailure ? failure.hint : undefined;
    if (out.format === 'json') out.json({ error: { message: failure.message, hint: hint ?? null } });
    out.note(`${out.colors.red('error:')} ${failure.message}${hint === undefined ? '' : `\n${hint}`}`);
    if (options.env['NOVAX_DEBUG']) out.note(explain(failure));
    return code;
  }
}

async function buildProgram(
  argv: readonly string[],
  options: ProgramOptions,
  context: () => CommandContext,
): Promise<Command> {
  const program = new Command('novax')
    .description('NovaX: the backend for AI-native, multi-tenant work products')
    .version(options.version, '-V, --version')
    .helpCommand('help [verb]', 'show the help of a verb')
    .addHelpText(
      'after',
      examples('npx novax up', 'npx novax status -o json', 'npx novax import ./docs', 'npx novax down'),
    )
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void options.stdout.write(text),
      writeErr: (text) => void options.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  const called = argv.filter((word) => !word.startsWith('-'));
  const wanted = called[0] === 'help' ? called[1] : called[0];
  for (const verb of VERBS) {
    const command = program.command(verb.name).description(verb.summary);
    if (verb.name !== wanted) continue;
    (await verb.load()).register(command, context);
    finish(command);
  }
  return program;
}

/** Gives `-o` to a verb, or to each of its subcommands. */
function finish(command: Command): void {
  if (command.commands.length > 0) {
    for (const child of command.commands) {
      // A subcommand's own argument types do not matter for adding an option.
      finish(child as unknown as Command);
    }
    return;
  }
  command.addOption(
    new Option('-o, --output <format>', 'how to print the result').choices(['table', 'json']).default('table'),
  );
}

/** The format before anything is parsed, for failures of parsing itself. */
function argvFormat(argv: readonly string[]): OutputFormat {
  const at = argv.findIndex((word) => word === '-o' || word === '--output');
  return argv[at + 1] === 'json' && at !== -1
    ? 'json'
    : argv.includes('--output=json') || argv.includes('-ojson')
      ? 'json'
      : 'table';
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.message === 'stopped');
}

function explain(error: Error): string {
  return `${error.stack ?? ''}${error.cause instanceof Error ? `\ncaused by: ${explain(error.cause)}` : ''}`;
}
