/** The second factor: turning it on and off, signing in with it, and everything that must not pass for it. */
import { createHash, randomInt } from 'node:crypto';
import { fakeRateLimiter } from '@novax/adapters/fakes/rate-limit';
import { noCall } from '@novax/db/actor';
import { openDatabase } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { createKeyring } from '@novax/runtime/keyring';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFactors } from '../../apps/api/src/auth/factors.ts';
import { newPerson, type Person, testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { codeOf, wrongCodeOf } from '../kit/authenticator.ts';
import { type Answer, call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { expectError } from '../kit/guarantees.ts';

const manyTries = { account: 1_000_000, network: 1_000_000 };
let api: TestApi;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  // Wrong codes count as failed sign-ins; here it is the factor's own limits that are looked at.
  api = await startTestApi({ env: { SIGN_IN_TRIES: manyTries } });
  admin = await connect(api.database.adminUrl);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

interface Guarded {
  readonly person: Person;
  readonly secret: string;
  readonly recoveryCodes: string[];
}

/** A person with the factor on; the code of the present step is used up by that. */
async function guarded(): Promise<Guarded> {
  const person = await newPerson(api, 'guarded');
  const { secret } = await person.client.auth.enrolTotp.mutate({});
  const { recoveryCodes } = await person.client.auth.confirmTotp.mutate({ code: codeOf(secret) });
  return { person, secret, recoveryCodes };
}

const login = (person: Person, code?: string, requestId = unique('request')): Promise<Answer> =>
  call(api.url, 'auth.login', {
    input: { email: person.email, password: person.password, ...(code === undefined ? {} : { code }) },
    requestId,
  });
const codesOf = (answers: readonly Answer[]): string[] => answers.map(({ code }) => code ?? 'OK').toSorted();
const oneOf20 = (refusal: string): string[] => ['OK', ...Array.from({ length: 19 }, () => refusal)].toSorted();

/** Lets the codes of steps that were used work again, in place of waiting for the next. */
async function forgetSteps({ person }: Guarded): Promise<void> {
  await admin.query('update totp_factors set last_used_step = null where user_id = $1', [person.id]);
}

test('from its confirmation on a factor guards sign-in: no code is told apart, the next code opens, each code once', async () => {
  const person = await newPerson(api);
  const { secret, uri } = await person.client.auth.enrolTotp.mutate({});
  expect(secret).toMatch(/^[A-Z2-7]{32}$/);
  expect(new URL(uri).searchParams.get('secret')).toBe(secret);
  expect(decodeURIComponent(uri)).toContain(person.email);
  expect((await login(person)).status, 'pending factors guard nothing').toBe(200);
  expect(await person.client.users.me.query({})).toMatchObject({ secondFactor: false });

  const { recoveryCodes } = await person.client.auth.confirmTotp.mutate({ code: codeOf(secret) });
  expect(new Set(recoveryCodes).size).toBe(10);
  expect(await person.client.users.me.query({})).toMatchObject({ secondFactor: true });
  expectError(await login(person), 'SECOND_FACTOR_REQUIRED', 'trpc');
  expectError(await login(person, codeOf(secret)), 'UNAUTHENTICATED', 'trpc');
  const next = codeOf(secret, 1);
  const signedIn = await login(person, `${next.slice(0, 3)} ${next.slice(3)}`);
  expect(signedIn.data, signedIn.text).toMatchObject({ user: { id: person.id }, accessToken: expect.any(String) });
  expectError(await login(person, next), 'UNAUTHENTICATED', 'trpc');
});

test('the typed client tells that a code is missing, and signs in with it', async () => {
  const { person, secret } = await guarded();
  const input = { email: person.email, password: person.password };
  await expect(person.client.session.login(input)).rejects.toMatchObject({ code: 'SECOND_FACTOR_REQUIRED' });
  expect(await person.client.session.login({ ...input, code: codeOf(secret, 1) })).toMatchObject({ id: person.id });
});

test('a wrong code, a wrong password and an unknown e-mail are answered byte for byte alike', async () => {
  const { person, secret } = await guarded();
  const requestId = unique('request');
  const wrongCode = await login(person, wrongCodeOf(secret), requestId);
  expectError(wrongCode, 'UNAUTHENTICATED', 'trpc');
  const others = [
    await login({ ...person, password: 'not the password' }, codeOf(secret, 1), requestId),
    await login({ ...person, password: 'not the password' }, undefined, requestId),
    await login({ ...person, email: 'nobody@example.test' }, undefined, requestId),
    await login(person, 'xxxxx-xxxxx-xxxxx', requestId),
    await login(person, '１２３４５６', requestId),
  ];
  for (const other of others) expect(other.text).toBe(wrongCode.text);
  expect((await login(person, codeOf(secret, 1))).status, 'wrong passwords use up no code').toBe(200);
});

test('before the factor is right there is no session, not even one that nobody got', async () => {
  const guardedPerson = await guarded();
  const { person, secret } = guardedPerson;
  const sessions = async () => (await admin.query('select from sessions where user_id = $1', [person.id])).rowCount;
  const before = await sessions();
  await login(person);
  await login(person, wrongCodeOf(secret));
  await login(person, codeOf(secret));
  expect(await sessions()).toBe(before);
  await login(person, codeOf(secret, 1));
  expect(await sessions()).toBe((before ?? 0) + 1);
});

test('of 20 sign-ins at once with one code exactly one succeeds', async () => {
  const { person, secret } = await guarded();
  const code = codeOf(secret, 1);
  const answers = await Promise.all(Array.from({ length: 20 }, () => login(person, code)));
  expect(codesOf(answers)).toEqual(oneOf20('UNAUTHENTICATED'));
});

test('a code older than the last that was used is refused, though its time is not over', async () => {
  const it = await guarded();
  await forgetSteps(it);
  expect((await login(it.person, codeOf(it.secret, 1))).status).toBe(200);
  expectError(await login(it.person, codeOf(it.secret)), 'UNAUTHENTICATED', 'trpc');
});

test('a recovery code opens once, however it is typed, and of 20 at once one succeeds', async () => {
  const { person, recoveryCodes } = await guarded();
  const [first = '', second = '', third = ''] = recoveryCodes;
  for (const code of recoveryCodes) expect(code).toMatch(/^[2-9a-hjkmnp-z]{5}(-[2-9a-hjkmnp-z]{5}){2}$/);
  expect((await login(person, first.toUpperCase().replaceAll('-', ' '))).status).toBe(200);
  expectError(await login(person, first), 'UNAUTHENTICATED', 'trpc');
  const answers = await Promise.all(Array.from({ length: 20 }, () => login(person, second)));
  expect(codesOf(answers)).toEqual(oneOf20('UNAUTHENTICATED'));
  const other = await guarded();
  expectError(await login(other.person, third), 'UNAUTHENTICATED', 'trpc');
  expect((await login(person, third)).status, 'another person has not used it up').toBe(200);
});

test('a factor that was never confirmed is replaced by the next, one that is on is not', async () => {
  const person = await newPerson(api);
  const { enrolTotp, confirmTotp } = person.client.auth;
  const first = await enrolTotp.mutate({});
  const second = await enrolTotp.mutate({});
  expect(second.secret).not.toBe(first.secret);
  await expect(confirmTotp.mutate({ code: codeOf(first.secret) })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
  await confirmTotp.mutate({ code: codeOf(second.secret) });
  await expect(enrolTotp.mutate({})).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(confirmTotp.mutate({ code: codeOf(second.secret, 1) })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('of 20 confirmations at once one turns the factor on, and its ten codes are the ones that count', async () => {
  const person = await newPerson(api);
  const { secret } = await person.client.auth.enrolTotp.mutate({});
  const code = codeOf(secret);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      call(api.url, 'auth.confirmTotp', { input: { code }, authorization: person.authorization }),
    ),
  );
  expect(codesOf(answers)).toEqual(oneOf20('NOT_FOUND'));
  const shown = answers.find((answer) => answer.code === undefined);
  // The contract's own output, checked by the API before it was sent.
  const { recoveryCodes = [] } = (shown?.data ?? {}) as { recoveryCodes?: string[] };
  const { rows } = await admin.query<{ code_hash: string }>('select code_hash from recovery_codes where user_id = $1', [
    person.id,
  ]);
  const hashes = recoveryCodes.map((text) => createHash('sha256').update(text.replaceAll('-', '')).digest('hex'));
  expect(rows.map((row) => row.code_hash).toSorted()).toEqual(hashes.toSorted());
});

test('changes of one person’s factor wait for one another, so that of enrolments at once one secret is left', async () => {
  const person = await newPerson(api);
  await using holder = await connect(api.database.adminUrl);
  await holder.query('begin');
  await holder.query('select from users where id = $1 for no key update', [person.id]);
  const enrolments = Promise.all(Array.from({ length: 3 }, () => person.client.auth.enrolTotp.mutate({})));
  await eventually(async () => {
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    expect((await admin.query(waiting)).rowCount).toBe(3);
  });
  await holder.query('commit');
  const made = await enrolments;
  const { rowCount } = await admin.query('select from totp_factors where user_id = $1', [person.id]);
  expect(rowCount).toBe(1);
  const outcomes: boolean[] = [];
  for (const { secret } of made) {
    const { authorization } = person;
    const answer = await call(api.url, 'auth.confirmTotp', { input: { code: codeOf(secret) }, authorization });
    outcomes.push(answer.code === undefined);
  }
  expect(outcomes.filter(Boolean)).toHaveLength(1);
});

describe.each(['code', 'recovery code'] as const)('turned off with a %s', (kind) => {
  test('the factor is gone with its secret and recovery codes, and another can be made', async () => {
    const { person, secret, recoveryCodes } = await guarded();
    const [first = '', second = ''] = recoveryCodes;
    const { disableTotp, enrolTotp, confirmTotp } = person.client.auth;
    for (const code of [wrongCodeOf(secret), codeOf(secret), 'xxxxx-xxxxx-xxxxx'])
      await expect(disableTotp.mutate({ code })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
    expectError(await login(person), 'SECOND_FACTOR_REQUIRED', 'trpc');
    expect(await disableTotp.mutate({ code: kind === 'code' ? codeOf(secret, 1) : first })).toEqual({ ok: true });
    expect((await login(person)).status).toBe(200);
    const left = 'select from totp_factors where user_id = $1 union all select from recovery_codes where user_id = $1';
    expect((await admin.query(left, [person.id])).rowCount).toBe(0);
    await expect(disableTotp.mutate({ code: second })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const again = await enrolTotp.mutate({});
    await confirmTotp.mutate({ code: codeOf(again.secret) });
    expectError(await login(person, second), 'UNAUTHENTICATED', 'trpc');
    expect((await login(person, codeOf(again.secret, 1))).status).toBe(200);
  });
});

test('a suspended person is refused with the right code as with none', async () => {
  const { person, secret } = await guarded();
  await admin.query(`update users set status = 'suspended' where id = $1`, [person.id]);
  expectError(await login(person), 'UNAUTHENTICATED', 'trpc');
  expectError(await login(person, codeOf(secret, 1)), 'UNAUTHENTICATED', 'trpc');
});

test('the database holds neither secrets nor recovery codes, and a sealed secret opens for its own factor alone', async () => {
  const [victim, thief] = [await guarded(), await guarded()];
  const { rows } = await admin.query<{ ciphertext: string; codes: string }>(
    `select encode(f.secret_ciphertext, 'escape') as ciphertext, (select string_agg(c.code_hash, ' ') from recovery_codes c where c.user_id = f.user_id) as codes
       from totp_factors f where f.user_id = $1`,
    [victim.person.id],
  );
  expect(rows).toHaveLength(1);
  for (const code of victim.recoveryCodes) {
    // Whole: a hash has five characters of a code now and then.
    expect(rows[0]?.codes).not.toContain(code);
    expect(rows[0]?.codes).not.toContain(code.replaceAll('-', ''));
  }
  expect(rows[0]?.ciphertext).not.toContain(victim.secret);
  await admin.query(
    `update totp_factors t set secret_ciphertext = f.secret_ciphertext from totp_factors f where t.user_id = $1 and f.user_id = $2`,
    [victim.person.id, thief.person.id],
  );
  expectError(await login(victim.person, codeOf(thief.secret, 1)), 'INTERNAL', 'trpc');
});

test('the trail tells of each change and of each recovery code used, and holds no secret', async () => {
  const { person, secret, recoveryCodes } = await guarded();
  const [first = '', second = ''] = recoveryCodes;
  await login(person, first);
  await person.client.auth.disableTotp.mutate({ code: second });
  const { rows } = await admin.query<Record<string, unknown>>(
    `select action, entity_type, actor_type, new_value from audit_log
      where actor_id = $1 and entity_type in ('totp_factors', 'recovery_codes') order by id`,
    [person.id],
  );
  expect(rows).toEqual([
    { action: 'create', entity_type: 'totp_factors', actor_type: 'user', new_value: { status: 'pending' } },
    {
      action: 'update',
      entity_type: 'totp_factors',
      actor_type: 'user',
      new_value: { status: 'active', recoveryCodes: 10 },
    },
    { action: 'update', entity_type: 'recovery_codes', actor_type: 'user', new_value: { usedFor: 'sign-in' } },
    {
      action: 'update',
      entity_type: 'recovery_codes',
      actor_type: 'user',
      new_value: { usedFor: 'turning the second factor off' },
    },
    { action: 'delete', entity_type: 'totp_factors', actor_type: 'user', new_value: { status: 'disabled' } },
  ]);
  const text = JSON.stringify(rows);
  for (const hidden of [secret, ...recoveryCodes]) expect(text).not.toContain(hidden);
});

test('another person can neither see nor touch a factor or a recovery code', async () => {
  const { person } = await guarded();
  const other = await newPerson(api);
  await using runtime = await connect(api.database.url('novax_api'));
  await runtime.query(`select set_config('app.current_user_id', $1, false)`, [other.id]);
  for (const sql of [
    'select from totp_factors where user_id = $1',
    'select from recovery_codes where user_id = $1',
    `update totp_factors set status = 'disabled' where user_id = $1`,
    'update recovery_codes set used_at = now() where user_id = $1',
    'delete from totp_factors where user_id = $1',
    'delete from recovery_codes where user_id = $1',
  ])
    expect((await runtime.query(sql, [person.id])).rowCount, sql).toBe(0);
});

describe('guessing', () => {
  const max = 4;
  let limited: TestApi;
  beforeAll(async () => {
    // A second process with limits, beside the one where people are made.
    const { DATABASE_URL, KEY_ENCRYPTION_KEY } = api.env;
    limited = await startTestApi({
      rateLimits: { signIn: max },
      env: { TRUST_PROXY: 1, DATABASE_URL, KEY_ENCRYPTION_KEY, SIGN_IN_TRIES: manyTries },
    });
  });
  afterAll(() => limited[Symbol.asyncDispose]());

  async function database() {
    const db = await openDatabase({ url: api.env.DATABASE_URL, poolMax: 2 });
    return { ...db, [Symbol.asyncDispose]: () => db.close() };
  }

  /** From an address of its own, so that the address's limit is never the one that is met. */
  async function from(person: Person, code: string): Promise<number> {
    const response = await fetch(`${limited.url}/api/v1/auth/login`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-forwarded-for': `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`,
      },
      body: JSON.stringify({ email: person.email, password: testPassword, code }),
    });
    return response.status;
  }

  test('is bounded per person wherever it comes from, at once or one by one; a recovery code still opens', async () => {
    const { person, secret, recoveryCodes } = await guarded();
    const wrong = wrongCodeOf(secret);
    const statuses = await Promise.all(Array.from({ length: 12 }, () => from(person, wrong)));
    expect(statuses.filter((status) => status === 401)).toHaveLength(max);
    expect(statuses.filter((status) => status === 429)).toHaveLength(12 - max);
    expect(await from(person, codeOf(secret, 1)), 'even a right code is not looked at').toBe(429);
    expect(await from(person, recoveryCodes[0] ?? '')).toBe(200);
    const other = await guarded();
    expect(await from(other.person, codeOf(other.secret, 1))).toBe(200);
  });

  test('is bounded by the day as well as by the minute, which alone would let a patient thief in', async () => {
    const { person, secret } = await guarded();
    await using db = await database();
    let now = 0;
    const limiter = fakeRateLimiter({ now: () => new Date(now) });
    const factors = createFactors({ db, keyring: createKeyring(api.env.KEY_ENCRYPTION_KEY), limiter, perMinute: 2 });
    const wrong = wrongCodeOf(secret);
    for (let tried = 0; tried < 20; tried += 1) {
      now += 31_000;
      expect(await factors.admit(person.id, wrong, noCall)).toBe(false);
    }
    now += 31_000;
    await expect(factors.admit(person.id, wrong, noCall)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    now += 24 * 60 * 60 * 1000;
    expect(await factors.admit(person.id, codeOf(secret, 1), noCall)).toBe(true);
  });

  test('is refused while nobody can count, and a person without a factor is not asked', async () => {
    const { person, secret } = await guarded();
    const bare = await newPerson(api);
    await using db = await database();
    const down = { take: () => Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', { detail: 'away' })) };
    const keyring = createKeyring(api.env.KEY_ENCRYPTION_KEY);
    const factors = createFactors({ db, keyring, limiter: down, perMinute: 10 });
    await expect(factors.admit(person.id, codeOf(secret, 1), noCall)).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
    });
    expect(await factors.admit(bare.id, undefined, noCall)).toBe(true);
  });
});
