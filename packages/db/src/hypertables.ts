/**
 * Turns the two tables of measurements into TimescaleDB hypertables where the extension exists: a step after migrating,
 * outside the schema.
 */
import { Client, escapeIdentifier } from 'pg';

export interface HypertableOutcome {
  table: string;
  state: 'converted' | 'already' | 'skipped';
  /** Why it was skipped, or how many rows moved. */
  detail: string;
}

const TABLES = ['usage_samples', 'metric_samples'] as const;
const CHUNK = '7 days';

/**
 * Replaces each natively partitioned table by a hypertable of the same columns, keys, indexes, policies, grants and
 * rows, in one transaction per table; readers and writers of it wait meanwhile (5 s for the lock, then it gives up). A
 * table that is one already is left alone. Without the extension, or without it in `shared_preload_libraries`,
 * everything is skipped with the reason and the native partitions go on serving. Needs a superuser: creating the
 * extension and moving rows past FORCE ROW LEVEL SECURITY both do. There is no way back but a restore.
 */
export async function convertToHypertables(options: { adminUrl: string }): Promise<HypertableOutcome[]> {
  const client = new Client({ connectionString: options.adminUrl, application_name: 'novax-hypertables' });
  // A lost connection surfaces in the next statement; unhandled, the event would end the process first.
  client.on('error', () => {});
  await client.connect();
  try {
    const missing = await whyUnavailable(client);
    if (missing !== undefined) return TABLES.map((table) => ({ table, state: 'skipped', detail: missing }));
    await client.query('set client_min_messages = warning; set statement_timeout = 0');
    await client.query('create extension if not exists timescaledb');
    const outcomes: HypertableOutcome[] = [];
    for (const table of TABLES) outcomes.push(await convert(client, table));
    return outcomes;
  } finally {
    await client.end();
  }
}

async function whyUnavailable(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ packaged: boolean; preloaded: boolean }>(
    `select exists (select from pg_available_extensions where name = 'timescaledb') as packaged,
            current_setting('shared_preload_libraries') ~ '\\mtimescaledb\\M' as preloaded`,
  );
  if (!rows[0]?.packaged) return 'the extension timescaledb is not installed on this server';
  if (!rows[0].preloaded) return 'timescaledb is not in shared_preload_libraries; add it and restart the server';
  return undefined;
}

interface Shape {
  kind: string;
  owner: string;
  key: string | null;
  constraints: string[];
  indexes: string[];
  policies: string[];
  grants: string[];
  comments: string[];
}

async function convert(client: Client, table: (typeof TABLES)[number]): Promise<HypertableOutcome> {
  const already = await client.query(
    'select from timescaledb_information.hypertables where hypertable_schema = $1 and hypertable_name = $2',
    ['public', table],
  );
  if (already.rowCount !== 0) return { table, state: 'already', detail: '' };
  const shape = await readShape(client, table);
  if (shape?.kind !== 'p' || shape.key === null)
    return { table, state: 'skipped', detail: shape ? 'not a partitioned table' : 'no such table' };
  const name = `public.${escapeIdentifier(table)}`;
  const old = `public.${escapeIdentifier(`${table}_native`)}`;
  await client.query("begin; set local lock_timeout = '5s'");
  try {
    await client.query(
      `lock table ${name} in access exclusive mode; alter table ${name} rename to ${escapeIdentifier(`${table}_native`)}`,
    );
    await client.query(`create table ${name} (like ${old} including all excluding indexes excluding constraints)`);
    await client.query(`insert into ${name} select * from ${old}`);
    const moved = await client.query<{ n: string }>(`select count(*) as n from ${name}`);
    // The old indexes' names must be free before the new ones take them.
    await client.query(`drop table ${old}`);
    for (const constraint of shape.constraints) await client.query(`alter table ${name} add ${constraint}`);
    await client.query(`alter table ${name} owner to ${shape.owner}`);
    await client.query(
      'select public.create_hypertable($1::regclass, $2::name, chunk_time_interval => $3::interval, migrate_data => true, create_default_indexes => false)',
      [name, shape.key, CHUNK],
    );
    for (const statement of [
      ...shape.indexes,
      `alter table ${name} enable row level security`,
      `alter table ${name} force row level security`,
    ]) {
      await client.query(statement);
    }
    for (const statement of [...shape.policies, ...shape.grants, ...shape.comments]) await client.query(statement);
    await client.query('commit');
    return { table, state: 'converted', detail: `${moved.rows[0]?.n ?? '0'} rows moved` };
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

/** Everything that a copy by LIKE leaves behind, as statements that make it again on a table of the same name. */
async function readShape(client: Client, table: string): Promise<Shape | undefined> {
  const { rows } = await client.query<Shape>(
    `select c.relkind as kind, c.relowner::regrole::text as owner,
            (select a.attname::text from pg_partitioned_table p join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0] where p.partrelid = c.oid) as key,
            array(select format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid)) from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u', 'c', 'f')) as constraints,
            array(select replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON ') from pg_index x
                   where x.indrelid = c.oid and not exists (select from pg_constraint k where k.conindid = x.indexrelid)) as indexes,
            array(select format('create policy %I on public.%I as %s for %s to %s%s%s', p.polname, c.relname, case when p.polpermissive then 'permissive' else 'restrictive' end,
                           case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
                           (select string_agg(case when r = 0 then 'public' else r::regrole::text end, ', ') from unnest(p.polroles) r),
                           ' using (' || pg_get_expr(p.polqual, c.oid) || ')', ' with check (' || pg_get_expr(p.polwithcheck, c.oid) || ')')
                    from pg_policy p where p.polrelid = c.oid) as policies,
            array(select format('grant %s on public.%I to %s', x.privilege_type, c.relname, x.grantee::regrole)
                    from aclexplode(c.relacl) x where x.grantee not in (0, c.relowner)) as grants,
            array(select format('comment on table public.%I is %L', c.relname, obj_description(c.oid, 'pg_class')) where obj_description(c.oid, 'pg_class') is not null) as comments
       from pg_class c where c.oid = to_regclass($1)`,
    [`public.${table}`],
  );
  return rows[0];
}
