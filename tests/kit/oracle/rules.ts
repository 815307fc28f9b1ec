/**
 * Who may see and change which row, as the decisions and the permissions say it: written by hand and by nobody's policy,
 * so that the database can be compared with it.
 */
import type { Actor, Row, State, TableName } from './state.ts';

/** A member's roles, weakest first. */
const STRENGTH = ['viewer', 'member', 'admin', 'owner'] as const;
type Role = (typeof STRENGTH)[number];

type Judge = (row: Row) => boolean;

/** What an actor's role is let do with rows of a table; what is absent is let do with none. */
export interface Rules {
  readonly sees?: Judge;
  readonly adds?: Judge;
  /** The row as it was. */
  readonly changes?: Judge;
  /** The row as it would be; absent means the same as `changes`. */
  readonly becomes?: Judge;
  readonly removes?: Judge;
}

/** The rules for an actor as the world is at this moment. */
export function rulesFor(table: TableName, actor: Actor, state: State): Rules {
  switch (actor.role) {
    case 'novax_api':
      return personRules(table, actor, state);
    case 'novax_worker':
      return workerRules(table, actor, state);
    case 'novax_ai':
      return aiRules(table, actor);
    case 'novax_readonly':
      return supportRules(table, actor, state);
  }
}

const orgOf = (row: Row): string | null => row['org_id'] ?? null;

/** The row belongs to the organization the actor works for. */
const here =
  (actor: Actor): Judge =>
  (row) =>
    actor.org !== null && orgOf(row) === actor.org;

/** Membership of an organization that is not deleted; a person's own status is for the session to check, before any statement. */
function roleIn(state: State, user: string | null, org: string | null): Role | undefined {
  if (user === null || org === null || state.organizations.get(org)?.['status'] === 'deleted') return undefined;
  for (const member of state.org_members.values())
    if (member['org_id'] === org && member['user_id'] === user) return STRENGTH.find((role) => role === member['role']);
  return undefined;
}

function personRules(table: TableName, actor: Actor, state: State): Rules {
  const may = (least: Role, org: string | null): boolean => {
    if (actor.org !== null && org !== actor.org) return false;
    const role = roleIn(state, actor.user, org);
    return role !== undefined && STRENGTH.indexOf(role) >= STRENGTH.indexOf(least);
  };
  const least =
    (role: Role): Judge =>
    (row) =>
      may(role, orgOf(row));
  const self = (column: string, row: Row): boolean => actor.user !== null && row[column] === actor.user;
  const asOneself =
    (role: Role, column: string): Judge =>
    (row) =>
      may(role, orgOf(row)) && self(column, row);
  // Recorded in the name of the one who acts, wherever they act: leaving an organization must be recordable.
  const inOwnName: Judge = (row) => here(actor)(row) && row['actor_type'] !== 'system' && self('actor_id', row);

  switch (table) {
    case 'users':
      return { sees: (row) => self('id', row), changes: (row) => self('id', row) };
    case 'organizations':
      return {
        sees: (row) => may('viewer', row['id'] ?? null),
        changes: (row) => may('admin', row['id'] ?? null),
        // Only an owner ends an organization.
        becomes: (row) => may(row['status'] === 'deleted' ? 'owner' : 'admin', row['id'] ?? null),
      };
    case 'org_members': {
      // An admin manages everyone but owners.
      const manages: Judge = (row) => may(row['role'] === 'owner' ? 'owner' : 'admin', orgOf(row));
      return {
        sees: least('viewer'),
        adds: manages,
        changes: manages,
        removes: (row) => manages(row) || self('user_id', row),
      };
    }
    case 'projects': {
      // Only an admin deletes a project.
      const writes: Judge = (row) => may(row['status'] === 'deleted' ? 'admin' : 'member', orgOf(row));
      return { sees: least('viewer'), adds: writes, changes: least('member'), becomes: writes };
    }
    case 'documents':
      return { sees: least('viewer'), adds: asOneself('member', 'author_id'), changes: least('member') };
    case 'tasks':
      return {
        sees: least('viewer'),
        adds: asOneself('member', 'creator_id'),
        changes: least('member'),
        removes: least('member'),
      };
    case 'comments':
      return {
        sees: least('viewer'),
        adds: asOneself('member', 'author_id'),
        changes: least('member'),
        removes: least('member'),
      };
    case 'invitations':
      return { sees: least('admin'), adds: asOneself('admin', 'inviter_id'), changes: least('admin') };
    case 'api_keys':
      return { sees: least('admin'), adds: asOneself('admin', 'creator_id'), changes: least('admin') };
    case 'audit_log':
      return { sees: least('admin'), adds: inOwnName };
    case 'events':
      return { adds: inOwnName };
    case 'ai_embeddings':
      return { sees: least('viewer') };
  }
}

function workerRules(table: TableName, actor: Actor, state: State): Rules {
  const own = here(actor);
  switch (table) {
    case 'users':
      return { sees: (row) => actor.org !== null && roleIn(state, row['id'] ?? null, actor.org) !== undefined };
    case 'organizations':
      return { sees: (row) => row['id'] === actor.org };
    case 'org_members':
      return { sees: own };
    case 'projects':
      return { sees: own, removes: own };
    case 'documents':
    case 'tasks':
      return { sees: own, changes: own, removes: own };
    case 'comments':
      return { sees: own, removes: own };
    case 'invitations':
      return { sees: own, changes: own };
    case 'api_keys':
      return {};
    case 'audit_log':
      return { sees: own, adds: (row) => own(row) && (row['actor_type'] === 'system' || row['actor_type'] === 'ai') };
    case 'events': {
      // Relays everyone's; adds only what belongs to whom it works for, or to none when it works for none.
      const all: Judge = () => true;
      return { sees: all, changes: all, removes: all, adds: (row) => orgOf(row) === actor.org };
    }
    case 'ai_embeddings':
      return { sees: own, adds: own, removes: own };
  }
}

function aiRules(table: TableName, actor: Actor): Rules {
  const own = here(actor);
  if (table === 'documents' || table === 'tasks') return { sees: own, changes: own };
  return table === 'ai_embeddings' ? { sees: own, adds: own } : {};
}

function supportRules(table: TableName, actor: Actor, state: State): Rules {
  if (table === 'invitations') return {};
  if (table === 'organizations') return { sees: (row) => row['id'] === actor.org };
  if (table !== 'users') return { sees: here(actor) };
  // Support still sees the people of an organization that was deleted.
  const people = new Set([...state.org_members.values()].filter(here(actor)).map((member) => member['user_id']));
  return { sees: (row) => people.has(row['id']) };
}
