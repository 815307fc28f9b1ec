/**
 * Tenants kept apart, generated: every procedure of the contract with another organization's ids, and every table of the catalogue with
 * another organization's rows under every runtime role. What the generators cannot cover fails.
 */
import { randomUUID } from 'node:crypto';
import { type Client, escapeIdentifier } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call, rowOf, rows } from '../kit/call.ts';
import { newSession } from '../kit/cells.ts';
import { connect } from '../kit/database.ts';
import {
  fillTables,
  fingerprint,
  insertableColumns,
  insertRow,
  tenantTables,
  type TenantTable,
} from '../kit/tenant-tables.ts';
import { type Ids, makeWorld, validInput } from '../kit/world.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let world: Awaited<ReturnType<typeof makeWorld>>;
let tables: TenantTable[];
/** Texts that only the victim's organization holds. */
let secrets: string[];

beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  world = await makeWorld(api);
  const { owner, admin: second, member, viewer } = world.actors;
  const title = `secret-title-${randomUUID()}`;
  const content = `secret-content-${randomUUID()}`;
  await owner.client.documents.create.mutate({ projectId: world.ids.projectId, title, content });
  const { rows: named } = await admin.query<{ slug: string; name: string }>(
    'select o.slug, p.name from organizations o join projects p on p.org_id = o.id where o.id = $1',
    [world.ids.organizationId],
  );
  const people = [owner, second, member, viewer].flatMap(({ email, username }) => [email, username]);
  secrets = [title, content, ...people, ...named.flatMap(({ slug, name }) => [slug, name])];
  tables = await tenantTables(admin);
  for (const { organizationId } of [world.ids, world.outsiderIds]) await fillTables(admin, tables, organizationId);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

/** Which of our ids an input field of a row wants. */
function idOf(path: string, field: string): keyof Ids {
  if (field === 'organizationId' || field === 'projectId' || field === 'documentId') return field;
  if (field === 'toUserId') return 'ownerId';
  if (field === 'userId') return 'memberId';
  if (field === 'entityId') return 'documentId';
  if (field === 'actorId') return 'ownerId';
  const { scope } = rowOf(path);
  if (field === 'id' && scope !== 'public' && scope !== 'user') return `${scope}Id`;
  throw new Error(`${path} has an id "${field}" that the generator does not know`);
}

function isIdSchema(schema: unknown): boolean {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable)
    return isIdSchema(schema.unwrap());
  return schema instanceof z.ZodUUID;
}

/** Fields of the input that hold an id, optional ones included. Throws for an input whose fields cannot be seen. */
function idFields(path: string): { field: string; key: keyof Ids }[] {
  const { input } = rowOf(path);
  if (!(input instanceof z.ZodObject))
    throw new Error(`the input of ${path} is no object: teach the generator its shape`);
  // What is about oneself names one's own things only.
  if (rowOf(path).scope === 'user') return [];
  return Object.entries(input.shape).flatMap(([field, schema]) =>
    isIdSchema(schema) ? [{ field, key: idOf(path, field) }] : [],
  );
}

/** Every input that names at least one thing of the victim's, the others being the outsider's own or absent. */
function hostileInputs(path: string): Record<string, unknown>[] {
  const fields = idFields(path);
  const base = validInput(path, world.ids);
  if (fields.length === 0) return [base];
  const combinations = 2 ** fields.length;
  return Array.from({ length: combinations - 1 }, (_, mask) => {
    const own = fields.map(({ field, key }, at) => [
      field,
      (mask >> at) % 2 === 1 ? world.outsiderIds[key] : world.ids[key],
    ]);
    return { ...base, ...Object.fromEntries(own) };
  });
}

function isVictims(value: unknown): boolean {
  return Object.values(world.ids).some((id) => id === value);
}

describe('every procedure × outsider', () => {
  test.each([...rows.keys()])(
    '%s shows an outsider nothing of another organization and changes nothing in it',
    async (path) => {
      const before = await fingerprint(admin, tables, world.ids.organizationId);
      // A session of its own, and without a password: some of the procedures end the one or change the other.
      const authorization = await newSession({ api, admin }, world.actors.outsider.id);
      const inputs = hostileInputs(path);
      expect(inputs.length).toBeGreaterThan(0);
      for (const input of inputs) {
        const answer = await call(api.url, path, { input, authorization });
        for (const secret of secrets) expect(answer.text).not.toContain(secret);
        expect(answer.status, answer.text).toBeLessThan(500);
        const named = idFields(path);
        const { kind, target = '' } = rowOf(path);
        // A filter of a read may name anything: it finds nothing.
        const hostile = kind === 'mutation' ? named.some(({ field }) => field === target) : isVictims(input[target]);
        if (hostile || named.length === 1) expect([400, 404], answer.text).toContain(answer.status);
      }
      expect(await fingerprint(admin, tables, world.ids.organizationId)).toEqual(before);
    },
  );
});

const identities = ['novax_api', 'novax_worker', 'novax_ai', 'novax_readonly'] as const;

/** Tables whose rows of all organizations the worker handles, because nobody else reads them: decided once, here and in the policies. */
const workersOwn: Readonly<Record<string, readonly string[]>> = {
  '"public"."events"': ['select', 'update', 'delete'],
  '"public"."inbox"': ['select', 'insert', 'delete'],
  '"public"."dead_letters"': ['select', 'insert', 'update', 'delete'],
  '"public"."idempotency_keys"': ['select', 'delete'],
};

describe.each(identities)('every table × foreign organization as %s', (role) => {
  let client: Client & AsyncDisposable;
  beforeAll(async () => {
    client = await connect(api.database.url(role));
  });
  afterAll(() => client.end());

  /** Runs one statement as the outsider would be served, and undoes it: its row count, or 0 when the database refused. */
  async function attempt(sql: string, values: readonly unknown[]): Promise<number> {
    await client.query('begin');
    try {
      await client.query(
        `select set_config('app.current_user_id', $1, true), set_config('app.current_org_id', $2, true)`,
        [world.actors.outsider.id, world.outsiderIds.organizationId],
      );
      const { rowCount } = await client.query(sql, [...values]);
      return rowCount ?? 0;
    } catch (thrown) {
      // Refused by a grant, a policy, a trigger or a view: anything else would be a fault of the attempt itself.
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
      if (code === '42501' || code === '55000' || code === '25006' || code === '428C9') return 0;
      throw thrown;
    } finally {
      await client.query('rollback');
    }
  }

  const allowed = (table: TenantTable, command: string): boolean =>
    role === 'novax_worker' && (workersOwn[table.name] ?? []).includes(command);

  test('reads 0 foreign rows of every table, partition and view', async () => {
    const seen: string[] = [];
    for (const table of tables) {
      const found = await attempt(`select ${table.orgColumn} from ${table.name} where ${table.orgColumn} = $1`, [
        world.ids.organizationId,
      ]);
      if (found > 0 && !allowed(table, 'select')) seen.push(table.name);
    }
    expect(seen).toEqual([]);
  });

  test('reads 0 foreign rows without naming the organization', async () => {
    const seen: string[] = [];
    for (const table of tables) {
      // Materialized first, so that the condition cannot reach the table.
      const all = `with everything as materialized (select ${table.orgColumn} as org_id from ${table.name}) select from everything where org_id = $1`;
      const found = await attempt(all, [world.ids.organizationId]);
      if (found > 0 && !allowed(table, 'select')) seen.push(table.name);
    }
    expect(seen).toEqual([]);
  });

  test('inserts 0 foreign rows into every table and partition', async () => {
    const written: string[] = [];
    for (const table of tables.filter(({ kind }) => kind === 'table' || kind === 'partition')) {
      const granted = await insertableColumns(admin, table, role);
      if (!granted.has(table.orgColumn)) continue;
      const count = await attempt(insertRow(table, granted), [world.ids.organizationId]).catch((thrown: unknown) =>
        brokenRow(thrown),
      );
      if (count > 0 && !allowed(table, 'insert')) written.push(table.name);
    }
    expect(written).toEqual([]);
  });

  test('updates 0 foreign rows of every table, column by column', async () => {
    const written: string[] = [];
    for (const table of tables.filter(({ kind }) => kind !== 'materialized view')) {
      for (const { name, generated } of table.columns) {
        if (generated) continue;
        const column = escapeIdentifier(name);
        const count = await attempt(`update ${table.name} set ${column} = ${column} where ${table.orgColumn} = $1`, [
          world.ids.organizationId,
        ]);
        if (count > 0 && !allowed(table, 'update')) written.push(`${table.name}.${name}`);
      }
    }
    expect(written).toEqual([]);
  });

  test('moves none of its own rows into the foreign organization', async () => {
    const moved: string[] = [];
    for (const table of tables.filter(({ kind }) => kind === 'table')) {
      const set = escapeIdentifier(table.orgColumn);
      const values = [world.ids.organizationId, world.outsiderIds.organizationId];
      const count = await attempt(`update ${table.name} set ${set} = $1 where ${set} = $2`, values).catch(
        (thrown: unknown) => brokenRow(thrown),
      );
      if (count > 0 && !allowed(table, 'update')) moved.push(table.name);
    }
    expect(moved).toEqual([]);
  });

  test('deletes 0 foreign rows of every table', async () => {
    const deleted: string[] = [];
    for (const table of tables.filter(({ kind }) => kind !== 'materialized view')) {
      const count = await attempt(`delete from ${table.name} where ${table.orgColumn} = $1`, [
        world.ids.organizationId,
      ]);
      if (count > 0 && !allowed(table, 'delete')) deleted.push(table.name);
    }
    expect(deleted).toEqual([]);
  });

  test('reads its own rows, so that the zeros above mean something', async () => {
    const seen: string[] = [];
    for (const table of tables.filter(({ kind }) => kind === 'table')) {
      const found = await attempt(`select ${table.orgColumn} from ${table.name} where ${table.orgColumn} = $1`, [
        world.outsiderIds.organizationId,
      ]);
      if (found > 0) seen.push(table.name);
    }
    const expected = {
      novax_api: '"public"."documents"',
      novax_worker: '"public"."documents"',
      novax_ai: '"public"."ai_embeddings"',
      novax_readonly: '"public"."documents"',
    };
    expect(seen).toContain(expected[role]);
  });
});

/** A row that only a constraint refused had passed the policy, which counts as written. */
function brokenRow(thrown: unknown): number {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (code.startsWith('23')) return 1;
  throw thrown;
}

test('every table of the catalogue holds a row of both organizations, so none is passed over', async () => {
  const empty: string[] = [];
  for (const table of tables.filter(({ kind }) => kind === 'table')) {
    for (const { organizationId } of [world.ids, world.outsiderIds]) {
      const { rowCount } = await admin.query(`select from ${table.name} where ${table.orgColumn} = $1`, [
        organizationId,
      ]);
      if (rowCount === 0) empty.push(table.name);
    }
  }
  expect(empty).toEqual([]);
  expect(tables.filter(({ kind }) => kind === 'table').length).toBeGreaterThan(20);
});

test('the owner gets what the outsider was refused, by the very same inputs', async () => {
  const { authorization } = world.actors.owner;
  const last = ['documents.delete', 'projects.delete', 'organizations.delete'];
  const refused = [...rows.keys()].filter((path) => rowOf(path).needs !== undefined);
  for (const path of refused.toSorted((a, b) => last.indexOf(a) - last.indexOf(b))) {
    const answer = await call(api.url, path, { input: validInput(path, world.ids), authorization });
    // An owner hears how to leave.
    expect(answer.status, `${path}: ${answer.text}`).toBe(path === 'members.leave' ? 409 : 200);
  }
});
