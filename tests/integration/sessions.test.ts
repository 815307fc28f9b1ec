/** A session is dead on every node within a second of its end, whoever ended it; people see their sessions and end them (AU-7). */
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMember, newPerson, unique, type Person } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { answerOf, call, type Answer } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { servers } from '../kit/servers.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';
import { novax } from '../ops/run-novax.ts';

let api: TestApi;
let nodes: TestApi[];
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  api = await startTestApi();
  const { DATABASE_URL, JWT_PRIVATE_KEYS } = api.env;
  const another = () => startTestApi({ env: { DATABASE_URL, JWT_PRIVATE_KEYS } });
  nodes = [api, await another(), await another()];
  admin = await connect(api.database.adminUrl);
}, 60_000);
afterAll(async () => {
  await admin.end();
  for (const node of nodes.toReversed()) await node[Symbol.asyncDispose]();
});

interface SignedIn extends Person {
  readonly refreshToken: string;
  readonly sessionId: string;
}

async function signedIn(): Promise<SignedIn> {
  const person = await newPerson(api);
  const { rows } = await admin.query<{ id: string }>('select id from sessions where user_id = $1', [person.id]);
  return { ...person, refreshToken: person.client.session.tokens()?.refreshToken ?? '', sessionId: rows[0]?.id ?? '' };
}

const ask = (person: Pick<Person, 'authorization'>, path: string, input: unknown = {}, url = api.url) =>
  call(url, path, { input, authorization: person.authorization });

/** Signs the same person in again, as from another device. */
async function signInAgain(person: Person, userAgent = 'another device'): Promise<{ authorization: string }> {
  const response = await fetch(`${api.url}/trpc/auth.login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': userAgent },
    body: JSON.stringify({ email: person.email, password: person.password }),
  });
  // The contract's own output, checked by the API before it was sent.
  const { accessToken } = (await answerOf(response)).data as { accessToken: string };
  return { authorization: `Bearer ${accessToken}` };
}

/**
 * Milliseconds from the end until the last call that was begun and still answered, over all nodes; each was asked without pause from before the end until it
 * had refused for a while.
 */
async function deathMs(person: Pick<Person, 'authorization'>, end: () => Promise<unknown>): Promise<number> {
  let endedAt = Number.POSITIVE_INFINITY;
  let ending: Promise<unknown> | undefined;
  const answered = nodes.map(() => 0);
  const lastAlive = nodes.map(() => 0);
  await Promise.all(
    nodes.map(async ({ url }, node) => {
      for (let refused = 0; refused < 20;) {
        const begun = performance.now();
        const { status } = await ask(person, 'users.me', {}, url);
        expect([200, 401]).toContain(status);
        if (status === 200) {
          lastAlive[node] = begun;
          refused = 0;
        } else refused += 1;
        answered[node] = (answered[node] ?? 0) + 1;
        // Every node has a copy of the session by now.
        if (ending === undefined && answered.every((count) => count >= 3))
          ending = end().then(() => (endedAt = performance.now()));
        expect(begun - endedAt, 'still alive').toBeLessThan(5_000);
      }
    }),
  );
  await ending;
  return Math.max(...lastAlive) - endedAt;
}

const migratorEnv = () => ({ DATABASE_MIGRATOR_URL: api.database.url('novax_migrator') });

describe('dead on three nodes within a second', () => {
  const ends: Record<string, (person: SignedIn) => Promise<unknown>> = {
    'sign-out': (person) => ask(person, 'auth.logout'),
    'revoked from another device': async (person) =>
      expect((await ask(await signInAgain(person), 'auth.revokeSession', { id: person.sessionId })).status).toBe(200),
    'a refresh token used twice': async ({ refreshToken }) => {
      await call(api.url, 'auth.refresh', { input: { refreshToken } });
      await call(api.url, 'auth.refresh', { input: { refreshToken } });
    },
    'suspension by the operator': async ({ email }) =>
      expect((await novax(`users suspend ${email}`, migratorEnv())).code).toBe(0),
    'suspension by a bare change of the row': ({ id }) =>
      admin.query(`update users set status = 'suspended' where id = $1`, [id]),
    'every other session ended, as by a change of password': async ({ id }) => {
      await using role = await connect(api.database.url('novax_api'));
      await role.query(`select set_config('app.current_user_id', $1, false)`, [id]);
      await role.query('select private.revoke_other_sessions($1, null, $2)', [id, 'password_changed']);
    },
    'a process that died right after it committed': ({ sessionId }) =>
      admin.query(`select private.end_session($1, 'logout')`, [sessionId]),
    'a transaction that committed long after the stamp': async ({ sessionId }) => {
      await using late = await connect(api.database.adminUrl);
      await late.query('begin');
      await late.query(`select private.end_session($1, 'logout')`, [sessionId]);
      await late.query('select pg_sleep(1)');
      await late.query('commit');
    },
  };

  test.each(Object.entries(ends))(
    'by %s',
    async (name, end) => {
      const took: number[] = [];
      for (let round = 0; round < 6; round++) {
        const person = await signedIn();
        took.push(await deathMs(person, () => end(person)));
      }
      const sorted = took.toSorted((a, b) => a - b);
      const [p50, max] = [sorted[Math.floor(sorted.length / 2)] ?? 0, sorted.at(-1) ?? 0];
      console.log(`${name}: p50 ${p50.toFixed(0)} ms, max ${max.toFixed(0)} ms, ${took.length} ends × 3 nodes`);
      expect(max).toBeLessThan(1_000);
    },
    60_000,
  );

  test('a role that was taken away is gone at the next call, on every node', async () => {
    const [owner, member] = [await signedIn(), await signedIn()];
    const { id } = await owner.client.organizations.create.mutate({ name: 'O', slug: unique('org') });
    await addMember(api, { organizationId: id, userId: member.id, role: 'admin' });
    const rename = (url: string) => ask(member, 'organizations.update', { id, name: unique('name') }, url);
    for (const { url } of nodes) expect((await rename(url)).status).toBe(200);
    await admin.query(`update org_members set role = 'viewer' where org_id = $1 and user_id = $2`, [id, member.id]);
    for (const { url } of nodes) expect((await rename(url)).code).toBe('FORBIDDEN');
    await admin.query('delete from org_members where org_id = $1 and user_id = $2', [id, member.id]);
    for (const { url } of nodes) {
      expect((await rename(url)).code).toBe('NOT_FOUND');
      expect((await ask(member, 'organizations.get', { id }, url)).code).toBe('NOT_FOUND');
    }
  });
});

test('a suspended person can neither sign in nor renew, and signs in afresh when restored', async () => {
  const person = await signedIn();
  await novax(`users suspend ${person.id}`, migratorEnv());
  const login = () => call(api.url, 'auth.login', { input: { email: person.email, password: person.password } });
  expect((await login()).code).toBe('UNAUTHENTICATED');
  expect((await call(api.url, 'auth.refresh', { input: { refreshToken: person.refreshToken } })).code).toBe(
    'UNAUTHENTICATED',
  );
  await novax(`users restore ${person.id}`, migratorEnv());
  expect((await login()).status).toBe(200);
  await eventually(async () => expect((await ask(person, 'users.me')).status).toBe(401));
});

describe('auth.listSessions', () => {
  const items = ({ data, text }: Answer) => {
    expect(data, text).toBeDefined();
    // Checked against the contract by the API before it was sent.
    return data as { items: { id: string; current: boolean; userAgent: string | null }[]; nextCursor: string | null };
  };

  test("shows one's own live sessions newest first, with address and agent, and says which one asks", async () => {
    const person = await signedIn();
    await signedIn();
    const phone = await signInAgain(person, 'a phone');
    const seen = items(await ask(phone, 'auth.listSessions'));
    expect(seen.items).toMatchObject([
      { current: true, userAgent: 'a phone', ipAddress: '127.0.0.1', createdAt: expect.stringMatching(/Z$/) },
      { current: false, id: person.sessionId, lastSeenAt: expect.stringMatching(/Z$/) },
    ]);
    expect(items(await ask(person, 'auth.listSessions')).items.map(({ current }) => current)).toEqual([false, true]);
  });

  test('leaves out what is revoked, idle too long or past its end', async () => {
    const person = await signedIn();
    for (const change of [
      `revoked_at = now(), revoked_reason = 'x'`,
      `idle_expires_at = now() - interval '1 s'`,
      `absolute_expires_at = now() - interval '1 s'`,
    ]) {
      await signInAgain(person, change);
      await admin.query(`update sessions set ${change} where user_id = $1 and user_agent = $2`, [person.id, change]);
    }
    expect(items(await ask(person, 'auth.listSessions')).items.map(({ id }) => id)).toEqual([person.sessionId]);
  });

  test('pages through every session exactly once', async () => {
    const person = await signedIn();
    for (let n = 0; n < 4; n++) await signInAgain(person, `device ${n}`);
    const ids: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = items(
        await ask(person, 'auth.listSessions', { limit: 2, ...(cursor === undefined ? {} : { cursor }) }),
      );
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(new Set(ids).size).toBe(5);
    expect(ids).toHaveLength(5);
    expect((await ask(person, 'auth.listSessions', { cursor: 'nonsense' })).code).toBe('VALIDATION_FAILED');
  });
});

describe('auth.revokeSession', () => {
  test('ends a session on every node within a second also while Valkey is away', async () => {
    await using proxy = await tcpProxy(servers().queueRedisUrl);
    const { DATABASE_URL, JWT_PRIVATE_KEYS } = api.env;
    await using node = await startTestApi({ env: { DATABASE_URL, JWT_PRIVATE_KEYS, QUEUE_REDIS_URL: proxy.url } });
    const person = await signedIn();
    const other = await signInAgain(person);
    for (const { url } of [node, ...nodes]) expect((await ask(person, 'users.me', {}, url)).status).toBe(200);
    proxy.cut();
    const revoked = await ask(other, 'auth.revokeSession', { id: person.sessionId }, node.url);
    expect(revoked.data, revoked.text).toEqual({ ok: true });
    for (const { url } of [node, ...nodes])
      await eventually(async () => expect((await ask(person, 'users.me', {}, url)).status).toBe(401), {
        timeoutMs: 1_000,
      });
    expect((await ask(other, 'users.me', {}, node.url)).status).toBe(200);
  });

  test("answers NOT_FOUND for another's, an unknown and a dead session, and ends none of them", async () => {
    const [person, other] = [await signedIn(), await signedIn()];
    await signInAgain(person, 'dead');
    const { rows } = await admin.query<{ id: string }>(
      `update sessions set idle_expires_at = now() - interval '1 s' where user_id = $1 and user_agent = 'dead' returning id`,
      [person.id],
    );
    for (const id of [other.sessionId, randomUUID(), rows[0]?.id])
      expect((await ask(person, 'auth.revokeSession', { id })).code).toBe('NOT_FOUND');
    expect((await ask(other, 'users.me')).status).toBe(200);
    const revoked = await admin.query('select from sessions where revoked_at is not null and user_id = any($1)', [
      [person.id, other.id],
    ]);
    expect(revoked.rowCount).toBe(0);
  });

  test('ends the session with its refresh token, once, and puts it on record', async () => {
    const person = await signedIn();
    const other = await signInAgain(person);
    const revoke = () => ask(other, 'auth.revokeSession', { id: person.sessionId });
    const answers = await Promise.all([revoke(), revoke(), revoke()]);
    expect(answers.map(({ code }) => code ?? 'OK').toSorted()).toEqual(['NOT_FOUND', 'NOT_FOUND', 'OK']);
    expect((await call(api.url, 'auth.refresh', { input: { refreshToken: person.refreshToken } })).code).toBe(
      'UNAUTHENTICATED',
    );
    const { rows } = await admin.query(
      `select actor_type, actor_id, host(ip_address) as ip, new_value from audit_log where entity_id = $1 and action = 'delete'`,
      [person.sessionId],
    );
    expect(rows).toEqual([
      { actor_type: 'user', actor_id: person.id, ip: '127.0.0.1', new_value: { reason: 'revoked' } },
    ]);
  });
});
