/** Procedures of `audit`, and what is personal in the trail. */
import { randomUUID } from 'node:crypto';
import { createPersonKeys } from '@novax/db/person-keys';
import { openReadLane } from '@novax/db/read-lane';
import { listAudit } from '@novax/domain/audit/queries';
import type { Reader } from '@novax/domain/reader';
import { createKeyring } from '@novax/runtime/keyring';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, unique } from '../../kit/actors.ts';
import { startTestApi, type TestApi } from '../../kit/api.ts';
import { call, faces } from '../../kit/call.ts';
import { connect } from '../../kit/database.ts';
import { eventually } from '../../kit/eventually.ts';
import { makeDocument, makeOrganization, makeProject } from '../../kit/factories.ts';
import { expectError, pathsOf, testGuarantees } from '../../kit/guarantees.ts';
import { makeWorld } from '../../kit/world.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let world: Awaited<ReturnType<typeof makeWorld>>;
let sealer: AsyncDisposable;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  world = await makeWorld(api);
  sealer = await api.startWorkers({ WORKER_ROLES: ['seals'] });
});
afterAll(async () => {
  await sealer[Symbol.asyncDispose]();
  await admin.end();
  await api[Symbol.asyncDispose]();
});

describe.each(pathsOf('audit'))('%s', (path) => testGuarantees(path, () => world));

/** An organization of a new person with a few changes in it. */
async function traced(name = 'tracer') {
  const person = await newPerson(api, name);
  const organization = await makeOrganization(person.client);
  const project = await makeProject(person.client, { organizationId: organization.id });
  for (let n = 0; n < 4; n += 1) await makeDocument(person.client, { projectId: project.id });
  return { person, organizationId: organization.id, projectId: project.id };
}

const sealed = (organizationId: string) =>
  eventually(
    async () => {
      const { rows } = await admin.query(
        `select (select count(*) from audit_log where org_id = $1) - (select coalesce(sum(row_count), 0) from audit_seals where org_id = $1) as open`,
        [organizationId],
      );
      expect(Number(rows[0].open)).toBe(0);
    },
    { timeoutMs: 20_000, everyMs: 50 },
  );

test.each(faces)(
  'audit.list shows an organization its entries by %s, newest first, page by page, and by filters',
  async (face) => {
    const { person, organizationId, projectId } = await traced();
    const ask = async (input: Record<string, unknown>) => {
      const answer = await call(api.url, 'audit.list', {
        face,
        input: { organizationId, ...input },
        authorization: person.authorization,
      });
      expect(answer.status, answer.text).toBe(200);
      // The contract's own output, checked by the API before it was sent.
      return answer.data as {
        items: { id: string; entityType: string; entityId: string }[];
        nextCursor: string | null;
      };
    };
    const all = await ask({});
    expect(all.items.map(({ entityType }) => entityType)).toEqual([
      'documents',
      'documents',
      'documents',
      'documents',
      'projects',
      'organizations',
    ]);
    expect(all.items[0]).toMatchObject({
      actorType: 'user',
      actorId: person.id,
      apiKeyId: null,
      action: 'create',
      network: '127.0.0.0/24',
      before: null,
      after: { projectId },
    });
    const seen: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await ask({ limit: 4, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(all.items.map(({ id }) => id));
    expect((await ask({ entityType: 'projects' })).items).toHaveLength(1);
    expect((await ask({ entityId: projectId })).items).toHaveLength(1);
    expect((await ask({ actorId: randomUUID() })).items).toEqual([]);
    expect((await ask({ from: '2199-01-01T00:00:00.000Z' })).items).toEqual([]);
    expect((await ask({ to: '2001-01-01T00:00:00.000Z' })).items).toEqual([]);
  },
);

test('a cursor that nobody made is refused', async () => {
  const { owner, organizationId } = world.actors;
  for (const cursor of [
    'x',
    Buffer.from('infinity|1').toString('base64url'),
    Buffer.from(`2026-01-01 00:00:00+00|${'9'.repeat(19)}`).toString('base64url'),
  ])
    for (const path of ['audit.list', 'audit.export'])
      expectError(
        await call(api.url, path, { input: { organizationId, cursor }, authorization: owner.authorization }),
        'VALIDATION_FAILED',
        'trpc',
      );
});

test.each(faces)(
  'audit.export gives every entry once as JSON lines by %s, oldest first, and goes on record itself',
  async (face) => {
    const { person, organizationId } = await traced();
    // A name that means something to JavaScript is a name like any other.
    await admin.query(
      `insert into audit_log (org_id, actor_type, action, entity_type, entity_id, new_value) values ($1, 'system', 'update', 'organizations', $1, '{"__proto__": {"polluted": true}, "constructor": 1}')`,
      [organizationId],
    );
    const lines: string[] = [];
    let cursor: string | null | undefined;
    do {
      const answer = await call(api.url, 'audit.export', {
        face,
        input: { organizationId, limit: 3, ...(cursor === undefined ? {} : { cursor }) },
        authorization: person.authorization,
      });
      expect(answer.status, answer.text).toBe(200);
      // The contract's own output, checked by the API before it was sent.
      const page = answer.data as { lines: string; count: number; nextCursor: string | null };
      expect(page.lines.split('\n')).toHaveLength(page.count + 1);
      lines.push(...page.lines.split('\n').slice(0, -1));
      cursor = lines.length >= 7 ? null : page.nextCursor;
    } while (cursor !== null);
    const entries = lines.map((line) => JSON.parse(line));
    expect(entries.slice(0, 2).map(({ entityType }) => entityType)).toEqual(['organizations', 'projects']);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length);
    expect(lines.find((line) => line.includes('polluted'))).toContain(
      '"after":{"__proto__":{"polluted":true},"constructor":1}',
    );
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    const { rows } = await admin.query(
      `select actor_id, new_value from audit_log where org_id = $1 and action = 'access' order by id`,
      [organizationId],
    );
    expect(rows.length).toBeGreaterThanOrEqual(3);
    expect(rows[0]).toMatchObject({ actor_id: person.id, new_value: { export: { count: 3 } } });
  },
);

test('audit.verify tells a sound trail from a broken one, names the entry, and goes on record', async () => {
  const { person, organizationId } = await traced();
  await sealed(organizationId);
  const ask = async () => {
    const answer = await call(api.url, 'audit.verify', {
      input: { organizationId },
      authorization: person.authorization,
    });
    expect(answer.status, answer.text).toBe(200);
    return answer.data;
  };
  expect(await ask()).toMatchObject({ ok: true, entries: 6, firstBroken: null, head: { anchoredAt: null } });
  await sealed(organizationId);
  expect(await ask()).toMatchObject({ ok: true, entries: 7, firstBroken: null });
  const { rows } = await admin.query(
    `select id from audit_log where org_id = $1 and entity_type = 'documents' order by id limit 1`,
    [organizationId],
  );
  await admin.query(
    `set session_replication_role = replica; update audit_log set new_value = '{"title": "never"}' where id = ${rows[0].id}; reset session_replication_role`,
  );
  expect(await ask()).toMatchObject({
    ok: false,
    firstBroken: { auditId: rows[0].id, problem: 'the entry was changed', sealNo: expect.any(Number) },
  });
  const { rows: access } = await admin.query(
    `select new_value from audit_log where org_id = $1 and action = 'access' order by id`,
    [organizationId],
  );
  expect(access).toHaveLength(3);
});

test('the trail holds no full address, e-mail, user name or user agent; an erased person reads as erased, and the seals hold', async () => {
  const person = await newPerson(api, 'private');
  const organization = await makeOrganization(person.client);
  const agent = unique('Agent/');
  await fetch(`${api.url}/trpc/auth.login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': agent },
    body: JSON.stringify({ email: person.email, password: person.password }),
  });
  const { rows } = await admin.query(`select a::text as row from audit_log a where actor_id = $1`, [person.id]);
  expect(rows.length).toBeGreaterThanOrEqual(4);
  for (const { row } of rows) {
    for (const plain of [person.email, person.username, agent, '127.0.0.1']) expect(row).not.toContain(plain);
    expect(row).toContain('127.0.0.0/24');
  }
  // An entry of the organization that names the person.
  await admin.query(
    `insert into audit_log (org_id, actor_type, actor_id, action, entity_type, entity_id, new_value, request_id)
     select $1, actor_type, actor_id, action, entity_type, entity_id, new_value, 'copied' from audit_log where entity_type = 'users' and entity_id = $2`,
    [organization.id, person.id],
  );
  const shown = async (authorization: string) => {
    const answer = await call(api.url, 'audit.list', {
      input: { organizationId: organization.id, entityType: 'users' },
      authorization,
    });
    // The contract's own output, checked by the API before it was sent.
    return (answer.data as { items: { after: unknown }[] }).items[0]?.after;
  };
  expect(await shown(person.authorization)).toEqual({ username: person.username });
  await sealed(organization.id);
  await admin.query('update person_keys set wrapped_key = null, destroyed_at = now() where user_id = $1', [person.id]);
  // As another process would, which has never held the key; this one forgets it within a minute.
  const lane = openReadLane({ url: api.database.url('novax_api') });
  const read: Reader['read'] = (statement, values) =>
    lane.read({ userId: person.id, orgId: organization.id }, statement, values);
  const page = await listAudit(
    { reader: { userId: person.id, read }, personKeys: createPersonKeys(createKeyring(api.env.KEY_ENCRYPTION_KEY)) },
    { organizationId: organization.id, entityType: 'users', limit: 10 },
  );
  await lane.close();
  expect(page.items.map(({ after }) => after)).toEqual([{ username: '[erased]' }]);
  const verdict = await call(api.url, 'audit.verify', {
    input: { organizationId: organization.id },
    authorization: person.authorization,
  });
  expect(verdict.data).toMatchObject({ ok: true });
  await expect(
    admin.query(`update person_keys set wrapped_key = '\\x00', destroyed_at = null where user_id = $1`, [person.id]),
  ).rejects.toThrow('destroyed');
});
