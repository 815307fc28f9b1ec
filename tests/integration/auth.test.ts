/** Sessions: renewal, reuse, sign-out, and the roles and servers that the API refuses to start with. */
import { createHash } from 'node:crypto';
import { noCall } from '@novax/db/actor';
import { openDatabase } from '@novax/db/tx';
import { renewSession, signIn } from '@novax/domain/auth/sessions';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { type Answer, call } from '../kit/call.ts';
import { connect, testDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { servers } from '../kit/servers.ts';

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

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
}

async function signedIn(): Promise<Tokens & { id: string }> {
  const { client, id } = await newPerson(api);
  const tokens = client.session.tokens();
  if (tokens === null) throw new Error('not signed in');
  return { ...tokens, id };
}

const refresh = (refreshToken: string): Promise<Answer> => call(api.url, 'auth.refresh', { input: { refreshToken } });
const me = (accessToken: string, requestId = unique('request')): Promise<Answer> =>
  call(api.url, 'users.me', { input: {}, authorization: `Bearer ${accessToken}`, requestId });
// The contract's own output, checked by the API before it was sent.
const tokensOf = (answer: Answer): Tokens => answer.data as Tokens;

test('a refresh token gives the next pair, and both access tokens work until they end', async () => {
  const first = await signedIn();
  const second = tokensOf(await refresh(first.refreshToken));
  expect(second.refreshToken).not.toBe(first.refreshToken);
  expect((await me(second.accessToken)).data).toMatchObject({ id: first.id });
  const third = tokensOf(await refresh(second.refreshToken));
  expect((await me(third.accessToken)).data).toMatchObject({ id: first.id });
});

test('a refresh token used twice ends the session, for the thief and for the owner, and is on record', async () => {
  const first = await signedIn();
  const second = tokensOf(await refresh(first.refreshToken));
  expect(await refresh(first.refreshToken)).toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(await refresh(second.refreshToken)).toMatchObject({ code: 'UNAUTHENTICATED' });
  const { rows } = await admin.query(
    `select action, new_value from audit_log where actor_id = $1 and entity_type = 'sessions' order by id`,
    [first.id],
  );
  expect(rows.at(-1)).toMatchObject({ action: 'delete', new_value: { reason: expect.stringContaining('twice') } });
});

test('halves of two refresh tokens are refused, and neither token is used up', async () => {
  const [first, second] = [await signedIn(), await signedIn()];
  const [sid = ''] = first.refreshToken.split('.');
  const [, secret = ''] = second.refreshToken.split('.');
  for (const forged of [`${sid}.${secret}`, `.${secret}`, `${sid}.`]) {
    expect(await refresh(forged)).toMatchObject({
      code: expect.stringMatching(/^(UNAUTHENTICATED|VALIDATION_FAILED)$/),
    });
  }
  expect((await refresh(first.refreshToken)).status).toBe(200);
  expect((await refresh(second.refreshToken)).status).toBe(200);
});

test('the access token of a session that reuse has ended is refused within a second', async () => {
  const first = await signedIn();
  const second = tokensOf(await refresh(first.refreshToken));
  expect((await me(second.accessToken)).status).toBe(200);
  await refresh(first.refreshToken);
  await eventually(async () => expect((await me(second.accessToken)).status).toBe(401), {
    timeoutMs: 2_000,
    everyMs: 50,
  });
});

test('of 50 uses of one refresh token at once exactly one succeeds, 200 times over (AU-3)', async () => {
  const db = await openDatabase({ url: api.env.DATABASE_URL, poolMax: 25 });
  const { id } = await signedIn();
  let successes = 0;
  try {
    // Everything below HTTP: what decides is the statement, and 10,000 requests would only wait for each other.
    for (let round = 0; round < 200; round++) {
      const { refreshToken } = await signIn(db, id, { call: noCall, userAgent: 'reuse' });
      const uses = await Promise.allSettled(Array.from({ length: 50 }, () => renewSession(db, refreshToken, noCall)));
      const renewed = uses.filter(({ status }) => status === 'fulfilled').length;
      expect(renewed, `round ${round}`).toBe(1);
      // On a busy machine one may have waited too long for a connection: that is no success either.
      for (const use of uses)
        if (use.status === 'rejected') expect(['UNAUTHENTICATED', 'DEPENDENCY_UNAVAILABLE']).toContain(use.reason.code);
      successes += renewed;
    }
  } finally {
    await db.close();
  }
  console.log(`${successes} successes in 200 rounds of 50 uses`);
  const { rows } = await admin.query(
    `select count(*)::int as all, count(revoked_at)::int as ended from sessions where user_id = $1 and user_agent = 'reuse'`,
    [id],
  );
  expect(rows).toEqual([{ all: 200, ended: 200 }]);
}, 90_000);

test('of 50 uses of one refresh token at once by HTTP exactly one succeeds', async () => {
  const { refreshToken } = await signedIn();
  const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(refreshToken)));
  expect(answers.map(({ code }) => code ?? 'OK').toSorted()).toEqual([
    'OK',
    ...Array.from({ length: 49 }, () => 'UNAUTHENTICATED'),
  ]);
});

test('unknown, foreign, malformed and huge refresh tokens are refused alike', async () => {
  const [one, two] = [await signedIn(), await signedIn()];
  const [sid] = one.refreshToken.split('.');
  const mixed = `${sid}.${two.refreshToken.split('.')[1]?.split('').toReversed().join('')}`;
  for (const token of ['x', 'a.b', '.', mixed, `${one.refreshToken}x`, 'é'.repeat(100)]) {
    expect(await refresh(token), token).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  }
  expect(await refresh('x'.repeat(201))).toMatchObject({ code: 'VALIDATION_FAILED' });
});

test('after sign-out the access token is refused within a second, the refresh token at once', async () => {
  const { accessToken, refreshToken } = await signedIn();
  expect((await me(accessToken)).status).toBe(200);
  const out = await call(api.url, 'auth.logout', { input: {}, authorization: `Bearer ${accessToken}` });
  expect(out.data, out.text).toEqual({ ok: true });
  const since = performance.now();
  expect(await refresh(refreshToken)).toMatchObject({ code: 'UNAUTHENTICATED' });
  await eventually(async () => expect((await me(accessToken)).status).toBe(401), {
    timeoutMs: 1_000 - (performance.now() - since),
    everyMs: 20,
  });
});

test('sign-out in one process ends the session in another within a second', async () => {
  await using other = await startTestApi({
    env: { DATABASE_URL: api.env.DATABASE_URL, JWT_PRIVATE_KEYS: api.env.JWT_PRIVATE_KEYS },
  });
  const { accessToken } = await signedIn();
  const there = () => call(other.url, 'users.me', { input: {}, authorization: `Bearer ${accessToken}` });
  expect((await there()).status).toBe(200);
  await call(api.url, 'auth.logout', { input: {}, authorization: `Bearer ${accessToken}` });
  await eventually(async () => expect((await there()).status).toBe(401), { timeoutMs: 1_500, everyMs: 20 });
});

test('secrets are stored as hashes only', async () => {
  const { accessToken, refreshToken } = await signedIn();
  const [sid = '', secret = ''] = refreshToken.split('.');
  const { rows } = await admin.query(
    'select t.token_hash, s.sid_hash from refresh_tokens t join sessions s on s.id = t.session_id where t.token_hash = $1',
    [createHash('sha256').update(secret).digest()],
  );
  expect(rows).toHaveLength(1);
  expect(accessToken).not.toContain(secret);
  expect(sid).not.toBe('');
});

describe('the API refuses to start', () => {
  test('under a role that owns tables, is superuser or bypasses row security, naming the role and the mend', async () => {
    await using database = await testDatabase();
    await using superuser = await connect(database.adminUrl);
    const name = unique('role');
    await superuser.query(
      `create role ${name}_bypass login bypassrls password 'x'; create role ${name}_super login superuser password 'x'; create role ${name}_owner login password 'x'; grant novax_owner to ${name}_owner`,
    );
    await superuser.query(`grant connect on database ${database.name} to ${name}_bypass, ${name}_owner`);
    try {
      for (const kind of ['bypass', 'super', 'owner']) {
        const url = new URL(database.adminUrl);
        url.username = `${name}_${kind}`;
        url.password = 'x';
        await expect(startTestApi({ env: { DATABASE_URL: url.href } }), kind).rejects.toThrow(
          /refusing to start: database role .* use novax_api/,
        );
      }
      await expect(startTestApi({ env: { DATABASE_URL: database.url('novax_migrator') } })).rejects.toThrow(
        'refusing to start',
      );
    } finally {
      await superuser.query(
        `drop owned by ${name}_bypass, ${name}_super, ${name}_owner; drop role ${name}_bypass, ${name}_super, ${name}_owner`,
      );
    }
  });

  test('with a queue server that may evict sessions and jobs, naming the setting', async () => {
    const refused = await startTestApi({ env: { QUEUE_REDIS_URL: servers().cacheRedisUrl } }).catch(
      (thrown: unknown) => thrown,
    );
    expect(refused).toMatchObject({ name: 'AppError', message: expect.stringContaining('noeviction') });
  });

  test('without a usable signing key', async () => {
    await expect(startTestApi({ env: { JWT_PRIVATE_KEYS: '{"keys":[]}' } })).rejects.toThrow();
  });
});
