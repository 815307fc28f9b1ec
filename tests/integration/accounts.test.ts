/** The life of an account's credentials: confirmed addresses, passwords that are refused, reset and changed, and what nobody can tell from outside. */
import { createHash } from 'node:crypto';
import { hash } from '@node-rs/argon2';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, testPassword, unique, type Person } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { type Answer, call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { startMailbox, type Mailbox } from '../kit/mailbox.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let mailbox: Mailbox;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  mailbox = await startMailbox(api);
});
afterAll(async () => {
  await mailbox[Symbol.asyncDispose]();
  await admin.end();
  await api[Symbol.asyncDispose]();
});

const newPassword = 'seven geese over a lake';
const ask = (path: string, input: object, authorization?: string): Promise<Answer> =>
  call(api.url, path, { input, authorization });
const login = (email: string, password: string): Promise<Answer> => ask('auth.login', { email, password });
const me = (authorization: string): Promise<Answer> => ask('users.me', {}, authorization);
/** The mailed secret of a reset, asked for now. */
async function resetToken({ email }: Person, count = 1): Promise<string | null> {
  expect((await ask('auth.requestPasswordReset', { email })).data).toEqual({ ok: true });
  return (await mailbox.mail(email, '/reset-password', count)).token;
}
/** A second session of somebody. */
async function anotherSession({ email, password }: Person): Promise<string> {
  const answer = await login(email, password);
  // The contract's own output, checked by the API before it was sent.
  return `Bearer ${(answer.data as { accessToken: string }).accessToken}`;
}
const refusedSoon = (authorization: string): Promise<void> =>
  eventually(async () => expect((await me(authorization)).status).toBe(401), { timeoutMs: 1_500, everyMs: 50 });
async function trailOf(userId: string): Promise<unknown[]> {
  const { rows } = await admin.query(
    `select action, new_value, ip_address is not null as addressed, request_id is not null as requested from audit_log
      where entity_type = 'users' and entity_id = $1 and actor_id = $1 order by id`,
    [userId],
  );
  return rows;
}
async function storedHash(userId: string): Promise<string> {
  return (await admin.query('select password_hash from users where id = $1', [userId])).rows[0].password_hash;
}

describe('confirming an address', () => {
  test('the mailed link confirms it once, is on record and an event, and a used one is refused', async () => {
    const person = await newPerson(api);
    expect((await me(person.authorization)).data).toMatchObject({ emailVerified: false });
    const { token } = await mailbox.mail(person.email, '/verify-email');
    expect((await ask('auth.verifyEmail', { token })).data).toEqual({ ok: true });
    expect((await me(person.authorization)).data).toMatchObject({ emailVerified: true });
    const again = await ask('auth.verifyEmail', { token });
    expect(again).toMatchObject({ code: 'VALIDATION_FAILED', status: 400 });
    expect(again.text).toContain('"path":"token"');
    expect((await trailOf(person.id)).at(-1)).toMatchObject({
      action: 'update',
      new_value: { emailVerified: true },
      addressed: true,
      requested: true,
    });
    const { rows } = await admin.query('select event_type from events where aggregate_id = $1 order by id', [
      person.id,
    ]);
    expect(rows.map(({ event_type }) => event_type)).toEqual(['user.registered', 'user.verified']);
  });

  test('of 20 parallel uses of one link one succeeds', async () => {
    const { email } = await newPerson(api);
    const { token } = await mailbox.mail(email, '/verify-email');
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('auth.verifyEmail', { token })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('a link is refused once it is too old, once the address is another, and for any other use', async () => {
    const [old, moved, other] = [await newPerson(api), await newPerson(api), await newPerson(api)];
    const tokens = [];
    for (const { email } of [old, moved, other]) tokens.push((await mailbox.mail(email, '/verify-email')).token);
    await admin.query('update one_time_tokens set expires_at = now() where user_id = $1', [old.id]);
    await admin.query(`update users set email = $2, email_normalized = $2 where id = $1`, [
      moved.id,
      `${unique('moved')}@example.test`,
    ]);
    expect(await ask('auth.verifyEmail', { token: tokens[0] })).toMatchObject({ code: 'VALIDATION_FAILED' });
    expect(await ask('auth.verifyEmail', { token: tokens[1] })).toMatchObject({ code: 'VALIDATION_FAILED' });
    expect(await ask('auth.resetPassword', { token: tokens[2], newPassword })).toMatchObject({
      code: 'VALIDATION_FAILED',
    });
    expect(await ask('auth.verifyEmail', { token: await resetToken(other) })).toMatchObject({
      code: 'VALIDATION_FAILED',
    });
  });

  test('a new link can be asked for, and works for a day', async () => {
    const person = await newPerson(api);
    await mailbox.mail(person.email, '/verify-email');
    expect((await ask('auth.requestEmailVerification', {}, person.authorization)).data).toEqual({ ok: true });
    const { token } = await mailbox.mail(person.email, '/verify-email', 2);
    const { rows } = await admin.query(
      'select round(extract(epoch from max(expires_at - created_at))) as life_s from one_time_tokens where user_id = $1',
      [person.id],
    );
    expect(Number(rows[0].life_s)).toBe(86_400);
    expect((await ask('auth.verifyEmail', { token })).data).toEqual({ ok: true });
  });
});

describe('resetting a password', () => {
  test('the mailed link sets it once, ends every session within a second, confirms the address, and says so by mail', async () => {
    const person = await newPerson(api);
    const second = await anotherSession(person);
    const token = await resetToken(person);
    expect((await ask('auth.resetPassword', { token, newPassword })).data).toEqual({ ok: true });
    await refusedSoon(person.authorization);
    await refusedSoon(second);
    const refreshToken = person.client.session.tokens()?.refreshToken;
    expect(await ask('auth.refresh', { refreshToken })).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await login(person.email, person.password)).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect((await login(person.email, newPassword)).status).toBe(200);
    expect(await ask('auth.resetPassword', { token, newPassword: `${newPassword} 2` })).toMatchObject({
      code: 'VALIDATION_FAILED',
    });
    expect((await mailbox.mail(person.email, null)).subject).toBe('Your password was changed');
    expect((await trailOf(person.id)).at(-1)).toMatchObject({
      new_value: { credential: 'reset by mail', endedSessions: 2 },
      addressed: true,
    });
    const { rows } = await admin.query('select email_verified_at is not null as verified from users where id = $1', [
      person.id,
    ]);
    expect(rows).toEqual([{ verified: true }]);
  });

  test('of several links the first use ends the others, and of parallel uses one succeeds', async () => {
    const person = await newPerson(api);
    const tokens = [await resetToken(person), await resetToken(person, 2)];
    const answers = await Promise.all(
      [...tokens, ...tokens, ...tokens].map((token) => ask('auth.resetPassword', { token, newPassword })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(new Set(answers.map(({ code }) => code ?? 'OK'))).toEqual(new Set(['OK', 'VALIDATION_FAILED']));
  });

  test('a refused password does not use the link up; half an hour does', async () => {
    const person = await newPerson(api);
    const token = await resetToken(person);
    const common = await ask('auth.resetPassword', { token, newPassword: 'Password1234' });
    expect(common).toMatchObject({ code: 'VALIDATION_FAILED' });
    expect(common.text).toContain('"path":"newPassword"');
    const own = await ask('auth.resetPassword', { token, newPassword: `${person.username}!` });
    expect(own.text).toContain('"path":"newPassword"');
    const { rows } = await admin.query(
      `select round(extract(epoch from expires_at - created_at)) as life_s from one_time_tokens
        where user_id = $1 and purpose = 'reset-password'`,
      [person.id],
    );
    expect(rows.map(({ life_s }) => Number(life_s))).toEqual([1_800]);
    await admin.query('update one_time_tokens set expires_at = now() where user_id = $1', [person.id]);
    expect(await ask('auth.resetPassword', { token, newPassword })).toMatchObject({ code: 'VALIDATION_FAILED' });
    expect((await login(person.email, person.password)).status).toBe(200);
  });

  test('it gives a password to an account that had none, which no password opens before', async () => {
    const person = await newPerson(api);
    await admin.query(`update users set password_hash = '!' where id = $1`, [person.id]);
    for (const guess of ['!', person.password])
      expect(await login(person.email, guess)).toMatchObject({ code: 'UNAUTHENTICATED' });
    const token = await resetToken(person);
    expect((await ask('auth.resetPassword', { token, newPassword })).data).toEqual({ ok: true });
    expect((await login(person.email, newPassword)).status).toBe(200);
  });

  test('a suspended person gets no link', async () => {
    const person = await newPerson(api);
    await admin.query(`update users set status = 'suspended' where id = $1`, [person.id]);
    await ask('auth.requestPasswordReset', { email: person.email });
    await eventually(async () => {
      const { rows } = await admin.query(`select status from mails where kind = 'reset-password' and email = $1`, [
        person.email,
      ]);
      expect(rows).toEqual([{ status: 'dropped' }]);
    });
  });
});

describe('changing a password', () => {
  test('it takes the present one, keeps this session, ends the others within a second, and says so by mail', async () => {
    const person = await newPerson(api);
    const [second, third] = [await anotherSession(person), await anotherSession(person)];
    const unused = await resetToken(person);
    const change = { currentPassword: person.password, newPassword };
    const answer = await ask('auth.changePassword', change, second);
    expect(answer.data, answer.text).toEqual({ ok: true, endedSessions: 2 });
    expect((await me(second)).status).toBe(200);
    await refusedSoon(person.authorization);
    await refusedSoon(third);
    expect((await login(person.email, newPassword)).status).toBe(200);
    expect(await login(person.email, person.password)).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await ask('auth.resetPassword', { token: unused, newPassword: testPassword })).toMatchObject({
      code: 'VALIDATION_FAILED',
    });
    expect((await mailbox.mail(person.email, null)).subject).toBe('Your password was changed');
    expect((await trailOf(person.id)).at(-1)).toMatchObject({
      new_value: { credential: 'replaced', endedSessions: 2 },
    });
  });

  test('a wrong present one changes nothing, and the fourth try has to wait', async () => {
    const person = await newPerson(api);
    const before = await storedHash(person.id);
    const wrong = (): Promise<Answer> =>
      ask('auth.changePassword', { currentPassword: 'not the password', newPassword }, person.authorization);
    for (let n = 0; n < 3; n++) {
      const answer = await wrong();
      expect(answer).toMatchObject({ code: 'VALIDATION_FAILED' });
      expect(answer.text).toContain('"path":"currentPassword"');
    }
    expect(await wrong()).toMatchObject({ code: 'RATE_LIMITED' });
    expect(await storedHash(person.id)).toBe(before);
  });
});

describe('what a password may be', () => {
  test.each(['Password1234', 'footballfootball', '1234567890123'])('registration refuses %s', async (password) => {
    const email = `${unique('person')}@example.test`;
    const answer = await ask('auth.register', { email, username: unique('person'), password });
    expect(answer).toMatchObject({ code: 'VALIDATION_FAILED' });
    expect(answer.text).toContain('"path":"password"');
    expect(answer.text).not.toContain(password);
  });

  test('spaces, every script and 128 characters count, and nothing is cut off or trimmed', async () => {
    for (const password of ['  ключ от дома под ковром ', '🔑'.repeat(5) + 'клавиша', `${'x1'.repeat(60)}-the-end`]) {
      const email = `${unique('person')}@example.test`;
      const made = await ask('auth.register', { email, username: unique('person'), password });
      expect(made.status, made.text).toBe(200);
      expect((await login(email, password)).status).toBe(200);
      expect(await login(email, password.slice(0, -1))).toMatchObject({ code: 'UNAUTHENTICATED' });
      expect(await login(email, ` ${password.slice(1)}x`)).toMatchObject({
        code: expect.stringMatching(/UNAUTHENTICATED|VALIDATION_FAILED/),
      });
    }
  });

  test('a hash that was made for less is made anew at the next sign-in, and at that one alone', async () => {
    const person = await newPerson(api);
    const weak = await hash(person.password, { memoryCost: 8_192, timeCost: 1, parallelism: 1, algorithm: 2 });
    await admin.query('update users set password_hash = $2 where id = $1', [person.id, weak]);
    expect((await login(person.email, person.password)).status).toBe(200);
    const renewed = await storedHash(person.id);
    expect(renewed).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect((await login(person.email, person.password)).status).toBe(200);
    expect(await storedHash(person.id)).toBe(renewed);
  });

  test('a password replaced while a sign-in with the old one is under way opens nothing', async () => {
    const person = await newPerson(api);
    const stale = await storedHash(person.id);
    await admin.query('update users set password_hash = $2 where id = $1', [person.id, await hash(newPassword)]);
    await using asApi = await connect(api.database.url('novax_api'));
    await asApi.query('begin');
    await asApi.query(`select set_config('app.current_user_id', $1, true)`, [person.id]);
    const { rows } = await asApi.query('select private.confirm_password($1, $2, null) as held', [person.id, stale]);
    await asApi.query('rollback');
    expect(rows).toEqual([{ held: false }]);
  });
});

/** Milliseconds of calls that alternate between two kinds, so that both meet the same noise. */
async function interleaved(rounds: number, kinds: readonly [() => Promise<Answer>, () => Promise<Answer>]) {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const at of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const started = performance.now();
      await kinds[at]();
      times[at].push(performance.now() - started);
    }
  }
  const median = (list: number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
  return { known: median(times[0]), unknown: median(times[1]) };
}

describe('what nobody can tell from outside', () => {
  const requestId = 'the-same-request';
  const nobody = (): string => `${unique('nobody')}@example.test`;

  test('a reset asked for is answered byte for byte alike for known and unknown people', async () => {
    const { email } = await newPerson(api);
    const [known, unknown] = [
      await call(api.url, 'auth.requestPasswordReset', { input: { email }, requestId }),
      await call(api.url, 'auth.requestPasswordReset', { input: { email: nobody() }, requestId }),
    ];
    expect(known.text).toBe(unknown.text);
    expect(known.status).toBe(unknown.status);
  });

  test('sign-in is answered byte for byte alike for a wrong password, an unknown person and an account without a password', async () => {
    const [known, passwordless] = [await newPerson(api), await newPerson(api)];
    await admin.query(`update users set password_hash = '!' where id = $1`, [passwordless.id]);
    const answers = [];
    for (const email of [known.email, nobody(), passwordless.email])
      answers.push(await call(api.url, 'auth.login', { input: { email, password: 'not the password' }, requestId }));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]).toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('a reset asked for takes as long for known as for unknown people', { timeout: 60_000 }, async () => {
    // Nobody sends meanwhile: sending is another process's work and another time.
    await using _ = { [Symbol.asyncDispose]: () => mailbox.start() };
    await mailbox.stop();
    const { email } = await newPerson(api);
    const reset = (to: () => string) => () => ask('auth.requestPasswordReset', { email: to() });
    const { known, unknown } = await interleaved(150, [reset(() => email), reset(nobody)]);
    const ratio = known / unknown;
    process.stdout.write(
      `reset asked for, medians of 150: known ${known.toFixed(2)} ms, unknown ${unknown.toFixed(2)} ms, ratio ${ratio.toFixed(3)}\n`,
    );
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.25);
  });

  test(
    'sign-in takes as long for known people as for unknown ones and for accounts without a password',
    { timeout: 120_000 },
    async () => {
      // Each known person is tried twice, below what costs a wait.
      const people = await Promise.all(Array.from({ length: 30 }, () => newPerson(api)));
      const without = people.slice(0, 15).map(({ id }) => id);
      const wrong = (email: () => string) => () => login(email(), 'not the password');
      const timed = async (name: string): Promise<void> => {
        let next = 0;
        const known = (): string => people[next++ % people.length]?.email ?? '';
        const medians = await interleaved(60, [wrong(known), wrong(nobody)]);
        const ratio = medians.known / medians.unknown;
        process.stdout.write(
          `sign-in, medians of 60: ${name} ${medians.known.toFixed(1)} ms, unknown ${medians.unknown.toFixed(1)} ms, ratio ${ratio.toFixed(3)}\n`,
        );
        expect(ratio).toBeGreaterThan(0.8);
        expect(ratio).toBeLessThan(1.25);
      };
      await timed('wrong password');
      // A right one takes the counts back.
      for (const { email, password } of people) expect((await login(email, password)).status).toBe(200);
      await admin.query(`update users set password_hash = '!' where id = any($1)`, [without]);
      people.length = without.length;
      people.push(...(await Promise.all(Array.from({ length: 15 }, () => newPerson(api)))));
      await admin.query(`update users set password_hash = '!' where id = any($1)`, [people.map(({ id }) => id)]);
      await timed('no password');
    },
  );
});

test('no secret of this file stands in the trail, in an event or in the log of statements', async () => {
  const person = await newPerson(api);
  const token = (await resetToken(person)) ?? '';
  await ask('auth.resetPassword', { token, newPassword });
  const hashed = createHash('sha256').update(token).digest('hex');
  const { rows } = await admin.query(
    `select count(*)::int as n from (
       select to_jsonb(a)::text as t from audit_log a union all select to_jsonb(e)::text from events e union all select to_jsonb(m)::text from mails m
     ) x where t like any($1)`,
    [[token, hashed, newPassword, person.password].map((secret) => `%${secret}%`)],
  );
  expect(rows).toEqual([{ n: 0 }]);
});
