/** Sessions and tokens: renewal, reuse, sign-out, forgeries, and the roles and servers that the API refuses to start with. */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  sign as signRaw,
  type KeyObject,
} from 'node:crypto';
import type { JWK } from 'jose';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, unique } from '../kit/actors.ts';
import { newSigningKey, startTestApi, type TestApi } from '../kit/api.ts';
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

test('of 20 parallel uses of one refresh token exactly one succeeds', async () => {
  const { refreshToken } = await signedIn();
  const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refreshToken)));
  expect(answers.map(({ code }) => code ?? 'OK').toSorted()).toEqual([
    'OK',
    ...Array.from({ length: 19 }, () => 'UNAUTHENTICATED'),
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

const privateKey = (jwk: JWK): KeyObject => createPrivateKey({ key: jwk, format: 'jwk' });
const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

describe('forged access tokens', () => {
  let genuine: string;
  let claims: Record<string, unknown>;
  let key: KeyObject;
  let stranger: JWK;
  beforeAll(async () => {
    genuine = (await signedIn()).accessToken;
    claims = JSON.parse(Buffer.from(genuine.split('.')[1] ?? '', 'base64url').toString());
    key = privateKey(api.signingKey);
    stranger = await newSigningKey('test-key-1');
  });

  const header = { alg: 'EdDSA', kid: 'test-key-1', typ: 'at+jwt' };
  /** Signed by the API's own key, with these differences. */
  const signed = (changes: Record<string, unknown>, head: Record<string, unknown> = {}): string => {
    const text = `${encode({ ...header, ...head })}.${encode({ ...claims, ...changes })}`;
    return `${text}.${signRaw(null, Buffer.from(text), key).toString('base64url')}`;
  };
  const hmac = (secret: string | Buffer, head: Record<string, unknown> = {}): string => {
    const text = `${encode({ ...header, alg: 'HS256', ...head })}.${encode(claims)}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  const now = (): number => Math.floor(Date.now() / 1000);
  const publicPem = (): string => createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();

  const forgeries: Record<string, () => string | Promise<string>> = {
    'alg none without signature': () => `${encode({ ...header, alg: 'none' })}.${encode(claims)}.`,
    'alg none with the old signature': () =>
      `${encode({ ...header, alg: 'none' })}.${encode(claims)}.${genuine.split('.')[2]}`,
    'alg None in capitals': () => `${encode({ ...header, alg: 'NONE' })}.${encode(claims)}.AAAA`,
    'HS256 keyed with the public key in PEM': () => hmac(publicPem()),
    'HS256 keyed with the public key in JWK': () => hmac(Buffer.from(String(api.signingKey.x), 'base64url')),
    'HS256 keyed with nothing': () => hmac(''),
    'an unknown kid': () => signed({}, { kid: 'test-key-2' }),
    'a kid that is a path': () => signed({}, { kid: '../../../../dev/null' }),
    'a kid that is SQL': () => signed({}, { kid: `' union select 'x` }),
    'a key of its own in the header': () => {
      const text = `${encode({ ...header, jwk: { ...stranger, d: undefined } })}.${encode(claims)}`;
      return `${text}.${signRaw(null, Buffer.from(text), privateKey(stranger)).toString('base64url')}`;
    },
    'a key set of its own by URL': () => signed({}, { jku: 'http://127.0.0.1:1/jwks.json', kid: 'elsewhere' }),
    'another issuer': () => signed({ iss: 'elsewhere' }),
    'another audience': () => signed({ aud: 'another-api' }),
    'no audience': () => signed({ aud: undefined }),
    'another type': () => signed({}, { typ: 'JWT' }),
    'no type': () => signed({}, { typ: undefined }),
    'a critical header nobody knows': () => signed({}, { crit: ['x'], x: 1 }),
    'expired': () => signed({ exp: now() - 60, iat: now() - 700 }),
    'without an end': () => signed({ exp: undefined }),
    'an end that is text': () => signed({ exp: '9999999999' }),
    'not yet valid': () => signed({ nbf: now() + 600 }),
    'without a person': () => signed({ sub: undefined }),
    'a person who is no id': () => signed({ sub: `' or true --` }),
    'another person in the same session': async () => signed({ sub: (await signedIn()).id }),
    'a session that does not exist': () => signed({ sid: 'x'.repeat(43) }),
    'without a session': () => signed({ sid: undefined }),
    'a tampered payload': () => {
      const [head = '', , signature = ''] = genuine.split('.');
      return `${head}.${encode({ ...claims, sub: '00000000-0000-4000-8000-000000000000' })}.${signature}`;
    },
    'a signature cut short': () => genuine.slice(0, -4),
    'a signature of zeros': () =>
      `${genuine.split('.').slice(0, 2).join('.')}.${Buffer.alloc(64).toString('base64url')}`,
    'no signature': () => `${genuine.split('.').slice(0, 2).join('.')}.`,
    'four parts': () => `${genuine}.x`,
    'five parts, as an encrypted token': () => `${encode({ alg: 'dir', enc: 'A256GCM' })}.x.x.x.x`,
    'a payload that is no object': () => {
      const text = `${encode(header)}.${encode('[]')}`;
      return `${text}.${signRaw(null, Buffer.from(text), key).toString('base64url')}`;
    },
    'a header that is no JSON': () => `${encode('nothing')}.${encode(claims)}.${genuine.split('.')[2]}`,
    'junk': () => 'a.b.c',
    'eight thousand letters': () => `${'a'.repeat(4_000)}.${'b'.repeat(3_000)}.${'c'.repeat(1_000)}`,
  };

  test('the token they are made from is genuine, and so is one that is signed the same way', async () => {
    expect((await me(genuine)).status).toBe(200);
    expect((await me(signed({}))).status).toBe(200);
  });

  test.each(Object.entries(forgeries))('%s is refused exactly like no token at all', async (_, forge) => {
    const requestId = unique('request');
    const without = await call(api.url, 'users.me', { input: {}, requestId });
    const forged = await me(await forge(), requestId);
    expect(forged.status, forged.text).toBe(401);
    expect(forged.text).toBe(without.text);
  });
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
