/** Checks of what is in the database: migrations, policies, partitions, and work that waits. */
import { migrationStatus } from '@novax/db/migrate';
import { lintSchema } from '@novax/db/schema-lint/lint';
import { humanDuration } from '../cli/output.ts';
import { rowOf } from '../database/connect.ts';
import { managedTables, RUNWAY_WARN_DAYS } from '../partitions/partitions.ts';
import type { Check, Finding } from './check.ts';
import { fail, ok, warn } from './check.ts';
import { connectBriefly } from './server-checks.ts';

const OUTBOX_WARN_MS = 60_000;

export interface DataAddresses {
  migrator: string | undefined;
  worker: string | undefined;
  /** The role that sees most: backup, else migrator, else worker. */
  widest: string;
}

/** Checks for which an address is known. */
export function dataChecks({ migrator, worker, widest }: DataAddresses, migrationsDir: string): Check[] {
  const mend = 'novax migrate up';
  return [
    ...(migrator === undefined
      ? []
      : [{ name: 'migrations', mend: 'novax migrate status', run: () => migrations(migrator, migrationsDir) }]),
    { name: 'policies', mend, run: () => policies(widest) },
    { name: 'partitions', mend, run: () => partitions(widest) },
    ...(worker === undefined
      ? []
      : [
          { name: 'outbox', mend, run: () => outbox(worker) },
          { name: 'dead letters', mend, run: () => deadLetters(worker) },
        ]),
  ];
}

async function migrations(url: string, dir: string): Promise<Finding[]> {
  const name = 'migrations';
  const { current, latest, dirty, migrations: files } = await migrationStatus({ url, dir });
  const edited = files.filter(({ state }) => state === 'edited').map((file) => file.name);
  if (dirty)
    return [
      fail(
        name,
        `dirty at version ${current}: a file stopped half-way`,
        'finish or undo its work by hand, then: novax migrate force <version>',
      ),
    ];
  if (edited.length > 0)
    return [
      fail(
        name,
        `edited after they were applied: ${edited.join(', ')}`,
        'restore the files and put the change in a new migration',
      ),
    ];
  if (current > latest)
    return [
      fail(
        name,
        `version ${current}, this release knows ${latest}`,
        'run the release that migrated this database, or a newer one',
      ),
    ];
  if (current < latest) return [fail(name, `version ${current} of ${latest}`, 'novax migrate up')];
  return [ok(name, `version ${current}`)];
}

async function policies(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const { tables } = await rowOf<{ tables: number }>(
    client,
    `select count(*)::int as tables from pg_class c where c.relnamespace = 'public'::regnamespace and c.relforcerowsecurity and not c.relispartition`,
  );
  const findings = await lintSchema(client);
  if (tables === 0) return [fail('policies', 'there are no tables yet', 'novax migrate up')];
  const [first] = findings;
  if (first === undefined)
    return [ok('policies', `row-level security forced on ${tables} tables, every rule of the schema holds`)];
  return [
    fail(
      'policies',
      `${findings.length} rules broken, first ${first.rule}: ${first.object} ${first.detail}`,
      'novax migrate lint names all of them',
    ),
  ];
}

async function partitions(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const tables = await managedTables(client);
  if (tables.length === 0) return [fail('partitions', 'there are none', 'novax migrate up')];
  const least = Math.min(...tables.map(({ runwayDays }) => runwayDays));
  const short = tables.filter(({ runwayDays }) => runwayDays === least).map(({ table }) => table);
  const strays = tables.flatMap(({ default: rest }) =>
    rest !== null && rest.rows > 0 ? [`${rest.rows} in ${rest.name}`] : [],
  );
  const lasting = `${tables.length} tables, the shortest lasts ${least} days (${short.slice(0, 2).join(', ')}${short.length > 2 ? ', …' : ''})`;
  return [
    least === 0
      ? fail('partitions', lasting, 'novax partitions ensure')
      : least < RUNWAY_WARN_DAYS
        ? warn('partitions', lasting, 'novax partitions ensure')
        : ok('partitions', lasting),
    strays.length > 0
      ? warn(
          'default partitions',
          `rows that no month fits: ${strays.join(', ')}`,
          'novax partitions ensure moves those of this month and the next ones',
        )
      : ok('default partitions', 'empty'),
  ];
}

async function outbox(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const { pending, age, failed } = await rowOf<{ pending: number; age: number | null; failed: number }>(
    client,
    `select count(*) filter (where status = 'pending')::int as pending, count(*) filter (where status = 'failed')::int as failed,
            (extract(epoch from clock_timestamp() - min(created_at) filter (where status = 'pending')) * 1000)::float8 as age
       from public.events where status in ('pending', 'failed')`,
  );
  const found =
    pending === 0 ? 'nothing waits' : `${pending} wait, the oldest for ${humanDuration(Math.max(0, age ?? 0))}`;
  return [
    (age ?? 0) > OUTBOX_WARN_MS
      ? warn('outbox', found, 'is the relay running (workers), and NATS? npx novax status')
      : ok('outbox', found),
    ...(failed > 0
      ? [
          warn(
            'outbox failed',
            `${failed} events were given up`,
            'novax dlq list --source outbox, then novax dlq replay',
          ),
        ]
      : []),
  ];
}

async function deadLetters(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const { waiting, lately } = await rowOf<{ waiting: number; lately: number }>(
    client,
    `select count(*)::int as waiting, count(*) filter (where created_at > now() - interval '1 hour')::int as lately
       from public.dead_letters where status = 'pending'`,
  );
  return [
    waiting === 0
      ? ok('dead letters', 'none')
      : warn(
          'dead letters',
          `${waiting} wait for a decision, ${lately} of them since an hour ago`,
          'novax dlq list, then novax dlq replay or drop',
        ),
  ];
}
