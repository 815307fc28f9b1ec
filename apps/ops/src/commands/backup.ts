/** `novax backup`: makes, lists, verifies and restores backups. */
import { join, resolve } from 'node:path';
import { createFileStore } from '@novax/adapters/blobs';
import type { Command } from '@commander-js/extra-typings';
import { createBackup } from '../backup/create.ts';
import { erasedPeople } from '../backup/restore-erasures.ts';
import { databaseRecord, totalRows } from '../backup/record.ts';
import { restoreBackup } from '../backup/restore.ts';
import { directoryTarget } from '../backup/target.ts';
import type { BackupTarget } from '../backup/target.ts';
import { listBackups, verifyBackup } from '../backup/verify.ts';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples, UsageFailure } from '../cli/command.ts';
import { humanBytes } from '../database/format.ts';
import { need, readSettings } from '../database/settings.ts';
import type { Settings } from '../database/settings.ts';
import { bootstrapFile, migrationsDir } from '../stack/database.ts';

const DIR = [
  '--dir <folder>',
  'where backups are kept (default: BACKUP_DIR, else the state folder of the local stack)',
] as const;

/** Adds `create`, `list`, `verify` and `restore`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('create')
    .summary('save the database and the stored files')
    .description(
      'Saves every table in one snapshot, then the stored files of STORAGE_DIR, then a manifest with the checksum of each.',
    )
    .option(...DIR)
    .addHelpText('after', examples('novax backup create', 'novax backup create --dir /backups -o json'))
    .action(async (options) => create(context(), options.dir));
  command
    .command('list')
    .summary('list backups, the unfinished ones too')
    .option(...DIR)
    .addHelpText('after', examples('novax backup list'))
    .action(async (options) => list(context(), options.dir));
  command
    .command('verify [name]')
    .summary('read a backup again and compare every byte with its manifest (default: the latest)')
    .option(...DIR)
    .addHelpText('after', examples('novax backup verify', 'novax backup verify novax-20260131T020000Z-1a2b3c'))
    .action(async (name, options) => verify(context(), name, options.dir));
  command
    .command('restore [name]')
    .summary('load a backup into an empty database (default: the latest)')
    .description(
      'Creates the database if need be, migrates it to the version of the backup, loads it, and proves that every table is the same. Needs DATABASE_ADMIN_URL or --into.',
    )
    .option(...DIR)
    .option('--database <name>', 'database to restore into, on the server of DATABASE_ADMIN_URL')
    .option('--into <url>', "a superuser's URL of the database to restore into")
    .option('--storage <folder>', 'empty folder to put the stored files into; without it they are left out')
    .addHelpText(
      'after',
      examples(
        'novax backup restore --database novax_restored',
        'novax backup restore novax-20260131T020000Z-1a2b3c --into postgresql://admin@db/novax2',
      ),
    )
    .action(async (name, options) => restore(context(), name, options));
}

async function create(context: CommandContext, dir: string | undefined): Promise<void> {
  const { out, signal } = context;
  const settings = await readSettings(context);
  const url = need(settings, 'DATABASE_BACKUP_URL');
  const target = targetOf(context, settings, dir);
  for (const { name, state } of await listBackups(target)) {
    if (state !== 'complete') out.note(`${target.location(name)} is ${state}: it restores nothing; delete it`);
  }
  const { DATABASE_WORKER_URL: workerUrl, STORAGE_DIR: storageDir, STORAGE_DRIVER: driver } = settings.values;
  if (driver === 's3')
    out.note('stored files lie in the object store (STORAGE_DRIVER=s3) and are not part of this backup');
  const progress = out.progress('backup');
  try {
    const manifest = await createBackup({
      url,
      target,
      signal,
      ...(driver !== 's3' && storageDir !== undefined ? { storageDir } : {}),
      ...(workerUrl === undefined ? {} : { record: databaseRecord(workerUrl, (text) => progress.line(text)) }),
      onTable: ({ index, total }) => progress.update(`table ${index + 1} of ${total}`, index / total),
    });
    const bytes = [...manifest.tables, ...manifest.blobs].reduce((sum, file) => sum + file.bytes, 0);
    progress.done(`${manifest.name}`);
    out.json({ ...manifest, location: target.location(manifest.name), rows: totalRows(manifest), bytes });
    out.line(
      `${totalRows(manifest)} rows of ${manifest.tables.length} tables and ${manifest.blobs.length} stored files, ${humanBytes(bytes)}, in ${target.location(manifest.name)}`,
    );
    out.line(`verify with: novax backup verify ${manifest.name}`);
  } catch (error) {
    progress.fail();
    throw error;
  }
}

async function list(context: CommandContext, dir: string | undefined): Promise<void> {
  const { out } = context;
  const target = targetOf(context, await readSettings(context), dir);
  const backups = await listBackups(target);
  out.json({ location: target.location(''), backups });
  if (backups.length === 0)
    return out.line(`there are no backups in ${target.location('')}; make one with: novax backup create`);
  out.table(
    ['NAME', 'STATE', 'CREATED', 'DATABASE', 'SCHEMA', 'ROWS', 'SIZE'],
    backups.map(({ name, state, createdAt, database, migration, rows, bytes }) => [
      name,
      state === 'complete' ? out.colors.green(state) : out.colors.red(state),
      createdAt ?? '',
      database ?? '',
      migration === null ? '' : String(migration),
      rows === null ? '' : String(rows),
      humanBytes(bytes),
    ]),
  );
  if (backups.some(({ state }) => state === 'incomplete'))
    out.line('incomplete: its making was interrupted, or goes on right now; it restores nothing');
}

async function verify(context: CommandContext, given: string | undefined, dir: string | undefined): Promise<void> {
  const { out, signal } = context;
  const target = targetOf(context, await readSettings(context), dir);
  const name = given ?? (await latest(target));
  const progress = out.progress('verify');
  const { faults, files, rows, bytes } = await verifyBackup(target, name, {
    signal,
    onFile: ({ index, total }) => progress.update(`file ${index + 1} of ${total}`, index / total),
  });
  out.json({ name, sound: faults.length === 0, files, rows, bytes, faults });
  const [first] = faults;
  if (first === undefined) {
    progress.done(`${name} is sound: ${files} files, ${rows} rows, ${humanBytes(bytes)}`);
    return;
  }
  progress.fail(`${name} is broken`);
  for (const { file, problem } of faults) out.line(`${out.colors.red('FAIL')}  ${file}  ${problem}`);
  throw new CommandFailure(`${first.file} ${first.problem}`, { quiet: out.format === 'json' });
}

async function restore(
  context: CommandContext,
  given: string | undefined,
  options: {
    dir?: string | undefined;
    database?: string | undefined;
    into?: string | undefined;
    storage?: string | undefined;
  },
): Promise<void> {
  const { checkout, out, signal } = context;
  const settings = await readSettings(context);
  const target = targetOf(context, settings, options.dir);
  if ((options.into === undefined) === (options.database === undefined))
    throw new UsageFailure('say where to restore to: --database <name> or --into <url>, one of them');
  if (options.into !== undefined && !URL.canParse(options.into)) throw new UsageFailure('--into is no URL');
  const adminUrl = new URL(options.into ?? need(settings, 'DATABASE_ADMIN_URL'));
  if (options.database !== undefined) adminUrl.pathname = `/${encodeURIComponent(options.database)}`;
  const name = given ?? (await latest(target));
  const progress = out.progress('restore');
  try {
    const restored = await restoreBackup({
      target,
      name,
      signal,
      adminUrl: adminUrl.href,
      migrationsDir: migrationsDir(checkout),
      bootstrapFile: bootstrapFile(checkout),
      ...erasedOf(settings),
      ...(options.storage === undefined ? {} : { storageDir: resolve(options.storage) }),
      onStep: ({ text, fraction }) => progress.update(text, fraction),
    });
    const database = decodeURIComponent(adminUrl.pathname.slice(1));
    progress.done(
      `${restored.rows} rows of ${restored.tables.length} tables are in ${database}, each table the same as saved`,
    );
    const { rows, tables, blobs: storedFiles, erasedAgain } = restored;
    out.json({ name, database, rows, tables, storedFiles, erasedAgain });
    if (erasedOf(settings).erased === undefined)
      out.note(
        'no STORAGE_DIR or S3_BUCKET is set: people erased since the backup are back; restore where the list of them can be read',
      );
    else out.line(`${erasedAgain} people whom the backup still had were erased since; they are erased again`);
    const left = restored.manifest.blobs.length - restored.blobs;
    if (left > 0) out.note(`${left} stored files were left out; to restore them too: --storage <empty folder>`);
  } catch (error) {
    progress.fail();
    throw error;
  }
}

/** The list of the erased in the store of the settings, if they name one. */
function erasedOf({ values }: Settings): { erased?: () => AsyncIterable<string> } {
  const blobs = createFileStore(values);
  return blobs === null ? {} : { erased: () => erasedPeople(blobs) };
}

function targetOf({ dir }: CommandContext, settings: Settings, given: string | undefined): BackupTarget {
  const folder = given ?? settings.values.BACKUP_DIR;
  if (folder !== undefined) return directoryTarget(resolve(folder));
  // Beside a deployment's own addresses the checkout may be a read-only image.
  if (settings.source === 'environment')
    throw new UsageFailure('say where backups are kept: BACKUP_DIR or --dir <folder>');
  return directoryTarget(join(dir, 'backups'));
}

async function latest(target: BackupTarget): Promise<string> {
  const backups = await listBackups(target);
  const last = backups
    .filter(({ state }) => state === 'complete')
    .sort((a, b) => (a.createdAt ?? '').localeCompare(b.createdAt ?? ''))
    .at(-1);
  if (last === undefined)
    throw new CommandFailure(`there is no complete backup in ${target.location('')}`, { hint: 'novax backup create' });
  return last.name;
}
