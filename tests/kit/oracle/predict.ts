/** What must come of a statement, from the rules alone; and what the world is afterwards. */
import type { Filter, Operation } from './operations.ts';
import { type Rules, rulesFor } from './rules.ts';
import { type Actor, EVERYTHING, type Grant, GRANTS, type Row, SHAPES, type State, type TableName } from './state.ts';

/** Refused by a privilege or a policy, broken by a constraint, or so many rows (and their keys, where they come back). */
export type Result =
  | { readonly outcome: 'refused' | 'broken' }
  | { readonly outcome: 'rows'; readonly count: number; readonly keys?: readonly string[] };

/** `ours` are the real grants; under `wide` ones every role holds every privilege, and policies alone decide. */
export type GrantMode = 'ours' | 'wide';

const REFUSED = { outcome: 'refused' } as const;
const BROKEN = { outcome: 'broken' } as const;

interface Asked {
  readonly actor: Actor;
  readonly operation: Operation;
  readonly grants: GrantMode;
}

/** The result that the database must give, and the state after it (the same object when nothing changed). */
export function predict(state: State, asked: Asked): { result: Result; after: State } {
  const { operation } = asked;
  const still = (result: Result) => ({ result, after: state });
  switch (operation.kind) {
    case 'select':
    case 'lock':
    case 'copy':
      return still(predictRead(state, asked, operation));
    case 'join':
      return still(predictJoin(state, asked, operation));
    case 'insert':
      return predictInsert(state, asked, operation);
    case 'upsert':
      return predictUpsert(state, asked, operation);
    case 'update':
      return predictUpdate(state, asked, operation);
    case 'delete':
      return predictDelete(state, asked, operation);
  }
}

type Of<K extends Operation['kind']> = Extract<Operation, { kind: K }>;
const keyOf = (table: TableName, row: Row): string => row[SHAPES[table].key] ?? '';
const granted = (table: TableName, { actor, grants }: Asked): Grant =>
  grants === 'wide' ? EVERYTHING : (GRANTS[actor.role][table] ?? {});

function mayRead(grant: Grant, columns: readonly string[]): boolean {
  const { select } = grant;
  if (select === undefined) return columns.length === 0;
  return select === 'all' || select === 'but' || columns.every((column) => select.includes(column));
}

function mayUpdate(grant: Grant, { grants }: Asked, column: string): boolean {
  return grants === 'wide' || (grant.update ?? []).includes(column);
}

/** Columns that a filter and RETURNING read. */
function columnsRead(table: TableName, filter: Filter, returning: boolean): string[] {
  const { key } = SHAPES[table];
  const filtered = filter === undefined ? [] : [filter.by === 'key' ? key : 'org_id'];
  return returning ? [key, ...filtered] : filtered;
}

const isNamed =
  (table: TableName, filter: Filter) =>
  (row: Row): boolean =>
    filter === undefined || filter.values.includes((filter.by === 'key' ? keyOf(table, row) : row['org_id']) ?? '');

function predictRead(state: State, asked: Asked, operation: Of<'select' | 'lock' | 'copy'>): Result {
  const { table, columns, filter, kind } = operation;
  const grant = granted(table, asked);
  const { secret } = SHAPES[table];
  if (!mayRead(grant, columnsRead(table, filter, true))) return REFUSED;
  const whole = grant.select === 'all';
  if (columns === '*' && !whole) return REFUSED;
  if (columns === 'secret' && secret !== undefined && !whole) return REFUSED;
  const locks = kind === 'lock';
  if (locks && asked.grants === 'ours' && (grant.update ?? []).length === 0) return REFUSED;
  const { sees, changes } = rulesFor(table, asked.actor, state);
  const found = [...state[table].values()].filter(
    (row) => sees?.(row) === true && (!locks || changes?.(row) === true) && isNamed(table, filter)(row),
  );
  return rows(found.map((row) => keyOf(table, row)));
}

function rows(keys: readonly string[], returned = true): Result {
  return returned
    ? { outcome: 'rows', count: keys.length, keys: keys.toSorted() }
    : { outcome: 'rows', count: keys.length };
}

function predictJoin(state: State, asked: Asked, { join, form }: Of<'join'>): Result {
  const visible = (table: TableName, column: string, shown: boolean): Row[] | undefined => {
    if (!mayRead(granted(table, asked), shown ? [column, SHAPES[table].key] : [column])) return undefined;
    const { sees } = rulesFor(table, asked.actor, state);
    return [...state[table].values()].filter((row) => sees?.(row) === true);
  };
  const { left, right, on } = join;
  const lefts = visible(left, on[0], true);
  const rights = visible(right, on[1], form !== 'without');
  if (lefts === undefined || rights === undefined) return REFUSED;
  const keys = lefts.flatMap((row) => {
    const own = keyOf(left, row);
    const partners = rights.filter((other) => row[on[0]] !== null && other[on[1]] === row[on[0]]);
    if (form === 'without') return partners.length === 0 ? [own] : [];
    if (partners.length === 0) return form === 'left' ? [own] : [];
    return partners.map((other) => `${own} ${keyOf(right, other)}`);
  });
  return rows(keys);
}

/** The state with rows of one table put in. */
function withRows(state: State, table: TableName, changed: readonly Row[]): State {
  const map = new Map(state[table]);
  for (const row of changed) map.set(keyOf(table, row), row);
  return { ...state, [table]: map };
}

const adds = (rules: Rules, row: Row, read: boolean): boolean =>
  rules.adds?.(row) === true && (!read || rules.sees?.(row) === true);
const becomes = (rules: Rules, row: Row, read: boolean): boolean =>
  (rules.becomes ?? rules.changes)?.(row) === true && (!read || rules.sees?.(row) === true);

function predictInsert(state: State, asked: Asked, operation: Of<'insert'>): { result: Result; after: State } {
  const { table, rows: added, returning } = operation;
  const refused = { result: REFUSED, after: state };
  const grant = granted(table, asked);
  if (grant.insert !== true || !mayRead(grant, columnsRead(table, undefined, returning))) return refused;
  const rules = rulesFor(table, asked.actor, state);
  let after = state;
  // Row by row: the check of the policies, then that of uniqueness; references are looked at when all rows are there.
  for (const row of added) {
    if (!adds(rules, row, returning)) return refused;
    if (isTaken(after, table, row)) return { result: BROKEN, after: state };
    after = withRows(after, table, [row]);
  }
  return holds(after, table, added)
    ? {
        result: rows(
          added.map((row) => keyOf(table, row)),
          returning,
        ),
        after,
      }
    : { result: BROKEN, after: state };
}

function predictUpsert(state: State, asked: Asked, operation: Of<'upsert'>): { result: Result; after: State } {
  const { table, row, set } = operation;
  const refused = { result: REFUSED, after: state };
  const broken = { result: BROKEN, after: state };
  const grant = granted(table, asked);
  if (grant.insert !== true || !mayUpdate(grant, asked, set.column)) return refused;
  const rules = rulesFor(table, asked.actor, state);
  // The row is checked as a new one first, whether or not it meets another; and read, because a conflict is.
  if (!mayRead(grant, [SHAPES[table].key, ...(table === 'ai_embeddings' ? ['org_id'] : [])]) || !adds(rules, row, true))
    return refused;
  const met = state[table].get(keyOf(table, row));
  if (met === undefined) {
    if (isTaken(state, table, row)) return broken;
    const after = withRows(state, table, [row]);
    return holds(after, table, [row]) ? { result: rows([keyOf(table, row)], false), after } : broken;
  }
  // A row that is met and may not be changed, or not seen, is an error: silence would look like success.
  const changed = { ...met, [set.column]: set.value };
  if (rules.changes?.(met) !== true || rules.sees?.(met) !== true || !becomes(rules, changed, true)) return refused;
  const after = withRows(state, table, [known(table, changed)]);
  return holds(after, table, [changed]) ? { result: rows([keyOf(table, row)], false), after } : broken;
}

/** Only the columns that the model keeps. */
function known(table: TableName, row: Row): Row {
  return Object.fromEntries(SHAPES[table].columns.map((column) => [column, row[column] ?? null]));
}

function predictUpdate(state: State, asked: Asked, operation: Of<'update'>): { result: Result; after: State } {
  const { table, set, filter, returning } = operation;
  const grant = granted(table, asked);
  const read = filter !== undefined || returning;
  const refused = { result: REFUSED, after: state };
  // The audit trail refuses as a whole, whatever was granted.
  if (table === 'audit_log' || !mayUpdate(grant, asked, set.column)) return refused;
  if (!mayRead(grant, columnsRead(table, filter, returning))) return refused;
  const rules = rulesFor(table, asked.actor, state);
  const found = [...state[table].values()].filter(
    (row) => rules.changes?.(row) === true && (!read || rules.sees?.(row) === true) && isNamed(table, filter)(row),
  );
  const changed = found.map((row) => ({ ...row, [set.column]: set.value }));
  if (!changed.every((row) => becomes(rules, row, read))) return refused;
  const kept = changed.map((row) => known(table, row));
  const after = withRows(state, table, kept);
  const moved = set.column === 'org_id' ? found.filter((row) => row['org_id'] !== set.value) : [];
  if (!holds(after, table, kept) || moved.some((row) => isReferred(state, table, row)))
    return { result: BROKEN, after: state };
  return {
    result: rows(
      kept.map((row) => keyOf(table, row)),
      returning,
    ),
    after,
  };
}

function predictDelete(state: State, asked: Asked, operation: Of<'delete'>): { result: Result; after: State } {
  const { table, filter, returning } = operation;
  const grant = granted(table, asked);
  const read = filter !== undefined || returning;
  const refused = { result: REFUSED, after: state };
  if (table === 'audit_log' || grant.delete !== true) return refused;
  if (!mayRead(grant, columnsRead(table, filter, returning))) return refused;
  const rules = rulesFor(table, asked.actor, state);
  const found = [...state[table].values()].filter(
    (row) => rules.removes?.(row) === true && (!read || rules.sees?.(row) === true) && isNamed(table, filter)(row),
  );
  let after = state;
  for (const row of found) after = without(after, table, row);
  if (table === 'org_members' && !ownersAreMembers(after)) return { result: BROKEN, after: state };
  return {
    result: rows(
      found.map((row) => keyOf(table, row)),
      returning,
    ),
    after,
  };
}

/** What points at a row of a table: those that go with it. */
const CHILDREN: Readonly<Partial<Record<TableName, readonly (readonly [TableName, string])[]>>> = {
  projects: [
    ['documents', 'project_id'],
    ['tasks', 'project_id'],
  ],
  documents: [
    ['comments', 'document_id'],
    ['ai_embeddings', 'document_id'],
  ],
};

function without(state: State, table: TableName, row: Row): State {
  const key = keyOf(table, row);
  const map = new Map(state[table]);
  map.delete(key);
  let after: State = { ...state, [table]: map };
  for (const [child, column] of CHILDREN[table] ?? [])
    for (const other of state[child].values()) if (other[column] === key) after = without(after, child, other);
  return after;
}

function isReferred(state: State, table: TableName, row: Row): boolean {
  return (CHILDREN[table] ?? []).some(([child, column]) =>
    [...state[child].values()].some((other) => other[column] === keyOf(table, row)),
  );
}

function isTaken(state: State, table: TableName, row: Row): boolean {
  if (state[table].has(keyOf(table, row))) return true;
  if (table !== 'org_members') return false;
  return [...state.org_members.values()].some(
    (other) => other['org_id'] === row['org_id'] && other['user_id'] === row['user_id'],
  );
}

/** Constraints that the new rows must keep: a parent in the same organization, and owners who are members. */
function holds(state: State, table: TableName, changed: readonly Row[]): boolean {
  if ((table === 'org_members' || table === 'organizations') && !ownersAreMembers(state)) return false;
  return changed.every((row) => {
    if ('project_id' in row) return state.projects.get(row['project_id'] ?? '')?.['org_id'] === row['org_id'];
    if ('document_id' in row) return state.documents.get(row['document_id'] ?? '')?.['org_id'] === row['org_id'];
    return true;
  });
}

function ownersAreMembers(state: State): boolean {
  return [...state.organizations.values()].every((org) =>
    [...state.org_members.values()].some(
      (member) => member['org_id'] === org['id'] && member['user_id'] === org['owner_id'] && member['role'] === 'owner',
    ),
  );
}
