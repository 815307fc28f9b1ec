/** `novax migrate`: applies, reverts, inspects and lints migrations. */
import { confirm, isCancel } from '@clack/prompts';
import type { Command } from '@commander-js/extra-typings';
import { forceVersion, migrateDown, migrationPlan, migrationStatus } from '@novax/db/migrate';
import { loadMigrations } from '@novax/db/migrations/files';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples, UsageFailure } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { need, readSettings } from '../database/settings.ts';
import { lintDatabase, lintFiles } from '../migrate/lint.ts';
import { bringUp } from '../migrate/up.ts';
import { bootstrapFile, migrationsDir } from '../stack/database.ts';

/** Adds `up`, `down`, `status`, `plan`, `lint` and `force`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('up')
    .summary('apply what is missing')
    .description(
      'With DATABASE_ADMIN_URL: first database, roles, extensions and passwords, afterwards hypertables (NOVAX_HYPERTABLES=off leaves them). Always: partitions.',
    )
    .option('--to <version>', 'stop after this version')
    .addHelpText('after', examples('novax migrate up', 'novax migrate up --to 12'))
    .action(async ({ to }) => up(context(), to));
  command
    .command('down')
    .summary('revert the newest migrations')
    .requiredOption('--steps <n>', 'how many')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `\nWhat the reverted migrations stored is lost.\n${examples('novax migrate down --steps 1', 'novax migrate down --steps 2 --yes')}`,
    )
    .action(async ({ steps, yes = false }) => down(context(), steps, yes));
  command
    .command('status')
    .summary('show what is applied and what is missing; exit 1 when dirty or edited')
    .addHelpText('after', examples('novax migrate status'))
    .action(async () => status(context()));
  command
    .command('plan')
    .summary('show what "up" would run')
    .addHelpText('after', examples('novax migrate plan -o json'))
    .action(async () => plan(context()));
  command
    .command('lint')
    .summary('check the files, and the schema of the database where one is there')
    .addHelpText('after', examples('novax migrate lint'))
    .action(async () => lint(context()));
  command
    .command('force <version>')
    .summary('declare that the schema is at this version, running nothing: the mend after a repair by hand')
    .addHelpText('after', examples('novax migrate force 12'))
    .action(async (version) => force(context(), version));
}

async function up(context: CommandContext, to: string | undefined): Promise<void> {
  const { checkout, out, signal } = context;
  const settings = await readSettings(context);
  need(settings, 'DATABASE_MIGRATOR_URL');
  const dir = migrationsDir(checkout);
  const total = to === undefined ? (await loadMigrations(dir)).length : wholeNumber('--to', to);
  const progress = out.progress('migrate');
  const began = Date.now();
  try {
    const result = await bringUp({
      settings,
      migrationsDir: dir,
      bootstrapFile: bootstrapFile(checkout),
      signal,
      ...(to === undefined ? {} : { to: wholeNumber('--to', to) }),
      log: (text) => {
        const [, version] = /^(\d{6})_.*\.sql \(/.exec(text) ?? [];
        if (version !== undefined) progress.update(text, Math.min(1, Number(version) / Math.max(1, total)));
        else progress.line(`  ${text}`);
      },
    });
    const { applied, partitionsMade } = result;
    progress.done(
      applied.length === 0
        ? `nothing was missing; the schema is at version ${total}`
        : `${applied.length} migrations in ${humanDuration(Date.now() - began)}; the schema is at version ${applied.at(-1)?.version ?? total}`,
    );
    if (partitionsMade.length > 0) out.line(`${partitionsMade.length} partitions made`);
    out.json(result);
  } catch (error) {
    progress.fail();
    throw error;
  }
}

async function down(context: CommandContext, given: string, yes: boolean): Promise<void> {
  const { checkout, out, signal } = context;
  const steps = wholeNumber('--steps', given);
  if (steps < 1) throw new UsageFailure('--steps is at least 1');
  const url = need(await readSettings(context), 'DATABASE_MIGRATOR_URL');
  const options = { url, dir: migrationsDir(checkout) };
  if (!yes) {
    const { current, migrations } = await migrationStatus(options);
    const names = migrations
      .filter(({ version }) => version <= current && version > current - steps)
      .map(({ name }) => name)
      .reverse();
    const what = `reverting ${names.length} migrations (${names.join(', ')}) loses what they stored`;
    if (!out.interactive || !process.stdin.isTTY)
      throw new UsageFailure(what, { hint: `to do it without being asked: novax migrate down --steps ${steps} --yes` });
    const answer = await confirm({ message: `${what}. Go on?`, initialValue: false });
    if (isCancel(answer) || !answer) throw new CommandFailure('nothing was reverted');
  }
  const reverted = await migrateDown({ ...options, steps, log: (line) => out.note(line), signal });
  out.json({ reverted });
  out.line(`${reverted.length} migrations reverted`);
}

async function status(context: CommandContext): Promise<void> {
  const { out } = context;
  const found = await migrationStatus({
    url: need(await readSettings(context), 'DATABASE_MIGRATOR_URL'),
    dir: migrationsDir(context.checkout),
  });
  out.json(found);
  out.table(
    ['VERSION', 'NAME', 'STATE', 'APPLIED', 'TOOK'],
    found.migrations.map(({ version, name, state, appliedAt, durationMs }) => [
      String(version).padStart(6, '0'),
      name,
      state === 'applied' ? state : out.colors[state === 'edited' ? 'red' : 'yellow'](state),
      appliedAt?.toISOString().slice(0, 19).replace('T', ' ') ?? '',
      durationMs === null ? '' : humanDuration(durationMs),
    ]),
  );
  const edited = found.migrations.filter(({ state }) => state === 'edited').length;
  const mend = found.dirty
    ? '; dirty: repair by hand, then novax migrate force <version>'
    : edited > 0
      ? `; ${edited} files were edited after they were applied: restore them`
      : '';
  out.line(`version ${found.current} of ${found.latest}${mend}`);
  if (found.dirty || edited > 0) throw new CommandFailure('the migrations need a hand', { quiet: true });
}

async function plan(context: CommandContext): Promise<void> {
  const { out } = context;
  const steps = await migrationPlan({
    url: need(await readSettings(context), 'DATABASE_MIGRATOR_URL'),
    dir: migrationsDir(context.checkout),
  });
  out.json({ plan: steps });
  if (steps.length === 0) return out.line('nothing is missing');
  out.table(
    ['FILE', 'STATEMENTS', 'TRANSACTION'],
    steps.map(({ file, statements, transactional }) => [file, String(statements), transactional ? 'yes' : 'no']),
  );
}

async function lint(context: CommandContext): Promise<void> {
  const { checkout, out, signal } = context;
  const files = await lintFiles(checkout, migrationsDir(checkout), signal);
  const settings = await readSettings(context);
  const url = settings.values.DATABASE_MIGRATOR_URL;
  const findings = url === undefined ? null : await lintDatabase(url);
  out.json({ files, catalogue: findings });
  if (files.state === 'findings') out.line(files.output);
  out.line(
    files.state === 'not installed'
      ? `${files.files} files: squawk is not installed (${files.output})`
      : `${files.files} files: ${files.state}`,
  );
  if (findings === null) out.line('catalogue: not checked, no database is running');
  else {
    if (findings.length > 0)
      out.table(
        ['RULE', 'OBJECT', 'DETAIL'],
        findings.map(({ rule, object, detail }) => [rule, object, detail]),
      );
    out.line(`catalogue: ${findings.length} findings`);
  }
  if (files.state === 'findings' || (findings?.length ?? 0) > 0)
    throw new CommandFailure('the schema breaks its rules', { quiet: true });
}

async function force(context: CommandContext, given: string): Promise<void> {
  const version = wholeNumber('the version', given);
  await forceVersion({
    url: need(await readSettings(context), 'DATABASE_MIGRATOR_URL'),
    dir: migrationsDir(context.checkout),
    version,
  });
  context.out.json({ version, dirty: false });
  context.out.line(`the schema is declared to be at version ${version}`);
}

function wholeNumber(what: string, text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageFailure(`${what} is a whole number, not "${text}"`);
  return Number(text);
}
