/**
 * What a role can do to a table, found by trying: every command, by every kind of caller, in SQL. A probe says what
 * happened and leaves no trace.
 */
import { type Client, escapeIdentifier, escapeLiteral } from 'pg';
import { insertRow } from '../tenant-tables.ts';
import { MEMBERS, ORG_A, ORG_B, personId, type ProbedTable } from './fixture.ts';

export const COMMANDS = ['select', 'insert', 'update', 'delete', 'truncate'] as const;
export type Command = (typeof COMMANDS)[number];

/** Who asks: what the two settings hold, and the name the results speak of. */
export interface Caller {
  readonly name: string;
  /** Name of a person of the fixture; '' for nobody. */
  readonly person: string;
  readonly org: string;
}

const people = (org: string): Caller[] => MEMBERS.slice(0, 5).map(({ name }) => ({ name, person: name, org }));
const nobody: Caller = { name: 'nobody', person: '', org: '' };
/** Callers of the API: everyone without an organization chosen, as reads and lookups begin. */
const apiCallers: readonly Caller[] = [...people(''), nobody];
const contextCallers: readonly Caller[] = [
  { name: 'in A', person: '', org: ORG_A },
  { name: 'in B', person: '', org: ORG_B },
  nobody,
];

/** Those who try to read, change or delete rows, by role. */
export const callersOf = (role: string): readonly Caller[] => (role === 'novax_api' ? apiCallers : contextCallers);

/** A row that somebody tries to add: in whose organization and in whose name, by whom. */
export interface Addition {
  readonly name: string;
  readonly caller: Caller;
  readonly org: string;
  readonly person: string;
}

/** The additions that tell a role's policies apart. */
export function additionsOf(role: string): readonly Addition[] {
  const own = (caller: Caller): Addition => ({ name: caller.name, caller, org: ORG_A, person: caller.person });
  const owner = { name: 'owner', person: 'owner', org: ORG_A };
  if (role !== 'novax_api')
    return [
      { name: 'own', caller: { name: 'in A', person: '', org: ORG_A }, org: ORG_A, person: 'member' },
      { name: 'foreign', caller: { name: 'in A', person: '', org: ORG_A }, org: ORG_B, person: 'outsider' },
      { name: 'platform', caller: nobody, org: '', person: 'member' },
      { name: 'uncalled', caller: nobody, org: ORG_A, person: 'member' },
    ];
  return [
    // The organization is chosen, as every transaction of a command chooses it; the outsider chooses one that is not theirs.
    ...people(ORG_A).map(own),
    { name: 'other', caller: owner, org: ORG_A, person: 'member' },
    { name: 'foreign', caller: owner, org: ORG_B, person: 'owner' },
    { name: 'uncalled', caller: nobody, org: ORG_A, person: 'member' },
  ];
}

/** `12` rows, or why not: `denied` by a privilege, `checked` by a policy, `passed` (only a constraint refused). */
export type Outcome = string;

export class Prober {
  readonly #admin: Client;
  readonly #columns = new Map<string, Map<string, Set<string>>>();
  readonly #blind = new Map<string, string>();

  /** `admin` is a superuser's connection in a transaction of its own, with the fixed world in place. */
  constructor(admin: Client) {
    this.#admin = admin;
  }

  /** Runs one statement as a role with a caller's settings and undoes it. Throws for an error that is no refusal. */
  async attempt(role: string, caller: Caller, sql: string): Promise<Outcome> {
    const user = caller.person === '' ? '' : personId(caller.person);
    try {
      const results: unknown = await this.#admin.query(
        `savepoint probe; select set_config('app.current_user_id', '${user}', true), set_config('app.current_org_id', '${caller.org}', true);
         set local session authorization ${role}; ${sql}`,
      );
      // pg answers an array for several statements.
      const last = (results as { rowCount: number | null; rows: { seen?: string }[] }[]).at(-1);
      return last?.rows[0]?.seen ?? String(last?.rowCount ?? 0);
    } catch (thrown) {
      return refusal(thrown);
    } finally {
      await this.#admin.query('rollback to savepoint probe');
    }
  }

  /** The outcomes of a command on a table for every caller of a role, by caller; the first alone where a privilege is missing, because that is the same for all. */
  async outcomes(role: string, table: ProbedTable, command: Command): Promise<Record<string, Outcome>> {
    const found: Record<string, Outcome> = {};
    if (command === 'insert') {
      const granted = await this.#granted(role, table, 'INSERT');
      for (const addition of additionsOf(role)) {
        if (addition.org === '' && !isOptional(table)) continue;
        found[addition.name] = await this.attempt(role, addition.caller, insertOf(table, granted, addition));
        if (found[addition.name] === 'denied') break;
      }
      return found;
    }
    const sql = await this.#statement(role, table, command);
    for (const caller of callersOf(role)) {
      found[caller.name] = await this.attempt(role, caller, sql);
      if (found[caller.name] === 'denied') break;
    }
    return found;
  }

  /** The outcome of a command in A for its owner, who has chosen organization B and should reach nothing. */
  async elsewhere(role: string, table: ProbedTable, command: Command): Promise<Outcome> {
    const caller = { name: 'elsewhere', person: 'owner', org: ORG_B };
    const sql =
      command === 'insert'
        ? insertOf(table, await this.#granted(role, table, 'INSERT'), {
            name: 'own',
            caller,
            org: ORG_A,
            person: 'owner',
          })
        : await this.#statement(role, table, command);
    return this.attempt(role, caller, sql);
  }

  async #statement(
    role: string,
    table: ProbedTable,
    command: 'select' | 'update' | 'delete' | 'truncate',
  ): Promise<string> {
    if (command === 'delete') return `delete from ${table.name}`;
    if (command === 'truncate') return `truncate ${table.name}`;
    if (command === 'update') return this.#blindUpdate(role, table);
    const readable = await this.#granted(role, table, 'SELECT');
    if (table.orgColumn === '' || !readable.has(table.orgColumn)) return `select count(*) as seen from ${table.name}`;
    return `select coalesce(string_agg(case ${table.orgColumn} when '${ORG_A}' then 'A' when '${ORG_B}' then 'B' else 'N' end, '' order by ${table.orgColumn} = '${ORG_B}'), '') as seen
              from ${table.name}`;
  }

  /** An UPDATE that reads no column, so that the SELECT policy has no say, and that no constraint refuses. */
  async #blindUpdate(role: string, table: ProbedTable): Promise<string> {
    const key = `${role} ${table.name}`;
    const known = this.#blind.get(key);
    if (known !== undefined) return known;
    const granted = await this.#granted(role, table, 'UPDATE');
    const changeable = table.columns.filter(({ name, generated }) => granted.has(name) && !generated);
    const first = table.columns.find(({ generated }) => !generated);
    let chosen = `update ${table.name} set ${escapeIdentifier(first?.name ?? '')} = null`;
    search: for (const { name } of changeable) {
      for (const value of ['default', 'null', `'other'`, "'2030-01-01'", '1', `'\\x01'`]) {
        const candidate = `update ${table.name} set ${escapeIdentifier(name)} = ${value}`;
        if (!(await this.#isPossible(candidate))) continue;
        chosen = candidate;
        break search;
      }
    }
    this.#blind.set(key, chosen);
    return chosen;
  }

  async #isPossible(sql: string): Promise<boolean> {
    try {
      await this.#admin.query(`savepoint candidate; ${sql}`);
      return true;
    } catch {
      return false;
    } finally {
      await this.#admin.query('rollback to savepoint candidate');
    }
  }

  async #granted(role: string, table: ProbedTable, privilege: string): Promise<Set<string>> {
    const key = `${role} ${privilege}`;
    let ofRole = this.#columns.get(key);
    if (ofRole === undefined) {
      const { rows } = await this.#admin.query<{ table: string; columns: string[] }>(
        `select c.oid::regclass::text as table, array_agg(a.attname::text) as columns
           from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          where n.nspname in ('public', 'app', 'private', 'ai') and c.relkind in ('r', 'p', 'v', 'm') and has_column_privilege($1, c.oid, a.attnum, $2)
          group by 1`,
        [role, privilege],
      );
      ofRole = new Map(rows.map((row) => [row.table.replace(/^public\./, ''), new Set(row.columns)]));
      this.#columns.set(key, ofRole);
    }
    return ofRole.get(table.name.replaceAll('"', '').replace(/^public\./, '')) ?? new Set();
  }
}

const isOptional = (table: ProbedTable): boolean =>
  table.orgColumn === '' || table.columns.some(({ name, needed }) => name === table.orgColumn && !needed);

/** The row of an addition, of the columns that the role may give; of all columns where it may give none, to be denied. */
function insertOf(table: ProbedTable, granted: ReadonlySet<string>, { caller, org, person }: Addition): string {
  const named = caller.person !== '';
  const given: Record<string, string> = {};
  const needed = new Set(table.columns.filter((column) => column.needed).map(({ name }) => name));
  for (const column of table.actorColumns)
    if (needed.has(column) || column === 'user_id' || (column === 'actor_id' && named))
      given[column] = escapeLiteral(personId(person));
  if (table.columns.some(({ name }) => name === 'actor_type')) {
    given['actor_type'] = named || caller.name === 'nobody' ? `'user'` : `'system'`;
    if (caller.person === '' && caller.org !== '') given['actor_id'] = 'null';
  }
  if (table.personColumn === 'id') given['id'] = escapeLiteral(personId(person));
  const sql = insertRow(table, granted.size === 0 ? undefined : granted, given);
  return sql.replaceAll('$1', org === '' ? 'null' : escapeLiteral(org));
}

function refusal(thrown: unknown): Outcome {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === '42501') return /row-level security/.test(message) ? 'checked' : 'denied';
  // Not a table, or a view that no statement can change: nothing to be refused.
  if (code === '42809' || code === '55000') return 'denied';
  // A constraint is asked after privileges and policies.
  if (code.startsWith('23') || /foreign key constraint/.test(message)) return 'passed';
  throw thrown;
}
