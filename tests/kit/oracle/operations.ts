/** Random statements by random actors, as data: the model predicts what comes of each, the database runs its SQL. */
import type { Dice } from './dice.ts';
import {
  type Actor,
  ACTOR_ROLES,
  type Grant,
  GRANTS,
  type Row,
  SHAPES,
  type State,
  TABLES,
  type TableName,
} from './state.ts';
import { insertSql, literal } from './world.ts';

/** Which rows a statement names; without a filter it reads no column. */
export type Filter = { readonly by: 'key' | 'org'; readonly values: readonly string[] } | undefined;

export type Operation =
  | {
      readonly kind: 'select' | 'lock' | 'copy';
      readonly table: TableName;
      readonly columns: 'key' | 'secret' | '*';
      readonly filter: Filter;
    }
  | { readonly kind: 'join'; readonly join: Join; readonly form: 'inner' | 'left' | 'without' }
  | { readonly kind: 'insert'; readonly table: TableName; readonly rows: readonly Row[]; readonly returning: boolean }
  | { readonly kind: 'upsert'; readonly table: TableName; readonly row: Row; readonly set: Assignment }
  | {
      readonly kind: 'update';
      readonly table: TableName;
      readonly set: Assignment;
      readonly filter: Filter;
      readonly returning: boolean;
    }
  | { readonly kind: 'delete'; readonly table: TableName; readonly filter: Filter; readonly returning: boolean };

export interface Assignment {
  readonly column: string;
  readonly value: string;
}

export interface Join {
  readonly left: TableName;
  readonly right: TableName;
  readonly on: readonly [string, string];
}

export const JOINS: readonly Join[] = [
  { left: 'documents', right: 'projects', on: ['project_id', 'id'] },
  { left: 'comments', right: 'documents', on: ['document_id', 'id'] },
  { left: 'tasks', right: 'projects', on: ['project_id', 'id'] },
  { left: 'org_members', right: 'users', on: ['user_id', 'id'] },
  { left: 'documents', right: 'org_members', on: ['author_id', 'user_id'] },
  { left: 'ai_embeddings', right: 'documents', on: ['document_id', 'id'] },
  { left: 'projects', right: 'organizations', on: ['org_id', 'id'] },
  { left: 'audit_log', right: 'users', on: ['actor_id', 'id'] },
];

/** Somebody who asks: mostly people, in all their organizations, one of them, or one that is not theirs. */
export function randomActor(dice: Dice, state: State): Actor {
  const role = dice.once(2) ? 'novax_api' : dice.pick(ACTOR_ROLES);
  const memberships = [...state.org_members.values()];
  if (memberships.length > 0 && !dice.once(3)) {
    const member = dice.pick(memberships);
    return {
      role,
      user: member['user_id'] ?? null,
      org: dice.once(2) && role === 'novax_api' ? null : (member['org_id'] ?? null),
    };
  }
  const someone = dice.once(6) ? null : dice.pick([...state.users.keys()]);
  const org = dice.once(2) ? null : dice.pick([...state.organizations.keys()]);
  return { role, user: someone, org };
}

/** Any table, but mostly one on which the role was granted the command, so that enough statements succeed. */
function randomTable(dice: Dice, actor: Actor, command: keyof Grant): TableName {
  const granted = TABLES.filter((table) => GRANTS[actor.role][table]?.[command] !== undefined);
  return granted.length > 0 && !dice.once(4) ? dice.pick(granted) : dice.pick(TABLES);
}

/** A statement; an insert is mostly one that somebody could make. */
export function randomOperation(dice: Dice, state: State, actor: Actor): Operation {
  const kind = dice.pick([
    'select',
    'select',
    'lock',
    'copy',
    'join',
    'insert',
    'insert',
    'upsert',
    'update',
    'update',
    'delete',
  ] as const);
  const command =
    kind === 'insert' || kind === 'upsert'
      ? 'insert'
      : kind === 'update' || kind === 'lock'
        ? 'update'
        : kind === 'delete'
          ? 'delete'
          : 'select';
  const table = randomTable(dice, actor, command);
  const filter = randomFilter(dice, state, table);
  const returning = dice.once(3);
  switch (kind) {
    case 'select': {
      const columns = dice.once(5) ? 'secret' : dice.once(4) ? '*' : 'key';
      return { kind: 'select', table, columns, filter };
    }
    case 'lock':
    case 'copy':
      return { kind, table, columns: 'key', filter };
    case 'join':
      return { kind: 'join', join: dice.pick(JOINS), form: dice.pick(['inner', 'left', 'without']) };
    case 'insert': {
      const rows = Array.from({ length: dice.once(4) ? 2 : 1 }, () => randomRow(dice, state, { table, actor }));
      return { kind: 'insert', table, rows, returning };
    }
    case 'upsert': {
      // Rows of the records have no key that a second row could meet.
      if (table === 'audit_log' || table === 'events') return { kind: 'delete', table, filter, returning };
      const fresh = randomRow(dice, state, { table, actor });
      const existing = [...state[table].values()];
      const row = existing.length > 0 && !dice.once(3) ? dice.pick(existing) : fresh;
      return { kind: 'upsert', table, row, set: { column: SHAPES[table].label, value: labelOf(dice, table) } };
    }
    case 'update':
      return { kind: 'update', table, set: randomAssignment(dice, state, table), filter, returning };
    case 'delete':
      return { kind: 'delete', table, filter, returning };
  }
}

function randomFilter(dice: Dice, state: State, table: TableName): Filter {
  const keys = [...state[table].keys()];
  if (dice.once(3) || keys.length === 0) return undefined;
  if (SHAPES[table].columns.includes('org_id') && dice.once(2))
    return { by: 'org', values: [dice.pick([...state.organizations.keys()])] };
  return { by: 'key', values: Array.from({ length: 1 + dice.below(3) }, () => dice.pick(keys)) };
}

function labelOf(dice: Dice, table: TableName): string {
  if (table === 'org_members') return dice.pick(['viewer', 'member', 'admin', 'owner']);
  if (table === 'invitations') return 'revoked';
  return table === 'ai_embeddings' ? '{}' : `label-${dice.uuid()}`;
}

function randomAssignment(dice: Dice, state: State, table: TableName): Assignment {
  const { columns, label } = SHAPES[table];
  const choices: Assignment[] = [{ column: label, value: labelOf(dice, table) }];
  // A membership never changes its organization or person: it ends, and another begins.
  if (columns.includes('org_id') && table !== 'org_members')
    choices.push({ column: 'org_id', value: dice.pick([...state.organizations.keys()]) });
  if (table === 'projects' || table === 'organizations')
    choices.push({ column: 'status', value: dice.once(4) ? 'deleted' : 'active' });
  if (table === 'organizations') choices.push({ column: 'owner_id', value: dice.pick([...state.users.keys()]) });
  if (table === 'documents' && state.projects.size > 0)
    choices.push({ column: 'project_id', value: dice.pick([...state.projects.keys()]) });
  if (table === 'documents' || table === 'tasks') choices.push({ column: 'ai_metadata', value: '{"seen": true}' });
  return dice.pick(choices);
}

function randomRow(dice: Dice, state: State, of: { table: TableName; actor: Actor }): Row {
  const { table, actor } = of;
  const anyone = (): string => dice.pick([...state.users.keys()]);
  const oneself = actor.user === null || dice.once(4) ? anyone() : actor.user;
  const org = actor.org === null || dice.once(4) ? dice.pick([...state.organizations.keys()]) : actor.org;
  const within = (parent: 'projects' | 'documents'): string => {
    const rows = [...state[parent].values()];
    const own = rows.filter((row) => row['org_id'] === org);
    const from = own.length > 0 && !dice.once(5) ? own : rows;
    return from.length === 0 ? dice.uuid() : (dice.pick(from)['id'] ?? '');
  };
  const id = dice.uuid();
  const record = {
    org_id: dice.once(6) ? null : org,
    ...dice.pick([
      { actor_type: 'user', actor_id: oneself },
      { actor_type: 'ai', actor_id: oneself },
      { actor_type: 'system', actor_id: null },
    ]),
  };
  switch (table) {
    case 'users':
      return { id, username: id, status: 'active' };
    case 'organizations':
      return { id, owner_id: oneself, status: 'active', name: 'Name' };
    case 'org_members':
      return { id, org_id: org, user_id: anyone(), role: dice.pick(['viewer', 'member', 'admin', 'owner']) };
    case 'projects':
      return { id, org_id: org, name: 'Name', status: dice.once(4) ? 'deleted' : 'active' };
    case 'documents':
      return { id, org_id: org, project_id: within('projects'), author_id: oneself, title: 'Title' };
    case 'tasks':
      return { id, org_id: org, project_id: within('projects'), creator_id: oneself, title: 'Title' };
    case 'comments':
      return { id, org_id: org, document_id: within('documents'), author_id: oneself, body: 'Body' };
    case 'invitations':
      return { id, org_id: org, inviter_id: oneself, status: 'pending' };
    case 'api_keys':
      return { id, org_id: org, creator_id: oneself, name: 'Name' };
    case 'audit_log':
      return { entity_id: id, ...record };
    case 'events':
      return { event_id: id, ...record };
    case 'ai_embeddings':
      return { id, org_id: org, document_id: within('documents') };
  }
}

/** The statement's SQL; rows that come back have one column, `key`. */
export function sqlOf(operation: Operation): string {
  if (operation.kind === 'join') return joinSql(operation);
  const { table } = operation;
  const { key, secret } = SHAPES[table];
  const returning = 'returning' in operation && operation.returning ? ` returning ${key} as key` : '';
  switch (operation.kind) {
    case 'select':
    case 'lock':
    case 'copy': {
      const columns =
        operation.columns === '*'
          ? `*, ${key} as key`
          : operation.columns === 'secret'
            ? `${key} as key, ${secret ?? key}`
            : `${key} as key`;
      const lock = operation.kind === 'lock' ? ' for update' : '';
      return `select ${columns} from ${table}${where(operation.filter, key)}${lock}`;
    }
    case 'insert':
      return `${insertSql(table, operation.rows)}${returning}`;
    case 'upsert': {
      const arbiter = table === 'ai_embeddings' ? 'org_id, id' : key;
      return `${insertSql(table, [operation.row])} on conflict (${arbiter}) do update set ${setSql(operation.set)}`;
    }
    case 'update':
      return `update ${table} set ${setSql(operation.set)}${where(operation.filter, key)}${returning}`;
    case 'delete':
      return `delete from ${table}${where(operation.filter, key)}${returning}`;
  }
}

const setSql = ({ column, value }: Assignment): string => `${column} = ${literal(value)}`;

function where(filter: Filter, key: string): string {
  if (filter === undefined) return '';
  return ` where ${filter.by === 'key' ? key : 'org_id'} in (${filter.values.map(literal).join(', ')})`;
}

function joinSql({ join, form }: Extract<Operation, { kind: 'join' }>): string {
  const { left, right, on } = join;
  const keys = [`l.${SHAPES[left].key}`, `r.${SHAPES[right].key}`] as const;
  const condition = `l.${on[0]} = r.${on[1]}`;
  if (form === 'without')
    return `select ${keys[0]}::text as key from ${left} l where not exists (select from ${right} r where ${condition})`;
  return `select concat_ws(' ', ${keys[0]}, ${keys[1]}) as key from ${left} l ${form} join ${right} r on ${condition}`;
}
