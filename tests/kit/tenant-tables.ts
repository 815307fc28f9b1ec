/** Every table and view, those that hold rows of organizations above all, found in the catalogue, and rows for each of them. */
import { randomUUID } from 'node:crypto';
import { type Client, escapeIdentifier } from 'pg';

export interface TenantTable {
  /** `schema.name`, quoted. */
  readonly name: string;
  readonly kind: 'table' | 'partition' | 'view' | 'materialized view';
  /** The column that names the organization: `org_id`, or `id` of `organizations` itself; '' where there is none. */
  readonly orgColumn: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly needed: boolean;
    readonly generated: boolean;
  }[];
  /** Allowed values by column, from CHECK constraints that list them. */
  readonly choices: Readonly<Record<string, string>>;
}

/** Tables, partitions, views and materialized views with an organization. */
export async function tenantTables(admin: Client): Promise<TenantTable[]> {
  return (await everyTable(admin)).filter(({ orgColumn }) => orgColumn !== '');
}

/** Tables, partitions, views and materialized views of every schema of ours. */
export async function everyTable(admin: Client): Promise<TenantTable[]> {
  const { rows } = await admin.query<{
    schema: string;
    table: string;
    kind: TenantTable['kind'];
    columns: TenantTable['columns'];
    checks: string[];
  }>(`
    select n.nspname as schema, c.relname as table,
           case when c.relkind = 'v' then 'view' when c.relkind = 'm' then 'materialized view' when c.relispartition then 'partition' else 'table' end as kind,
           (select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                                'needed', a.attnotnull and not a.atthasdef and a.attidentity = '',
                                                'generated', a.attgenerated <> '' or a.attidentity <> '') order by a.attnum)
              from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
           array(select pg_get_constraintdef(k.oid) from pg_constraint k where k.conrelid = c.oid and k.contype = 'c') as checks
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'app', 'private', 'ai') and c.relkind in ('r', 'p', 'v', 'm')
     order by 1, 2`);
  return rows.map(({ schema, table, kind, columns, checks }) => ({
    name: `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`,
    kind,
    orgColumn:
      table === 'organizations' ? 'id' : columns.some(({ name: column }) => column === 'org_id') ? 'org_id' : '',
    columns,
    choices: Object.fromEntries(checks.flatMap((check) => listed(check))),
  }));
}

/** Column and first value of `CHECK (((column)::text = ANY ((ARRAY['value'…`. */
function listed(check: string): [string, string][] {
  const found = /^CHECK \(\(\((\w+)\)::text = ANY \(\(ARRAY\['([^']*)'/.exec(check);
  return found?.[1] === undefined || found[2] === undefined ? [] : [[found[1], found[2]]];
}

/** What no rule below can guess, by table and column, as SQL. */
const special: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'public.ai_embeddings': { document_id: 'gen_random_uuid()', dims: '512' },
  'public.ai_proposals': { document_id: 'gen_random_uuid()' },
  'public.attachments': { document_id: 'gen_random_uuid()', storage_key: 'gen_random_uuid()::text' },
  'public.audit_log': { actor_id: 'gen_random_uuid()' },
  'public.audit_seals': {
    seal_no: '1000',
    from_xact: `'0'::xid8`,
    to_xact: `'1'::xid8`,
    row_ids: `'{1}'::bigint[]`,
  },
  'public.comments': { document_id: 'gen_random_uuid()' },
  'public.events': { event_type: `'test.made'` },
  'public.organizations': { slug: 'gen_random_uuid()::text' },
  'public.webhooks': { url: `'https://example.test/'` },
};

/** SQL that inserts one row of an organization, `$1`; with `granted`, of those columns only; `given` says some values, as SQL. */
export function insertRow(
  table: TenantTable,
  granted?: ReadonlySet<string>,
  given: Readonly<Record<string, string>> = {},
): string {
  const known = { ...special[table.name.replaceAll('"', '')], ...given };
  const values = table.columns.flatMap(({ name, type, needed, generated }): [string, string][] => {
    if (generated || granted?.has(name) === false) return [];
    if (name === table.orgColumn) return [[name, given[name] ?? '$1']];
    const value =
      known[name] ??
      (needed ? (table.choices[name] === undefined ? guess(type) : `'${table.choices[name]}'`) : undefined);
    return value === undefined ? [] : [[name, value]];
  });
  if (values.length === 0) return `insert into ${table.name} default values`;
  return `insert into ${table.name} (${values.map(([name]) => escapeIdentifier(name)).join(', ')}) values (${values.map(([, value]) => value).join(', ')})`;
}

function guess(type: string): string {
  if (type === 'uuid') return 'gen_random_uuid()';
  if (type.startsWith('character varying') || type === 'text') return `'x${randomUUID().slice(0, 8)}'`;
  if (type.startsWith('vector')) return `('[1' || repeat(',0', 1535) || ']')::vector`;
  if (type === 'bytea') return 'sha256(gen_random_uuid()::text::bytea)';
  if (type.startsWith('timestamp')) return 'now()';
  if (type === 'jsonb') return `'{}'`;
  if (type === 'boolean') return 'false';
  if (/^(smallint|integer|bigint|double precision|real|numeric)/.test(type)) return '1';
  throw new Error(`a column of type ${type} needs a value of its own`);
}

/** Columns a role may give when it inserts into a table; empty when it may not insert. */
export async function insertableColumns(admin: Client, table: TenantTable, role: string): Promise<Set<string>> {
  const { rows } = await admin.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and has_column_privilege($2, attrelid, attnum, 'INSERT')`,
    [table.name, role],
  );
  return new Set(rows.map(({ name }) => name));
}

/** Makes sure that an organization has a row in every table, past foreign keys and triggers. Throws for a table it cannot fill. */
export async function fillTables(admin: Client, tables: readonly TenantTable[], orgId: string): Promise<void> {
  await admin.query(`set session_replication_role = 'replica'`);
  for (const table of tables) {
    if (table.kind !== 'table') continue;
    const { rowCount } = await admin.query(`select from ${table.name} where ${table.orgColumn} = $1 limit 1`, [orgId]);
    if (rowCount !== 0) continue;
    await admin.query(insertRow(table), [orgId]).catch((cause: unknown) => {
      throw new Error(`no row could be made for ${table.name}: teach the generator its columns`, { cause });
    });
  }
  await admin.query(`set session_replication_role = 'origin'`);
  for (const table of tables)
    if (table.kind === 'materialized view') await admin.query(`refresh materialized view ${table.name}`);
}

/** Count and ordered hash of an organization's rows in every table, and of its people's own rows; equal means untouched. */
export async function fingerprint(
  admin: Client,
  tables: readonly TenantTable[],
  orgId: string,
): Promise<Record<string, string>> {
  const people = `(select user_id from org_members where org_id = $1)`;
  const parts = tables
    .filter(({ kind }) => kind === 'table')
    .map(({ name, orgColumn }) => ({ name, where: `t.${orgColumn} = $1` }))
    .concat(
      { name: 'public.users', where: `t.id in ${people}` },
      { name: 'public.sessions', where: `t.user_id in ${people}` },
      { name: 'public.refresh_tokens', where: `t.session_id in (select id from sessions where user_id in ${people})` },
    )
    .map(
      ({ name, where }) =>
        `select '${name}' as name, count(*) || ' ' || md5(coalesce(string_agg(t::text, e'\\n' order by t::text), '')) as hash from ${name} t where ${where}`,
    );
  const { rows } = await admin.query<{ name: string; hash: string }>(parts.join(' union all '), [orgId]);
  return Object.fromEntries(rows.map(({ name, hash }) => [name, hash]));
}
