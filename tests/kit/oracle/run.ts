/** Runs worlds against the database and lists where it and the model disagree. */
import { type Client, escapeIdentifier } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { diceOf } from './dice.ts';
import { type Operation, randomActor, randomOperation, sqlOf } from './operations.ts';
import { type GrantMode, predict, type Result } from './predict.ts';
import { type Actor, ACTOR_ROLES, SHAPES, type State, TABLES } from './state.ts';
import { buildSql, literal, randomWorld } from './world.ts';

export interface Difference {
  readonly seed: number;
  readonly step: number;
  readonly actor: Actor;
  readonly sql: string;
  readonly expected: unknown;
  readonly found: unknown;
}

/** How often each kind of statement came to each outcome, such as `update refused`. */
export type Tally = Map<string, number>;

/**
 * Builds the world of a seed in one transaction, runs `steps` statements in it, each by another actor and each kept when
 * it succeeds, compares every result and at last every row, and rolls all of it back. Stops at the first difference.
 */
export async function runWorld(
  admin: Client,
  spec: { seed: number; steps: number; tally: Tally },
): Promise<Difference | undefined> {
  const dice = diceOf(spec.seed);
  let state = randomWorld(dice);
  const grants: GrantMode = dice.once(2) ? 'wide' : 'ours';
  await admin.query('begin');
  try {
    await admin.query(`${buildSql(state)}; ${grants === 'wide' ? WIDE : ''}`);
    for (let step = 0; step < spec.steps; step++) {
      const actor = randomActor(dice, state);
      const operation = randomOperation(dice, state, actor);
      const { result, after } = predict(state, { actor, operation, grants });
      const found = await execute(admin, actor, operation);
      if (JSON.stringify(found) !== JSON.stringify(result))
        return { seed: spec.seed, step, actor, sql: sqlOf(operation), expected: { ...result, grants }, found };
      state = after;
      const counted = `${operation.kind} ${result.outcome === 'rows' && result.count === 0 ? 'nothing' : result.outcome}`;
      spec.tally.set(counted, (spec.tally.get(counted) ?? 0) + 1);
    }
    return await compareRows(admin, state, spec);
  } finally {
    await admin.query('rollback');
  }
}

const WIDE = ACTOR_ROLES.map((role) => `grant all on ${TABLES.join(', ')} to ${role}`).join('; ');

/** Runs a statement as the actor; what it changed stays, unless it failed. */
async function execute(admin: Client, actor: Actor, operation: Operation): Promise<Result> {
  const begin = `savepoint operation;
    select set_config('app.current_user_id', '${actor.user ?? ''}', true), set_config('app.current_org_id', '${actor.org ?? ''}', true);
    set local session authorization ${actor.role}`;
  try {
    const result =
      operation.kind === 'copy' ? await copy(admin, begin, operation) : await query(admin, begin, operation);
    // What waits for the commit is due now.
    await admin.query(
      'set local session authorization default; set constraints all immediate; set constraints all deferred',
    );
    await admin.query('release savepoint operation');
    return result;
  } catch (thrown) {
    await admin.query('rollback to savepoint operation; release savepoint operation');
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
    if (code === '42501') return { outcome: 'refused' };
    if (code.startsWith('23')) return { outcome: 'broken' };
    throw new Error(`no result of the oracle's kind: ${sqlOf(operation)}`, { cause: thrown });
  }
}

async function query(admin: Client, begin: string, operation: Operation): Promise<Result> {
  const results: unknown = await admin.query(`${begin}; ${sqlOf(operation)}`);
  // pg answers an array for several statements; ours is the last.
  const last = (results as { rowCount: number | null; rows: { key: string }[] }[]).at(-1);
  const count = last?.rowCount ?? 0;
  const returns = 'returning' in operation ? operation.returning : operation.kind !== 'upsert';
  return returns
    ? { outcome: 'rows', count, keys: (last?.rows ?? []).map(({ key }) => key).toSorted() }
    : { outcome: 'rows', count };
}

async function copy(admin: Client, begin: string, operation: Operation): Promise<Result> {
  await admin.query(begin);
  let text = '';
  for await (const chunk of admin.query(copyTo(`copy (${sqlOf(operation)}) to stdout`))) text += String(chunk);
  const keys = text.split('\n').filter((line) => line !== '');
  return { outcome: 'rows', count: keys.length, keys: keys.toSorted() };
}

/** Every row of the world as the database has it in the end, against the model's. */
async function compareRows(
  admin: Client,
  state: State,
  spec: { seed: number; steps: number },
): Promise<Difference | undefined> {
  for (const table of TABLES) {
    const { key, columns } = SHAPES[table];
    const selected = columns.map((column) => `${escapeIdentifier(column)}::text`).join(', ');
    const sql = `select ${selected} from ${table} order by ${key}::text collate "C"`;
    const { rows: found } = await admin.query<Record<string, string | null>>(sql);
    const expected = [...state[table].entries()]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, row]) => columns.map((column) => row[column] ?? null));
    if (JSON.stringify(found.map((row) => columns.map((column) => row[column]))) !== JSON.stringify(expected))
      return {
        seed: spec.seed,
        step: spec.steps,
        actor: { role: 'novax_api', user: null, org: null },
        sql,
        expected,
        found,
      };
  }
  return undefined;
}

/** Prepares an empty database for worlds: a model of vectors without an index, because nothing is searched here. */
export const ORACLE_SETUP = `insert into embedding_models (id, name, provider, dims) values (99, ${literal('oracle')}, 'local', 8)`;
