/** Keys in a file that is exchanged, and whatever may stand in an Authorization header. */
import { mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fakeSessionCache } from '@novax/adapters/fakes/sessions';
import { openReadLane } from '@novax/db/read-lane';
import { openDatabase } from '@novax/db/tx';
import { systemClock } from '@novax/runtime/clock';
import fc from 'fast-check';
import { SignJWT, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { watchFiles } from '../../apps/api/src/watched-files.ts';
import { createApiKeys } from '../../apps/api/src/auth/api-keys.ts';
import { createAuthenticate, type Authenticate } from '../../apps/api/src/auth/authenticate.ts';
import { createLiveSessions } from '../../apps/api/src/auth/live-sessions.ts';
import { createTokens, type Tokens } from '../../apps/api/src/auth/tokens.ts';
import { quiet } from '../kit/quiet.ts';

async function newKey(kid: string): Promise<JWK & AnyKey> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: 'EdDSA' };
}

/** As it may stand in a file, right or wrong. */
type AnyKey = Readonly<Record<string, unknown>>;
const jwks = (...keys: AnyKey[]): string => JSON.stringify({ keys });
const tokensOf = (...keys: AnyKey[]): Promise<Tokens> =>
  createTokens({ privateKeys: jwks(...keys), issuer: 'novax', audience: 'novax-api' });
const somebody = { userId: '018f4b6a-1111-7000-8000-000000000001', sid: 's'.repeat(43) };
const kidOf = (jwt: string): unknown => JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).kid;

let first: JWK & AnyKey;
let second: JWK & AnyKey;
beforeAll(async () => {
  [first, second] = [await newKey('first'), await newKey('second')];
});

test('a key set exchanged verifies the tokens of its keys and refuses those of a key that is gone, remembered or not', async () => {
  const tokens = await tokensOf(first);
  const { accessToken } = await tokens.sign(somebody, new Date());
  expect(await tokens.verify(accessToken)).toMatchObject(somebody);
  await tokens.replaceKeys(jwks(second, first));
  expect(await tokens.verify(accessToken)).toMatchObject(somebody);
  expect(kidOf((await tokens.sign(somebody, new Date())).accessToken)).toBe('second');
  await tokens.replaceKeys(jwks(second));
  await expect(tokens.verify(accessToken)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(tokens.jwks.keys.map(({ kid }) => kid)).toEqual(['second']);
});

test('a token whose check is under way while its key is taken away is not remembered', async () => {
  const tokens = await tokensOf(first, second);
  const { accessToken } = await tokens.sign(somebody, new Date());
  const checking = tokens.verify(accessToken);
  await tokens.replaceKeys(jwks(second));
  await checking;
  await expect(tokens.verify(accessToken)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test('a new key signs from its time on, the next one until then, and the first when the time of none has come', async () => {
  const at = Math.floor(Date.now() / 1000);
  const tokens = await tokensOf({ ...second, nbf: at + 100 }, first);
  expect(kidOf((await tokens.sign(somebody, new Date(at * 1000))).accessToken)).toBe('first');
  expect(kidOf((await tokens.sign(somebody, new Date((at + 100) * 1000))).accessToken)).toBe('second');
  await tokens.replaceKeys(jwks({ ...second, nbf: at + 100 }));
  expect(kidOf((await tokens.sign(somebody, new Date(at * 1000))).accessToken)).toBe('second');
  expect(JSON.stringify(tokens.jwks)).not.toContain('nbf');
});

describe('a file of keys', () => {
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(line) });
  let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
  beforeAll(async () => {
    folder = await mkdtempDisposable(join(tmpdir(), 'novax-tokens-'));
  });
  afterAll(() => folder.remove());

  async function watched() {
    logged.length = 0;
    const tokens = await tokensOf(first);
    const path = join(folder.path, 'keys.json');
    await writeFile(path, jwks(first));
    const files = watchFiles({
      what: 'signing keys',
      paths: [path],
      contents: [jwks(first)],
      everyMs: 3_600_000,
      apply: ([keys]) => tokens.replaceKeys(keys ?? ''),
      log,
    });
    return { tokens, path, files, [Symbol.dispose]: () => files.stop() };
  }

  test.each<[string, () => string | Promise<string>]>([
    ['no JSON', () => `hush ${first.d}`],
    ['nothing', () => ''],
    ['no keys', () => '{"keys":[]}'],
    ['a public key alone', () => jwks({ ...first, d: undefined })],
    ['halves of two keys', () => jwks({ ...first, x: second.x })],
    ['one kid twice', () => jwks(first, { ...second, kid: 'first' })],
    ['a key without kid', () => jwks({ ...first, kid: undefined })],
    ['a symmetric key', () => '{"keys":[{"kid":"a","kty":"oct","alg":"HS256","k":"aGVsbG8"}]}'],
    ['an algorithm that is not the kind of its key', () => jwks({ ...first, alg: 'ES256' })],
  ])('that holds %s is refused once, in the log without its secrets, and the old keys go on', async (_, broken) => {
    using it = await watched();
    await writeFile(it.path, await broken());
    await it.files.look();
    await it.files.look();
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain('the old ones stay');
    expect(logged[0]).not.toContain(first.d);
    expect(kidOf((await it.tokens.sign(somebody, new Date())).accessToken)).toBe('first');
    await writeFile(it.path, jwks(second, first));
    await it.files.look();
    expect(kidOf((await it.tokens.sign(somebody, new Date())).accessToken)).toBe('second');
  });

  test('that is away for a while changes nothing, is told of once, and is taken when it is back', async () => {
    using it = await watched();
    await rm(it.path);
    await it.files.look();
    await it.files.look();
    expect(logged).toHaveLength(1);
    expect(it.tokens.jwks.keys).toHaveLength(1);
    await writeFile(it.path, jwks(second));
    await it.files.look();
    expect(it.tokens.jwks.keys[0]?.kid).toBe('second');
  });
});

describe('whatever stands in an Authorization header', () => {
  const nowhere = 'postgresql://nobody@127.0.0.1:9/none';
  let authenticate: Authenticate;
  let genuine: string;
  let closeAll: () => Promise<void>;
  beforeAll(async () => {
    const tokens = await tokensOf(first);
    ({ accessToken: genuine } = await tokens.sign(somebody, new Date()));
    const db = await openDatabase({ url: nowhere, poolMax: 1 });
    const lane = openReadLane({ url: nowhere });
    const sessions = fakeSessionCache(systemClock);
    const live = createLiveSessions({ lane, feedLane: lane, sessions, log: quiet });
    authenticate = createAuthenticate({ tokens, live, apiKeys: createApiKeys({ db, lane, log: quiet }) });
    closeAll = async () => {
      await lane.close();
      await db.close();
    };
  });
  afterAll(() => closeAll());

  test('the genuine token gets as far as the session', async () => {
    await expect(authenticate(`Bearer ${genuine}`)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });

  test('is UNAUTHENTICATED, never another error, unless it is the genuine token', async () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.string({ unit: 'binary' }),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
      fc.constantFrom(...genuine.split('.')),
    );
    const mutated = fc
      .tuple(fc.nat(genuine.length - 1), fc.string({ maxLength: 3 }), fc.nat(3))
      .map(([at, text, gone]) => genuine.slice(0, at) + text + genuine.slice(at + gone))
      .filter((text) => text !== genuine);
    const header = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(part, { maxLength: 6 }).map((parts) => `Bearer ${parts.join('.')}`),
      mutated.map((text) => `Bearer ${text}`),
    );
    await fc.assert(
      fc.asyncProperty(header, async (text) => {
        fc.pre(text !== `Bearer ${genuine}`);
        await expect(authenticate(text)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      }),
      { numRuns: 1_000 },
    );
  });

  test('with claims of any kind, signed by our own key, is UNAUTHENTICATED unless they are those of a live token', async () => {
    const tokens = await tokensOf(first);
    const key = await importJWK(first, 'EdDSA');
    const claims = fc.dictionary(fc.constantFrom('iss', 'aud', 'sub', 'sid', 'exp', 'iat', 'nbf', 'x'), fc.jsonValue());
    const headers = fc.dictionary(fc.constantFrom('kid', 'typ', 'crit', 'jwk', 'jku', 'zip'), fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(claims, headers, async (payload, head) => {
        const jwt = await new SignJWT(payload)
          .setProtectedHeader({ kid: 'first', typ: 'at+jwt', ...head, alg: 'EdDSA' })
          .sign(key)
          .catch(() => undefined);
        fc.pre(jwt !== undefined);
        await expect(tokens.verify(jwt ?? '')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      }),
      { numRuns: 200 },
    );
  });
});
