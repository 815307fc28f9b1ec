/** Every mutation of the contract leaves its entry in its own transaction: with it, or not at all. */
import { actorTypes } from '@novax/contracts/events/envelope';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { type Answer, call, rowOf, rows } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { makeOrganization } from '../kit/factories.ts';
import { type Ids, makeWorld, validInput } from '../kit/world.ts';

/** Mutations whose handlers do not exist yet; a test below fails when one of them does. */
const notBuilt: readonly string[] = [
  'auth.verifyEmail',
  'auth.requestEmailVerification',
  'auth.changePassword',
  'auth.requestPasswordReset',
  'auth.resetPassword',
  'auth.revokeSession',
  'auth.oauthStart',
  'auth.oauthLink',
  'auth.oauthCallback',
  'auth.unlinkAccount',
  'auth.enrolTotp',
  'auth.confirmTotp',
  'auth.disableTotp',
  'users.updateProfile',
  'users.exportData',
  'users.erase',
  'members.invite',
  'members.revokeInvitation',
  'members.acceptInvitation',
  'members.updateRole',
  'members.remove',
  'members.leave',
  'apiKeys.create',
  'apiKeys.revoke',
];

/** Mutations that change nothing that is recorded by one call. */
const unrecorded: Readonly<Record<string, string>> = {
  'auth.refresh': 'renewal changes the session alone, every few minutes; its abuse is recorded',
};

/** Inputs where the general one would change nothing or be refused. */
const inputs: Readonly<Record<string, (at: Place) => Record<string, unknown> | Promise<Record<string, unknown>>>> = {
  'auth.login': ({ email, password }) => ({ email, password }),
  'organizations.transferOwnership': ({ ids }) => ({ id: ids.organizationId, toUserId: ids.memberId }),
};

interface Place {
  readonly ids: Ids;
  readonly authorization: string;
  readonly email: string;
  readonly password: string;
}

const mutations = [...rows.keys()].filter((path) => rowOf(path).kind === 'mutation');
const built = mutations.filter((path) => !notBuilt.includes(path) && unrecorded[path] === undefined);

let api: TestApi;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

/** A world of its own, since what a mutation is about may be gone after it. */
async function place(): Promise<Place> {
  const { ids, actors } = await makeWorld(api);
  const { authorization, email, password } = actors.owner;
  return { ids, authorization, email, password };
}

async function ask(path: string, at: Place, requestId: string): Promise<Answer> {
  const input = inputs[path] === undefined ? validInput(path, at.ids) : await inputs[path](at);
  const { authorization } = at;
  return call(api.url, path, { input, requestId, ...(rowOf(path).scope === 'public' ? {} : { authorization }) });
}

async function entriesOf(requestId: string) {
  const { rows: found } = await admin.query(
    `select a.*, a.xmin::text as writer, a::text as text from audit_log a where request_id = $1 order by id`,
    [requestId],
  );
  return found;
}

/** Rows of every table that mutations write; equal before and after means that nothing was written. */
async function counts(): Promise<unknown> {
  const { rows: tables } = await admin.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
        and not relispartition and relname not in ('schema_migrations', 'schema_migration_files')`,
  );
  const parts = tables.map(
    ({ name }) =>
      `select '${name}' as name, md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as hash from ${name} t`,
  );
  return (await admin.query(`${parts.join(' union all ')} order by 1`)).rows;
}

test.each(built)('%s leaves an entry with actor, network and request when it succeeds', async (path) => {
  const at = await place();
  const requestId = unique('walk');
  const answer = await ask(path, at, requestId);
  expect(answer.status, answer.text).toBeLessThan(300);
  const entries = await entriesOf(requestId);
  expect(entries.length, path).toBeGreaterThanOrEqual(1);
  for (const entry of entries) {
    expect(actorTypes).toContain(entry.actor_type);
    expect(entry).toMatchObject({ actor_type: 'user', actor_id: expect.any(String), ip_address: '127.0.0.0/24' });
    expect(entry.sealed, path).toEqual({ ip: expect.any(String) });
    expect(entry.text).not.toMatch(/127\.0\.0\.1|correct horse|Bearer|passwordHash|tokenHash/);
    if (entry.action === 'create') expect(entry.new_value).not.toBeNull();
    if (entry.action === 'update') expect([entry.old_value, entry.new_value]).not.toContain(null);
    if (entry.action === 'delete') expect(entry.old_value ?? entry.new_value).not.toBeNull();
  }
  expect(new Set(entries.map(({ writer }) => writer)).size, 'one transaction').toBe(1);
  if (rowOf(path).tx === 'write') expect(entries[0].org_id).toBe(at.ids.organizationId);
});

test.each(built)('%s leaves neither an entry nor a change when its transaction fails', async (path) => {
  const at = await place();
  const requestId = unique('fail');
  await admin.query(
    `alter table audit_log add constraint ck_audit_log_walk check (request_id is distinct from '${requestId}') not valid`,
  );
  try {
    const before = await counts();
    const answer = await ask(path, at, requestId);
    expect(answer.status, answer.text).toBeGreaterThanOrEqual(400);
    expect(answer.text).not.toContain('ck_audit_log_walk');
    expect(await entriesOf(requestId)).toEqual([]);
    expect(await counts()).toEqual(before);
  } finally {
    await admin.query('alter table audit_log drop constraint ck_audit_log_walk');
  }
});

test.each(notBuilt)('%s is still not built', async (path) => {
  const person = await newPerson(api);
  const organization = await makeOrganization(person.client);
  const nothing = '00000000-0000-4000-8000-000000000000';
  const ids: Ids = {
    organizationId: organization.id,
    projectId: nothing,
    documentId: nothing,
    ownerId: person.id,
    memberId: nothing,
    invitationId: nothing,
    apiKeyId: nothing,
  };
  const answer = await ask(path, { ids, authorization: person.authorization, email: '', password: '' }, unique('none'));
  // Things inside an organization are looked up before their handler is asked.
  const { scope } = rowOf(path);
  expect(answer.code, `take ${path} off the list`).toBe(
    scope === 'invitation' || scope === 'apiKey' ? 'NOT_FOUND' : 'INTERNAL',
  );
});

test('no mutation is outside of the walk', () => {
  expect(built.length + notBuilt.length + Object.keys(unrecorded).length).toBe(mutations.length);
  for (const path of [...notBuilt, ...Object.keys(unrecorded), ...Object.keys(inputs)])
    expect(mutations).toContain(path);
});
