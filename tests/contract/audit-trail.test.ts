/** Every mutation of the contract leaves its entry in its own transaction: with it, or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import { actorTypes } from '@novax/contracts/events/envelope';
import { Secret, TOTP } from 'otpauth';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { type Answer, call, rowOf, rows } from '../kit/call.ts';
import { type ActorKind, type Cell, type CellParts, hashOfTestPassword, makeCell, ownInputs } from '../kit/cells.ts';
import { connect } from '../kit/database.ts';
import { validInput } from '../kit/world.ts';

/** Mutations that change nothing that is recorded, or not by one call. */
const unrecorded: Readonly<Record<string, string>> = {
  'auth.refresh': 'renewal changes the session alone, every few minutes; its abuse is recorded',
  'auth.requestEmailVerification': 'only asks for a mail, which has a row of its own; what its link does is recorded',
  'auth.requestPasswordReset': 'likewise, and must do the same for addresses that are nobody’s',
  'auth.oauthStart': 'begins what the callback ends',
  'auth.oauthLink': 'begins what the callback ends',
  'auth.oauthCallback': 'takes a provider: shown with one in tests/integration/oidc.test.ts',
};

/** Who calls where the owner would be refused. */
const callers: Readonly<Record<string, ActorKind>> = {
  'members.leave': 'member',
  'members.acceptInvitation': 'otherTenant',
  'users.erase': 'member',
};

/** Inputs where the general one would change nothing or be refused. */
const inputs: Readonly<Record<string, (at: Cell) => Record<string, unknown> | Promise<Record<string, unknown>>>> = {
  'organizations.transferOwnership': ({ ids }) => ({ id: ids.organizationId, toUserId: ids.memberId }),
  'auth.verifyEmail': async (at) => ({ token: await mailedToken(at, 'verify-email') }),
  'auth.resetPassword': async (at) => ({ token: await mailedToken(at, 'reset-password'), newPassword: testPassword }),
  'auth.confirmTotp': async (at) => ({ code: codeOf(await enrol(at)) }),
  async 'auth.disableTotp'(at) {
    const code = codeOf(await enrol(at));
    const confirmed = await call(api.url, 'auth.confirmTotp', { input: { code }, authorization: at.authorization });
    // The contract's own output, checked by the API before it was sent.
    return { code: (confirmed.data as { recoveryCodes: string[] }).recoveryCodes[0] };
  },
};

const mutations = [...rows.keys()].filter((path) => rowOf(path).kind === 'mutation');
const recorded = mutations.filter((path) => unrecorded[path] === undefined);

let api: TestApi;
let admin: Client & AsyncDisposable;
let parts: CellParts;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  parts = { api, admin, passwordHash: await hashOfTestPassword(api, admin) };
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

/** What the mail worker would have sent to the owner. */
async function mailedToken({ ids, own }: Cell, purpose: 'verify-email' | 'reset-password'): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  await admin.query('update users set email_verified_at = null where id = $1', [ids.ownerId]);
  await admin.query(
    `with mail as (insert into mails (kind, email, email_normalized, user_id, status) values ($2, $3, $3, $1, 'sent') returning id)
     insert into one_time_tokens (user_id, mail_id, purpose, email_normalized, token_hash, expires_at)
     select $1, mail.id, $2, $3, $4, now() + interval '10 minutes' from mail`,
    [ids.ownerId, purpose, own.email, createHash('sha256').update(token).digest()],
  );
  return token;
}

async function enrol({ authorization }: Cell): Promise<string> {
  const answer = await call(api.url, 'auth.enrolTotp', { input: {}, authorization });
  // The contract's own output, checked by the API before it was sent.
  return (answer.data as { secret: string }).secret;
}

const codeOf = (secret: string): string => new TOTP({ secret: Secret.fromBase32(secret) }).generate();

/** A world of its own, since what a mutation is about may be gone after it; and the input that succeeds there. */
async function prepare(path: string): Promise<{ at: Cell; input: Record<string, unknown> }> {
  const at = await makeCell(parts, callers[path] ?? 'owner', []);
  return { at, input: { ...validInput(path, at.ids), ...ownInputs[path]?.(at.own), ...(await inputs[path]?.(at)) } };
}

function ask(path: string, { at, input }: Awaited<ReturnType<typeof prepare>>, requestId: string): Promise<Answer> {
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

test.each(recorded)('%s leaves an entry with actor, network and request when it succeeds', async (path) => {
  const prepared = await prepare(path);
  const requestId = unique('walk');
  const answer = await ask(path, prepared, requestId);
  expect(answer.status, answer.text).toBeLessThan(300);
  const entries = await entriesOf(requestId);
  expect(entries.length, path).toBeGreaterThanOrEqual(1);
  for (const entry of entries) {
    expect(actorTypes).toContain(entry.actor_type);
    expect(entry).toMatchObject({ actor_type: 'user', actor_id: expect.any(String) });
    // Somebody who is being erased leaves no address, and has no key any more to seal one.
    const whence = path === 'users.erase' ? [null, null] : ['127.0.0.0/24', { ip: expect.any(String) }];
    expect([entry.ip_address, entry.sealed], path).toEqual(whence);
    expect(entry.text).not.toMatch(/127\.0\.0\.1|correct horse|Bearer|passwordHash|tokenHash/);
    if (entry.action === 'create') expect(entry.new_value).not.toBeNull();
    // Of a secret only the change is told, and neither what it was nor what it is.
    const secret = entry.entity_type === 'recovery_codes' || entry.new_value?.credential !== undefined;
    if (entry.action === 'update') expect([secret || entry.old_value, entry.new_value]).not.toContain(null);
    if (entry.action === 'delete') expect(entry.old_value ?? entry.new_value).not.toBeNull();
  }
  expect(new Set(entries.map(({ writer }) => writer)).size, 'one transaction').toBe(1);
  if (rowOf(path).tx === 'write') expect(entries[0].org_id).toBe(prepared.at.ids.organizationId);
});

test.each(recorded)('%s leaves neither an entry nor a change when its transaction fails', async (path) => {
  const prepared = await prepare(path);
  const requestId = unique('fail');
  await admin.query(
    `alter table audit_log add constraint ck_audit_log_walk check (request_id is distinct from '${requestId}') not valid`,
  );
  try {
    const before = await counts();
    const answer = await ask(path, prepared, requestId);
    expect(answer.status, answer.text).toBeGreaterThanOrEqual(400);
    expect(answer.text).not.toContain('ck_audit_log_walk');
    expect(await entriesOf(requestId)).toEqual([]);
    expect(await counts()).toEqual(before);
  } finally {
    await admin.query('alter table audit_log drop constraint ck_audit_log_walk');
  }
});

test('no mutation is outside of the walk', () => {
  const named = [...Object.keys(unrecorded), ...Object.keys(callers), ...Object.keys(inputs)];
  expect(mutations).toEqual(expect.arrayContaining(named));
  expect(recorded.length + Object.keys(unrecorded).length).toBe(mutations.length);
});
