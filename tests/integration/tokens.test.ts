/** Forged and malformed access tokens, refused alike on every face (AU-1), and keys exchanged under load (AU-2). */
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, unique } from '../kit/actors.ts';
import { newSigningKey, startTestApi, type TestApi } from '../kit/api.ts';
import { call, faces, type Face } from '../kit/call.ts';
import { eventually } from '../kit/eventually.ts';
import { createForge, forgeriesOf } from '../kit/forge.ts';
import { novax } from '../ops/run-novax.ts';

async function newEcKey(kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: 'ES256' };
}

describe.each([
  ['EdDSA', newSigningKey],
  ['ES256', newEcKey],
] as const)('forged access tokens beside %s', (_, newKey) => {
  let api: TestApi;
  let key: JWK;
  let cases: Record<string, string>;
  let genuine: string;
  beforeAll(async () => {
    key = await newKey('test-key-1');
    api = await startTestApi({ env: { JWT_PRIVATE_KEYS: JSON.stringify({ keys: [key] }) } });
    const [person, other] = [await newPerson(api), await newPerson(api)];
    const tokens = person.client.session.tokens();
    genuine = tokens?.accessToken ?? '';
    const forge = createForge(genuine, key, await newKey('test-key-1'));
    cases = forgeriesOf(forge, key, { refreshToken: tokens?.refreshToken ?? '', otherId: other.id });
    // Forging is only worth something when the same way of signing makes tokens that pass.
    expect((await me(`Bearer ${forge.signed({})}`)).status).toBe(200);
    const now = Math.floor(Date.now() / 1000);
    for (const fine of [{ exp: now - 20, iat: now - 600 }, { nbf: now + 20 }, { iat: now + 20 }])
      expect((await me(`Bearer ${forge.signed(fine)}`)).status, JSON.stringify(fine)).toBe(200);
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const me = (authorization: string | undefined, face: Face = 'trpc', requestId = 'request-of-the-forger') =>
    call(api.url, 'users.me', { input: {}, authorization, face, requestId });

  test.each(faces)('every kind is 401, byte for byte like no token at all, by %s', async (face) => {
    const without = await me(undefined, face);
    expect(without.status).toBe(401);
    const names = Object.keys(cases);
    for (const name of names) {
      // Header values are bytes; what is beyond them no client can send.
      const sent = Buffer.from(`Bearer ${cases[name] ?? ''}`, 'utf8').toString('latin1');
      const forged = await me(sent, face);
      expect(forged, name).toEqual(without);
    }
    console.log(`${names.length} kinds refused alike by ${face}`);
    expect(names.length).toBeGreaterThanOrEqual(100);
    expect((await me(`Bearer ${genuine}`, face)).status).toBe(200);
  });

  test.each(['Basic', 'bearer', 'DPoP', 'Token', '', 'Bearer Bearer'])(
    'the scheme "%s" is refused alike',
    async (scheme) => {
      expect(await me(`${scheme} ${genuine}`.trim())).toEqual(await me(undefined));
    },
  );
});

describe('keys exchanged while the API serves', () => {
  let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
  beforeAll(async () => {
    folder = await mkdtempDisposable(join(tmpdir(), 'novax-tokens-'));
  });
  afterAll(() => folder.remove());

  const kidOf = (accessToken: string): string =>
    JSON.parse(Buffer.from(accessToken.split('.')[0] ?? '', 'base64url').toString()).kid;
  const published = async (url: string): Promise<string[]> => {
    // As the test of the document itself finds it.
    const { keys } = (await (await fetch(`${url}/.well-known/jwks.json`)).json()) as { keys: JWK[] };
    return keys.map(({ kid }) => kid ?? '');
  };

  /** Two nodes on one database and one file of keys, which is looked at ten times a second. */
  async function twoNodes() {
    await using stack = new AsyncDisposableStack();
    const file = join(folder.path, `${unique('keys')}.json`);
    const first = await newSigningKey('first');
    const keys = JSON.stringify({ keys: [first] });
    await writeFile(file, keys);
    const settings = { JWT_PRIVATE_KEYS: keys, JWT_PRIVATE_KEYS_FILE: file };
    const api = stack.use(await startTestApi({ env: settings }));
    const other = stack.use(await startTestApi({ env: { ...settings, DATABASE_URL: api.env.DATABASE_URL } }));
    const owned = stack.move();
    return { file, first, nodes: [api, other] as const, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }

  test('rotation under a stream of calls refuses no valid one, and a key that is no longer secret is dead at once (AU-2)', async () => {
    await using pair = await twoNodes();
    const { nodes, file } = pair;
    const [api] = nodes;
    const person = await newPerson(api);
    let tokens = person.client.session.tokens();
    const old = tokens?.accessToken ?? '';
    let going = true;
    const counts = { calls: 0, failed: 0 };
    const seen = new Set<string>();
    const me = (url: string, token: string) => call(url, 'users.me', { input: {}, authorization: `Bearer ${token}` });
    const renewing = (async () => {
      while (going) {
        const renewed = await call(api.url, 'auth.refresh', { input: { refreshToken: tokens?.refreshToken ?? '' } });
        // The contract's own output, checked by the API before it was sent.
        tokens = renewed.data as { accessToken: string; refreshToken: string; expiresAt: string };
        seen.add(kidOf(tokens.accessToken));
      }
    })();
    const calling = [...nodes, ...nodes, ...nodes].map(async ({ url }, index) => {
      while (going) {
        counts.calls += 1;
        if ((await me(url, index % 3 === 0 ? old : (tokens?.accessToken ?? ''))).status !== 200) counts.failed += 1;
      }
    });
    const since = performance.now();
    // The lead stands for the time in which nodes and others learn of the key; twenty looks of a node here.
    expect((await novax(`keys rotate ${file} --lead 2`, {})).code).toBe(0);
    await eventually(() => expect(seen.size).toBe(2), { timeoutMs: 15_000 });
    expect((await novax(`keys rotate ${file} --lead 2`, {})).code).toBe(0);
    await eventually(() => expect(seen.size).toBe(3), { timeoutMs: 15_000 });
    await eventually(() => expect(counts.calls).toBeGreaterThan(100), { timeoutMs: 15_000 });
    going = false;
    await Promise.all([renewing, ...calling]);
    const perSecond = counts.calls / ((performance.now() - since) / 1_000);
    console.log(
      `two rotations under ${counts.calls} calls on two nodes (${perSecond.toFixed(0)}/s): ${counts.failed} valid ones refused`,
    );
    expect(counts.failed).toBe(0);
    for (const { url } of nodes) expect(await published(url)).toHaveLength(3);

    const fresh = tokens?.accessToken ?? '';
    const dropped = performance.now();
    expect((await novax(`keys rotate ${file} --drop ${kidOf(fresh)} --lead 0`, {})).code).toBe(0);
    await eventually(async () => {
      for (const { url } of nodes) expect((await me(url, fresh)).status).toBe(401);
    });
    console.log(`a dropped key was dead on both nodes after ${(performance.now() - dropped).toFixed(0)} ms`);
    for (const { url } of nodes) {
      expect(await published(url)).not.toContain(kidOf(fresh));
      expect((await me(url, old)).status).toBe(200);
    }
  }, 60_000);

  test('jwks.json shows public halves only, to be kept for five minutes', async () => {
    await using pair = await twoNodes();
    const response = await fetch(`${pair.nodes[0].url}/.well-known/jwks.json`);
    expect(response.headers.get('cache-control')).toBe('public, max-age=300');
    const { d: _private, ...open } = pair.first;
    expect(await response.json()).toEqual({ keys: [{ ...open, use: 'sig' }] });
  });
});
