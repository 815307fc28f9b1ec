/** Random worlds: organizations, one of them deleted, people in any role or none, and what they wrote. */
import type { Dice } from './dice.ts';
import { type Row, SHAPES, type State, TABLES, type TableName } from './state.ts';

/** Makes a world; the deleted organization is deleted by `buildSql` last, as it would be. */
export function randomWorld(dice: Dice): State {
  const state = Object.fromEntries(TABLES.map((table) => [table, new Map<string, Row>()])) as Record<
    TableName,
    Map<string, Row>
  >; // One map per table, which is what the names say.
  const people = Array.from({ length: 4 + dice.below(3) }, (_, n) => {
    const id = dice.uuid();
    state.users.set(id, { id, username: id, status: n === 1 ? 'suspended' : 'active' });
    return id;
  });
  const orgs = 2 + dice.below(3);
  for (let n = 0; n < orgs; n++) addOrganization(state, dice, { people, status: n === 1 ? 'deleted' : 'active' });
  // Records of nobody's organization.
  add(state, 'events', { event_id: dice.uuid(), org_id: null, actor_type: 'system', actor_id: null });
  add(state, 'audit_log', { entity_id: dice.uuid(), org_id: null, actor_type: 'system', actor_id: null });
  return state;
}

function addOrganization(state: State, dice: Dice, facts: { people: readonly string[]; status: string }): void {
  const { people, status } = facts;
  const org = dice.uuid();
  const owner = dice.pick(people);
  add(state, 'organizations', { id: org, owner_id: owner, status, name: 'Name' });
  for (const user of people) {
    if (user !== owner && dice.once(3)) continue;
    const role = user === owner ? 'owner' : dice.pick(['viewer', 'member', 'admin', 'owner']);
    add(state, 'org_members', { id: dice.uuid(), org_id: org, user_id: user, role });
  }
  const times = (most: number, make: () => void): void => {
    for (let n = dice.below(most + 1); n > 0; n--) make();
  };
  const person = (): string => dice.pick(people);
  const base = (): { id: string; org_id: string } => ({ id: dice.uuid(), org_id: org });
  const record = () => ({ org_id: org, actor_type: 'user', actor_id: person() });
  times(2, () => add(state, 'invitations', { ...base(), inviter_id: person(), status: 'pending' }));
  times(2, () => add(state, 'api_keys', { ...base(), creator_id: person(), name: 'Name' }));
  times(2, () => add(state, 'audit_log', { entity_id: dice.uuid(), ...record() }));
  times(2, () => add(state, 'events', { event_id: dice.uuid(), ...record() }));
  times(2, () => {
    const project = base();
    add(state, 'projects', { ...project, name: 'Name', status: dice.once(4) ? 'deleted' : 'active' });
    times(2, () => add(state, 'tasks', { ...base(), project_id: project.id, creator_id: person(), title: 'Title' }));
    times(2, () => {
      const document = base();
      add(state, 'documents', { ...document, project_id: project.id, author_id: person(), title: 'Title' });
      times(2, () =>
        add(state, 'comments', { ...base(), document_id: document.id, author_id: person(), body: 'Body' }),
      );
      times(1, () => add(state, 'ai_embeddings', { ...base(), document_id: document.id }));
    });
  });
}

function add(state: State, table: TableName, row: Row): void {
  state[table].set(row[SHAPES[table].key] ?? '', row);
}

/** SQL literal of a value of the model. */
export const literal = (value: string | null): string => (value === null ? 'null' : `'${value.replaceAll("'", "''")}'`);

/** SQL of one INSERT of rows of a table. */
export function insertSql(table: TableName, rows: readonly Row[]): string {
  const { columns, filler } = SHAPES[table];
  const values = rows.map((row) =>
    [...columns.map((column) => literal(row[column] ?? null)), ...Object.values(filler)].join(', '),
  );
  return `insert into ${table} (${[...columns, ...Object.keys(filler)].join(', ')}) values (${values.join('), (')})`;
}

/** SQL that makes a world in an empty database. */
export function buildSql(state: State): string {
  const alive = (row: Row): Row => ({ ...row, status: 'active' });
  const statements = TABLES.flatMap((table) => {
    const rows = [...state[table].values()];
    if (rows.length === 0) return [];
    return [insertSql(table, table === 'organizations' ? rows.map(alive) : rows)];
  });
  const deleted = [...state.organizations.values()].filter((row) => row['status'] === 'deleted');
  const ends = deleted.map(({ id }) => `update organizations set status = 'deleted' where id = ${literal(id ?? null)}`);
  return [...statements, ...ends, 'set constraints all immediate', 'set constraints all deferred'].join('; ');
}
