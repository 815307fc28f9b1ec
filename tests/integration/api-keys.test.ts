/** API keys: what a key may do, what it can never do, and how soon it ends. */
import { createHash, randomUUID } from 'node:crypto';
import { actions, type Action } from '@novax/contracts/permissions';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMember, newPerson, type Person, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { type Answer, call, faces, rowOf, rows } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeOrganization, makeProject } from '../kit/factories.ts';
import { expectError } from '../kit/guarantees.ts';
import { fingerprint, tenantTables } from '../kit/tenant-tables.ts';
import { makeWorld, validInput } from '../kit/world.ts';

const dayMs = 24 * 60 * 60 * 1000;

let api: TestApi;
/** A second process of the same installation. */
let other: TestApi;
let admin: Client & AsyncDisposable;
let world: Awaited<ReturnType<typeof makeWorld>>;
beforeAll(async () => {
  api = await startTestApi();
  const { DATABASE_URL, JWT_PRIVATE_KEYS, KEY_ENCRYPTION_KEY } = api.env;
  other = await startTestApi({ env: { DATABASE_URL, JWT_PRIVATE_KEYS, KEY_ENCRYPTION_KEY } });
  admin = await connect(api.database.adminUrl);
  world = await makeWorld(api);
});
afterAll(async () => {
  await admin.end();
  await other[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

interface Key {
  readonly id: string;
  readonly key: string;
  readonly authorization: string;
}

async function makeKey(
  maker: Person,
  { organizationId, scopes, expiresAt }: { organizationId: string; scopes: readonly Action[]; expiresAt?: string },
): Promise<Key> {
  const { id, key } = await maker.client.apiKeys.create.mutate({
    organizationId,
    name: unique('key'),
    scopes: [...scopes],
    ...(expiresAt === undefined ? {} : { expiresAt }),
  });
  return { id, key, authorization: `Bearer ${key}` };
}

/** A person who owns an organization with a project and a document, and a key with these scopes there. */
async function makeOwner(scopes: readonly Action[] = actions) {
  const person = await newPerson(api, 'maker');
  const { id: organizationId } = await makeOrganization(person.client);
  const { id: projectId } = await makeProject(person.client, { organizationId });
  const { id: documentId } = await makeDocument(person.client, { projectId });
  const key = await makeKey(person, { organizationId, scopes });
  return { person, organizationId, projectId, documentId, ...key };
}

const signedIn = [...rows.keys()].filter((path) => rowOf(path).scope !== 'public');
const needy = signedIn.filter((path) => rowOf(path).needs !== undefined);
const personal = signedIn.filter((path) => rowOf(path).needs === undefined);

describe('every row × key', () => {
  let all: Key;
  beforeAll(async () => {
    const { organizationId } = world.ids;
    all = await makeKey(world.actors.owner, { organizationId, scopes: actions });
  });

  test.each(needy)('%s is FORBIDDEN to a key that has every scope but the one it needs', async (path) => {
    const { needs } = rowOf(path);
    const scopes = actions.filter((action) => action !== needs);
    const { authorization } = await makeKey(world.actors.owner, { organizationId: world.ids.organizationId, scopes });
    for (const face of faces) {
      const answer = await call(api.url, path, { face, input: validInput(path, world.ids), authorization });
      expectError(answer, 'FORBIDDEN', face);
      expect(answer.text).toContain(`lacks the scope ${needs}`);
    }
  });

  test.each(personal)('%s is about a person, and FORBIDDEN to a key that has every scope', async (path) => {
    for (const face of faces) {
      const { authorization } = all;
      expectError(
        await call(api.url, path, { face, input: validInput(path, world.ids), authorization }),
        'FORBIDDEN',
        face,
      );
    }
  });

  test.each(needy)('%s of another organization is NOT_FOUND to a key, though its maker is in both', async (path) => {
    const { owner } = world.actors;
    const { outsiderIds } = world;
    await admin.query(
      `insert into org_members (org_id, user_id, role) values ($1, $2, 'admin') on conflict do nothing`,
      [outsiderIds.organizationId, owner.id],
    );
    const tables = await tenantTables(admin);
    const before = await fingerprint(admin, tables, outsiderIds.organizationId);
    const requestId = randomUUID();
    const input = validInput(path, outsiderIds);
    const answer = await call(api.url, path, { input, authorization: all.authorization, requestId });
    expectError(answer, 'NOT_FOUND', 'trpc');
    const after = await fingerprint(admin, tables, outsiderIds.organizationId);
    expect(after).toEqual(before);
  });

  // Last, because some of them end what the others are about.
  const ending = ['documents.delete', 'projects.delete', 'members.leave', 'organizations.delete'];
  test.each(needy.toSorted((a, b) => ending.indexOf(a) - ending.indexOf(b)))(
    '%s is open to a key that has every scope, whose maker is the owner',
    async (path) => {
      const { authorization } = all;
      const answer = await call(api.url, path, { input: validInput(path, world.ids), authorization });
      expect(['FORBIDDEN', 'UNAUTHENTICATED', 'NOT_FOUND'], answer.text).not.toContain(answer.code);
    },
  );
});

test('a key acts in its own organization alone, where its maker reads and writes in two', async () => {
  const maker = await makeOwner();
  const second = await makeOrganization(maker.person.client);
  const foreign = await makeProject(maker.person.client, { organizationId: second.id });
  const hidden = await makeDocument(maker.person.client, { projectId: foreign.id, title: 'unmistakable heron' });
  const { authorization } = maker;
  const ask = (path: string, input: unknown) => call(api.url, path, { input, authorization });
  for (const [path, input] of [
    ['organizations.get', { id: second.id }],
    ['organizations.update', { id: second.id, name: 'Taken over' }],
    ['members.list', { organizationId: second.id }],
    ['projects.list', { organizationId: second.id }],
    ['projects.create', { organizationId: second.id, name: 'Smuggled' }],
    ['documents.list', { projectId: foreign.id }],
    ['documents.get', { id: hidden.id }],
    ['documents.update', { id: hidden.id, version: 1, title: 'Mine' }],
    ['search.query', { organizationId: second.id, q: 'heron', mode: 'fulltext' }],
    ['apiKeys.create', { organizationId: second.id, name: 'Spread', scopes: ['document:read'] }],
    ['apiKeys.list', { organizationId: second.id }],
  ] as const)
    expectError(await ask(path, input), 'NOT_FOUND', 'trpc');
  const own = await ask('documents.get', { id: maker.documentId });
  expect(own.data, own.text).toMatchObject({ id: maker.documentId });
  const found = await ask('search.query', { organizationId: maker.organizationId, q: 'heron', mode: 'fulltext' });
  expect(found.data, found.text).toMatchObject({ hits: [] });
});

test("the database itself hides a person's other memberships from what names one organization, as every call by a key does", async () => {
  const { person, organizationId } = await makeOwner();
  const { id: second } = await makeOrganization(person.client);
  await using runtime = await connect(api.database.url('novax_api'));
  const seen = async (orgId: string): Promise<string[]> => {
    await runtime.query(
      `select set_config('app.current_user_id', $1, false), set_config('app.current_org_id', $2, false)`,
      [person.id, orgId],
    );
    const { rows: found } = await runtime.query<{ org_id: string }>('select org_id from app.memberships');
    return found.map((row) => row.org_id).toSorted();
  };
  expect(await seen(organizationId)).toEqual([organizationId]);
  expect(await seen(second)).toEqual([second]);
  expect(await seen('')).toEqual([organizationId, second].toSorted());
  expect(await seen(world.ids.organizationId)).toEqual([]);
});

test('what a key does is on record with its maker and with the key, in the trail and in the event', async () => {
  const { person, projectId, id, authorization } = await makeOwner(['document:write']);
  const created = await call(api.url, 'documents.create', {
    input: { projectId, title: 'By a program', content: 'Words.' },
    authorization,
  });
  // The contract's own output, checked by the API before it was sent.
  const { id: documentId } = created.data as { id: string };
  const trail = await admin.query(
    `select actor_type, actor_id, api_key_id, action from audit_log where entity_type = 'documents' and entity_id = $1`,
    [documentId],
  );
  expect(trail.rows).toEqual([{ actor_type: 'api_key', actor_id: person.id, api_key_id: id, action: 'create' }]);
  const told = await admin.query('select actor_type, actor_id from events where aggregate_id = $1', [documentId]);
  expect(told.rows).toEqual([{ actor_type: 'api_key', actor_id: person.id }]);
  const made = await admin.query(
    `select actor_type, api_key_id, new_value from audit_log where entity_type = 'api_keys' and entity_id = $1`,
    [id],
  );
  expect(made.rows).toMatchObject([
    { actor_type: 'user', api_key_id: null, new_value: { scopes: ['document:write'] } },
  ]);
});

test('of a key only its hash and its beginning are stored, and no row of the trail or the outbox holds it', async () => {
  const { id, key } = await makeOwner();
  const { rows: stored } = await admin.query('select prefix, key_hash, k::text as all from api_keys k where id = $1', [
    id,
  ]);
  expect(stored).toMatchObject([{ prefix: key.slice(0, 12), key_hash: createHash('sha256').update(key).digest() }]);
  expect(stored[0]?.all).not.toContain(key.slice(13));
  const { rowCount } = await admin.query(
    `select from audit_log a where a::text like $1 union all select from events e where e::text like $1`,
    [`%${key.slice(13)}%`],
  );
  expect(rowCount).toBe(0);
});

describe('refused exactly like no credentials at all', () => {
  const ask = (authorization: string | undefined, requestId: string): Promise<Answer> =>
    call(api.url, 'documents.get', { input: { id: world.ids.documentId }, authorization, requestId });

  const ended: Record<string, (made: Awaited<ReturnType<typeof makeOwner>>) => Promise<unknown> | string> = {
    'an unknown key': ({ key }) => `${key.slice(0, 20)}${key[20] === 'a' ? 'b' : 'a'}${key.slice(21)}`,
    'a key cut short': ({ key }) => key.slice(0, -1),
    'a key with more behind it': ({ key }) => `${key}.x.y`,
    'the beginning of a key': ({ key }) => key.slice(0, 12),
    'a hash in place of a key': ({ key }) => createHash('sha256').update(key).digest('hex'),
    'a key of a table row that nobody was given': () => `nvx_${'0'.repeat(8)}_${'A'.repeat(43)}lu_xVg`,
    'a revoked key': ({ person, id }) => person.client.apiKeys.revoke.mutate({ id }),
    'an expired key': ({ id }) =>
      admin.query(`update api_keys set expires_at = now() - interval '1 second' where id = $1`, [id]),
    'a key whose maker is suspended': ({ person }) =>
      admin.query(`update users set status = 'suspended' where id = $1`, [person.id]),
    'a key whose maker is deleted': ({ person }) =>
      admin.query(`update users set status = 'deleted' where id = $1`, [person.id]),
    'a key whose organization is suspended': ({ organizationId }) =>
      admin.query(`update organizations set status = 'suspended' where id = $1`, [organizationId]),
    'a key whose organization is deleted': ({ person, organizationId }) =>
      person.client.organizations.delete.mutate({ id: organizationId }),
  };

  test.each(Object.entries(ended))('%s', async (_, end) => {
    const made = await makeOwner();
    const requestId = unique('request');
    const forged = await end(made);
    const without = await ask(undefined, requestId);
    const answer = await ask(`Bearer ${typeof forged === 'string' ? forged : made.key}`, requestId);
    expectError(answer, 'UNAUTHENTICATED', 'trpc');
    expect(answer.text).toBe(without.text);
    expect((await ask('Bearer a.b.c', requestId)).text).toBe(without.text);
  });
});

describe('within a second, in every process that believed in the key,', () => {
  /** A member's key that both processes have just used. */
  async function believed(role: 'admin' | 'member' = 'admin') {
    const { person: owner, organizationId, projectId } = await makeOwner();
    const person = await newPerson(api, 'maker');
    await addMember(api, { organizationId, userId: person.id, role: 'admin' });
    const key = await makeKey(person, { organizationId, scopes: ['project:read', 'project:write', 'apiKey:read'] });
    if (role !== 'admin') await setRole(organizationId, person.id, role);
    const read = (at: TestApi) =>
      call(at.url, 'projects.get', { input: { id: projectId }, authorization: key.authorization });
    const write = (at: TestApi) =>
      call(at.url, 'projects.update', { input: { id: projectId, name: 'x' }, authorization: key.authorization });
    for (const at of [api, other]) expect((await read(at)).status).toBe(200);
    return { owner, organizationId, person, key, read, write };
  }
  const setRole = (organizationId: string, userId: string, role: string) =>
    admin.query('update org_members set role = $3 where org_id = $1 and user_id = $2', [organizationId, userId, role]);

  const endings: Record<string, (made: Awaited<ReturnType<typeof believed>>) => Promise<unknown>> = {
    'revocation ends it': ({ owner, key }) => owner.client.apiKeys.revoke.mutate({ id: key.id }),
    'the suspension of its maker ends it': ({ person }) =>
      admin.query(`update users set status = 'suspended' where id = $1`, [person.id]),
    'the removal of its maker ends it': ({ organizationId, person }) =>
      admin.query('delete from org_members where org_id = $1 and user_id = $2', [organizationId, person.id]),
    'the end of its organization ends it': ({ owner, organizationId }) =>
      owner.client.organizations.delete.mutate({ id: organizationId }),
    'its own end ends it': ({ key }) => admin.query('update api_keys set expires_at = now() where id = $1', [key.id]),
  };

  test.each(Object.entries(endings))('%s', async (_, end) => {
    const made = await believed();
    await end(made);
    const since = performance.now();
    for (const at of [api, other])
      await eventually(async () => expectError(await made.read(at), 'UNAUTHENTICATED', 'trpc'), {
        timeoutMs: Math.max(0, 1_000 - (performance.now() - since)),
        everyMs: 20,
      });
  });

  test('a weaker role of its maker is what it may do, at once', async () => {
    const { organizationId, person, read, write, key } = await believed();
    const list = (at: TestApi) =>
      call(at.url, 'apiKeys.list', { input: { organizationId }, authorization: key.authorization });
    for (const at of [api, other]) {
      await setRole(organizationId, person.id, 'admin');
      expect((await write(at)).status).toBe(200);
      expect((await list(at)).status).toBe(200);
      await setRole(organizationId, person.id, 'viewer');
      expectError(await write(at), 'FORBIDDEN', 'trpc');
      expectError(await list(at), 'FORBIDDEN', 'trpc');
      expect((await read(at)).status).toBe(200);
    }
  });
});

describe('making keys', () => {
  test('a person passes on no more than their role allows at the time', async () => {
    const { owner } = world.actors;
    const { id: organizationId } = await makeOrganization(owner.client);
    const { admin: second } = world.actors;
    await addMember(api, { organizationId, userId: second.id, role: 'admin' });
    const make = (scopes: readonly Action[]) => makeKey(second, { organizationId, scopes });
    await make(['member:manage', 'document:delete']);
    for (const scope of ['organization:delete', 'organization:transfer'] as const)
      await expect(make(['document:read', scope])).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await makeKey(owner, { organizationId, scopes: ['organization:delete'] });
  });

  test('a key lasts 90 days, or as long as it is told: into the future and no longer than a year', async () => {
    const { person, organizationId } = await makeOwner();
    const make = (expiresAt?: string) =>
      person.client.apiKeys.create.mutate({
        organizationId,
        name: 'Ending',
        scopes: ['document:read'],
        ...(expiresAt === undefined ? {} : { expiresAt }),
      });
    const inDays = (days: number): string => new Date(Date.now() + days * dayMs).toISOString();
    const usual = Date.parse((await make()).expiresAt ?? '');
    expect(Math.abs(usual - Date.now() - 90 * dayMs)).toBeLessThan(60_000);
    const year = inDays(364.9);
    expect((await make(year)).expiresAt).toBe(year);
    for (const wrong of [inDays(365.1), inDays(-1), '1970-01-01T00:00:00.000Z'])
      await expect(make(wrong)).rejects.toMatchObject({
        code: 'VALIDATION_FAILED',
        issues: [expect.objectContaining({ path: 'expiresAt' })],
      });
  });

  test('a key without the scope for it can neither make, list nor revoke keys', async () => {
    const scopes = actions.filter((action) => !action.startsWith('apiKey:'));
    const { organizationId, id, authorization } = await makeOwner(scopes);
    for (const [path, input] of [
      ['apiKeys.create', { organizationId, name: 'More', scopes: ['document:read'] }],
      ['apiKeys.list', { organizationId }],
      ['apiKeys.revoke', { id }],
    ] as const)
      expectError(await call(api.url, path, { input, authorization }), 'FORBIDDEN', 'trpc');
  });

  test('a key makes keys of its own scopes and days or fewer, and so do those', async () => {
    const { person, organizationId } = await makeOwner();
    const expiresAt = new Date(Date.now() + 10 * dayMs).toISOString();
    const scopes = ['apiKey:manage', 'document:read'] as const;
    const parent = await makeKey(person, { organizationId, scopes, expiresAt });
    const make = (authorization: string, wanted: readonly Action[], end?: string) =>
      call(api.url, 'apiKeys.create', {
        input: { organizationId, name: 'Child', scopes: wanted, ...(end === undefined ? {} : { expiresAt: end }) },
        authorization,
      });
    for (const scope of actions.filter((action) => action !== 'apiKey:manage' && action !== 'document:read'))
      expectError(await make(parent.authorization, ['document:read', scope]), 'FORBIDDEN', 'trpc');
    const child = await make(parent.authorization, scopes);
    expect(child.data, child.text).toMatchObject({ scopes, expiresAt, creatorId: person.id });
    expectError(
      await make(parent.authorization, scopes, new Date(Date.now() + 11 * dayMs).toISOString()),
      'FORBIDDEN',
      'trpc',
    );
    // The contract's own output, checked by the API before it was sent.
    const { key, id } = child.data as { key: string; id: string };
    expectError(await make(`Bearer ${key}`, ['document:write']), 'FORBIDDEN', 'trpc');
    expect((await make(`Bearer ${key}`, ['document:read'])).status).toBe(200);
    const { rows: made } = await admin.query('select actor_type, api_key_id from audit_log where entity_id = $1', [id]);
    expect(made).toEqual([{ actor_type: 'api_key', api_key_id: parent.id }]);
  });

  test('a key that was revoked makes no key, though its process still believes in it', async () => {
    const { person, organizationId, id, authorization } = await makeOwner(['apiKey:manage', 'document:read']);
    const make = () =>
      call(other.url, 'apiKeys.create', {
        input: { organizationId, name: 'Survivor', scopes: ['document:read'] },
        authorization,
      });
    expect((await make()).status).toBe(200);
    await person.client.apiKeys.revoke.mutate({ id });
    expectError(await make(), 'UNAUTHENTICATED', 'trpc');
  });

  test('a member can neither see nor make keys, with the role behind a key of theirs neither', async () => {
    const { organizationId } = await makeOwner();
    const person = await newPerson(api);
    await addMember(api, { organizationId, userId: person.id, role: 'admin' });
    const key = await makeKey(person, { organizationId, scopes: ['apiKey:manage', 'apiKey:read'] });
    await admin.query(`update org_members set role = 'member' where user_id = $1`, [person.id]);
    for (const authorization of [person.authorization, key.authorization]) {
      const input = { organizationId, name: 'More', scopes: ['document:read'] };
      expectError(await call(api.url, 'apiKeys.create', { input, authorization }), 'FORBIDDEN', 'trpc');
      expectError(
        await call(api.url, 'apiKeys.list', { input: { organizationId }, authorization }),
        'FORBIDDEN',
        'trpc',
      );
      expectError(await call(api.url, 'apiKeys.revoke', { input: { id: key.id }, authorization }), 'NOT_FOUND', 'trpc');
    }
  });
});

describe('the time of last use', () => {
  const lastUse = async (id: string): Promise<Date | null> => {
    const { rows: found } = await admin.query<{ last_used_at: Date | null }>(
      'select last_used_at from api_keys where id = $1',
      [id],
    );
    return found[0]?.last_used_at ?? null;
  };

  test('is noted once a minute at most, whichever process served the call', async () => {
    const { documentId, id, authorization } = await makeOwner();
    const use = (at: TestApi) => call(at.url, 'documents.get', { input: { id: documentId }, authorization });
    expect(await lastUse(id)).toBeNull();
    await use(api);
    const first = await eventually(async () => {
      const at = await lastUse(id);
      expect(at).not.toBeNull();
      return at;
    });
    await use(other);
    // The second process asks the database, which has the minute; a later note of another key shows that it has answered.
    const second = await makeOwner();
    await call(other.url, 'documents.get', {
      input: { id: second.documentId },
      authorization: second.authorization,
    });
    await eventually(async () => expect(await lastUse(second.id)).not.toBeNull());
    expect(await lastUse(id)).toEqual(first);
    await using third = await startTestApi({
      env: { DATABASE_URL: api.env.DATABASE_URL, JWT_PRIVATE_KEYS: api.env.JWT_PRIVATE_KEYS },
    });
    await admin.query(`update api_keys set last_used_at = now() - interval '61 seconds' where id = $1`, [id]);
    await use(third);
    await eventually(async () => expect((await lastUse(id))?.getTime()).toBeGreaterThan(Date.now() - 30_000));
  });

  test('holds up no call, and a failure to note it fails none', async () => {
    const { documentId, id, authorization } = await makeOwner();
    await using holder = await connect(api.database.adminUrl);
    await holder.query('begin');
    await holder.query('select from api_keys where id = $1 for update', [id]);
    const started = performance.now();
    const answer = await call(api.url, 'documents.get', { input: { id: documentId }, authorization });
    expect(answer.status, answer.text).toBe(200);
    expect(performance.now() - started).toBeLessThan(900);
    await holder.query('commit');
  });
});
