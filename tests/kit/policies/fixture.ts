/** A fixed world for probing policies: two organizations, people in every role, and rows of both in every table. */
import { createHash } from 'node:crypto';
import { type Client, escapeLiteral } from 'pg';
import { everyTable, insertRow, type TenantTable } from '../tenant-tables.ts';

/** A uuid that is always the same for the same words. */
export function fixedId(...words: readonly (string | number)[]): string {
  const hex = createHash('md5').update(words.join(':')).digest('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export const ORG_A = fixedId('organization', 'A');
export const ORG_B = fixedId('organization', 'B');

/** Four people of A, each in one role, and two of B. */
export const MEMBERS = [
  { name: 'viewer', org: ORG_A, role: 'viewer' },
  { name: 'member', org: ORG_A, role: 'member' },
  { name: 'admin', org: ORG_A, role: 'admin' },
  { name: 'owner', org: ORG_A, role: 'owner' },
  { name: 'outsider', org: ORG_B, role: 'owner' },
  { name: 'second', org: ORG_B, role: 'viewer' },
] as const;
export const personId = (name: string): string => fixedId('person', name);

export interface ProbedTable extends TenantTable {
  /** The column that names a person whose row it is: `user_id`, or `id` of `users`; '' where there is none. */
  readonly personColumn: string;
  /** Columns that name who acts, whatever they are called. */
  readonly actorColumns: readonly string[];
  /** Rows of A, of B, and all; where a table has no organization, rows of their people. */
  readonly count: { readonly a: number; readonly b: number; readonly all: number };
}

/** Values that rows of one table must not share, by the row's number in its organization. */
const varied: Readonly<Record<string, (n: number) => Readonly<Record<string, string>>>> = {
  'public.retention_policies': (n) => ({ entity_type: `'${['documents', 'projects', 'comments'][n % 3]}'` }),
  'public.audit_seals': (n) => ({ seal_no: String(n + 1) }),
  'public.person_keys': () => ({ wrapped_key: `'\\x00'` }),
};

interface ForeignKey {
  readonly table: string;
  readonly column: string;
  readonly target: string;
}

/**
 * Fills every table past triggers and foreign keys (rows agree with each other all the same) and refreshes the
 * materialized views; then tells what every relation holds. Leaves `session_replication_role` at `replica`, so that a
 * probe meets privileges and policies alone.
 */
export async function fixedWorld(admin: Client): Promise<ProbedTable[]> {
  await admin.query(`set session_replication_role = 'replica'`);
  const tables = await everyTable(admin);
  const { rows: keys } = await admin.query<ForeignKey>(`
    select format('%I.%I', n.nspname, c.relname) as table, a.attname as column, t.relname as target
      from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
      join pg_class t on t.oid = k.confrelid, unnest(k.conkey, k.confkey) pair (own, other)
      join pg_attribute a on a.attnum = pair.own join pg_attribute r on r.attnum = pair.other
     where k.contype = 'f' and k.conparentid = 0 and a.attrelid = c.oid and r.attrelid = t.oid and r.attname = 'id'`);
  for (const table of tables) if (table.kind === 'table') await fill(admin, table, keys);
  for (const { kind, name } of tables)
    if (kind === 'materialized view') await admin.query(`refresh materialized view ${name}`);
  const probed: ProbedTable[] = [];
  for (const table of tables) probed.push(await measured(admin, table, keys));
  return probed;
}

const plain = (name: string): string => name.replaceAll('"', '');
const has = (table: TenantTable, column: string): boolean => table.columns.some(({ name }) => name === column);

function personColumnOf(table: TenantTable): string {
  if (plain(table.name) === 'public.users') return 'id';
  return has(table, 'user_id') ? 'user_id' : '';
}

/** Columns of a table that name the person who acts: references to people, and `actor_id`, which outlives them. */
function actorColumnsOf(table: TenantTable, keys: readonly ForeignKey[]): string[] {
  const people = keys.filter((key) => plain(key.table) === plain(table.name) && key.target === 'users');
  const named = new Set([...people.map(({ column }) => column), 'actor_id', 'user_id']);
  return table.columns.map(({ name }) => name).filter((name) => named.has(name));
}

/** Whose rows a table gets: one per member, three of A and two of B and one of nobody's, or two of the platform's. */
function owners(table: TenantTable): { org: string; person: string; n: number }[] {
  const perPerson = MEMBERS.map(({ org, name }, n) => ({ org, person: name, n }));
  if (personColumnOf(table) !== '' || plain(table.name) === 'public.refresh_tokens') return perPerson;
  const platform = { org: '', person: 'member', n: 0 };
  if (table.orgColumn === '') return [platform, { ...platform, n: 1 }];
  const of = (org: string, person: string, count: number) =>
    Array.from({ length: count }, (_, n) => ({ org, person, n }));
  const rows = [...of(ORG_A, 'member', 3), ...of(ORG_B, 'outsider', 2)];
  const optional = table.columns.some(({ name, needed }) => name === table.orgColumn && !needed);
  return optional ? [...rows, platform] : rows;
}

async function fill(admin: Client, table: TenantTable, keys: readonly ForeignKey[]): Promise<void> {
  const name = plain(table.name);
  if (name === 'public.organizations') {
    for (const [org, owner] of [
      [ORG_A, 'owner'],
      [ORG_B, 'outsider'],
    ] as const)
      await admin.query(
        `insert into organizations (id, name, slug, owner_id) values ('${org}', 'Name', '${org}', '${personId(owner)}')`,
      );
    return;
  }
  // Filled by migrations, with rows of the platform alone.
  if (table.orgColumn === '' && personColumnOf(table) === '' && (await holdsRows(admin, table))) return;
  for (const { org, person, n } of owners(table)) {
    const given = {
      ...references(table, keys, { org, person, n }),
      ...varied[name]?.(n),
      ...membership(name, person),
    };
    // One row per organization is all that some tables hold.
    const sql = `${insertRow(table, undefined, given)} on conflict do nothing`;
    await admin.query(sql.replaceAll('$1', org === '' ? 'null' : escapeLiteral(org))).catch((cause: unknown) => {
      throw new Error(`no row could be made for ${name}: teach the fixture its columns`, { cause });
    });
  }
}

async function holdsRows(admin: Client, table: TenantTable): Promise<boolean> {
  return (await admin.query(`select from ${table.name} limit 1`)).rowCount !== 0;
}

/** Ids that agree: a row's own, those of the things it belongs to, and those of the people in it. */
function references(
  table: TenantTable,
  keys: readonly ForeignKey[],
  row: { org: string; person: string; n: number },
): Record<string, string> {
  const name = plain(table.name);
  const wanted = new Set(/\((.*?)\) values/.exec(insertRow(table))?.[1]?.replaceAll('"', '').split(', '));
  const values: Record<string, string> = {};
  for (const { name: column, type } of table.columns) {
    const key = keys.find((candidate) => plain(candidate.table) === name && candidate.column === column);
    if (column === 'id' && type === 'uuid') values[column] = escapeLiteral(idOf(name, row));
    else if (column === 'user_id' || (key?.target === 'users' && wanted.has(column)))
      values[column] = escapeLiteral(personId(row.person));
    else if (key?.target === 'embedding_models') values[column] = '1';
    else if (key?.target === 'sessions') values[column] = escapeLiteral(fixedId('public.sessions', row.person));
    else if (key !== undefined && column !== 'org_id' && wanted.has(column))
      values[column] = escapeLiteral(fixedId(`public.${key.target}`, row.org, row.n));
  }
  return values;
}

function idOf(table: string, row: { org: string; person: string; n: number }): string {
  if (table === 'public.users') return personId(row.person);
  return table === 'public.sessions' ? fixedId(table, row.person) : fixedId(table, row.org, row.n);
}

function membership(table: string, person: string): Record<string, string> {
  if (table !== 'public.org_members' && table !== 'app.memberships') return {};
  return { role: escapeLiteral(MEMBERS.find(({ name }) => name === person)?.role ?? 'viewer') };
}

async function measured(admin: Client, table: TenantTable, keys: readonly ForeignKey[]): Promise<ProbedTable> {
  const personColumn = personColumnOf(table);
  const of = (org: string): string => {
    if (table.orgColumn !== '') return `count(*) filter (where ${table.orgColumn} = '${org}')`;
    const people = MEMBERS.filter((member) => member.org === org).map(({ name }) => `'${personId(name)}'`);
    return personColumn === '' ? '0' : `count(*) filter (where ${personColumn} in (${people.join(', ')}))`;
  };
  const counted = async (): Promise<ProbedTable['count']> => {
    const { rows } = await admin.query<ProbedTable['count']>(
      `select (${of(ORG_A)})::int as a, (${of(ORG_B)})::int as b, count(*)::int as all from ${table.name}`,
    );
    return rows[0] ?? { a: 0, b: 0, all: 0 };
  };
  const within = async (org: string): Promise<number> => {
    await admin.query(`select set_config('app.current_org_id', $1, false)`, [org]);
    return (await counted()).all;
  };
  // A view filters by the setting even for a superuser.
  const count =
    table.kind === 'view'
      ? { a: await within(ORG_A), b: await within(ORG_B), all: (await within(ORG_A)) + (await within(ORG_B)) }
      : await counted();
  return { ...table, personColumn, actorColumns: actorColumnsOf(table, keys), count };
}
