/** Procedures of `auth` and `users`. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, testPassword, unique } from '../../kit/actors.ts';
import { startTestApi, type TestApi } from '../../kit/api.ts';
import { call, faces } from '../../kit/call.ts';
import { connect } from '../../kit/database.ts';
import { expectError, pathsOf, testGuarantees } from '../../kit/guarantees.ts';
import { makeWorld } from '../../kit/world.ts';

let api: TestApi;
let world: Awaited<ReturnType<typeof makeWorld>>;
beforeAll(async () => {
  api = await startTestApi();
  world = await makeWorld(api);
});
afterAll(() => api[Symbol.asyncDispose]());

describe.each(pathsOf('auth', 'users'))('%s', (path) => testGuarantees(path, () => world));

test.each(faces)('auth.register creates a person and signs them in by %s, with 201 on the REST face', async (face) => {
  const username = unique('New.User-');
  const answer = await call(api.url, 'auth.register', {
    face,
    input: { email: `${username}@Example.Test`, username, password: testPassword },
  });
  expect(answer.status, answer.text).toBe(face === 'rest' ? 201 : 200);
  expect(answer.data).toMatchObject({
    user: { username, email: `${username}@Example.Test` },
    accessToken: expect.any(String),
    refreshToken: expect.any(String),
  });
  expect(answer.text).not.toMatch(/password|hash/i);
});

test('an e-mail and a user name are taken whatever their case', async () => {
  const { email, username } = await newPerson(api);
  const taken = { password: testPassword };
  const mail = await call(api.url, 'auth.register', {
    input: { ...taken, email: email.toUpperCase(), username: unique() },
  });
  expectError(mail, 'ALREADY_EXISTS', 'trpc');
  expect(mail.text).toContain('"path":"email"');
  const name = await call(api.url, 'auth.register', {
    input: { ...taken, email: `${unique()}@example.test`, username: username.toUpperCase() },
  });
  expectError(name, 'ALREADY_EXISTS', 'trpc');
  expect(name.text).toContain('"path":"username"');
});

test('a refused registration leaves neither a person nor a trail', async () => {
  const { email } = await newPerson(api);
  await using admin = await connect(api.database.adminUrl);
  const count = async () =>
    (
      await admin.query(
        'select (select count(*) from users) as u, (select count(*) from audit_log) as a, (select count(*) from events) as e',
      )
    ).rows[0];
  const before = await count();
  await call(api.url, 'auth.register', { input: { email, username: unique(), password: testPassword } });
  expect(await count()).toEqual(before);
});

test.each(faces)('auth.login signs in by %s, whatever the case of the e-mail', async (face) => {
  const { email, password, id } = world.actors.viewer;
  const answer = await call(api.url, 'auth.login', { face, input: { email: email.toUpperCase(), password } });
  expect(answer.status, answer.text).toBe(200);
  expect(answer.data).toMatchObject({ user: { id } });
});

test('a wrong password and an unknown e-mail are answered byte for byte alike', async () => {
  const requestId = unique('request');
  const wrong = await call(api.url, 'auth.login', {
    requestId,
    input: { email: world.actors.viewer.email, password: 'not the password' },
  });
  const unknown = await call(api.url, 'auth.login', {
    requestId,
    input: { email: 'nobody@example.test', password: 'not the password' },
  });
  expectError(wrong, 'UNAUTHENTICATED', 'trpc');
  expect(wrong.text).toBe(unknown.text);
});

test('a suspended person cannot sign in', async () => {
  const person = await newPerson(api);
  await using admin = await connect(api.database.adminUrl);
  await admin.query(`update users set status = 'suspended' where id = $1`, [person.id]);
  expectError(
    await call(api.url, 'auth.login', { input: { email: person.email, password: person.password } }),
    'UNAUTHENTICATED',
    'trpc',
  );
});

test.each(faces)('users.me tells by %s who the caller is and where they belong', async (face) => {
  const { admin, organizationId } = world.actors;
  const answer = await call(api.url, 'users.me', { face, input: {}, authorization: admin.authorization });
  expect(answer.data, answer.text).toMatchObject({
    id: admin.id,
    username: admin.username,
    status: 'active',
    organizations: [{ id: organizationId, role: 'admin' }],
  });
  expect(answer.text).not.toMatch(/password|hash/i);
});

test.each(faces)('auth.refresh and auth.logout work by %s', async (face) => {
  const person = await newPerson(api);
  const refreshed = await call(api.url, 'auth.refresh', {
    face,
    input: { refreshToken: person.client.session.tokens()?.refreshToken },
  });
  expect(refreshed.status, refreshed.text).toBe(200);
  const out = await call(api.url, 'auth.logout', { face, input: {}, authorization: person.authorization });
  expect(out.data, out.text).toEqual({ ok: true });
});
