/** Signing in with an identity provider that lies, about its tokens or about itself. No session is issued wrongly, and nothing inside the network is asked. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OidcStub } from '../kit/oidc-stub.ts';
import { type OidcWorld, startOidcWorld } from '../kit/oidc-world.ts';

/** Realms whose discovery documents lead astray, except for the first. */
const realms = [
  'honest',
  'other-issuer',
  'script-page',
  'no-page',
  'inner-token',
  'inner-keys',
  'inner-person',
  'redirects',
  'no-json',
  'huge',
];

let world: OidcWorld;
/** A server of the inside that no provider may make the API ask. */
let inner: { url: string; hits: () => number; close: () => void };
beforeAll(async () => {
  inner = await innerServer();
  world = await startOidcWorld(realms);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  inner.close();
});

async function innerServer() {
  let hits = 0;
  const server = createServer((_, response) => {
    hits += 1;
    response.end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { url: `http://127.0.0.1:${address.port}`, hits: () => hits, close: () => server.close() };
}

type Claims = Readonly<Record<string, unknown>>;
const now = (): number => Math.floor(Date.now() / 1000);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const changed = (changes: Claims) => (claims: Claims) => world.stub.sign({ ...claims, ...changes });
const unsigned = (alg: string) => async (claims: Claims) => `${encode({ alg, kid: 'stub-key' })}.${encode(claims)}.`;
const hmac = (key: () => string | Buffer) => async (claims: Claims) => {
  const text = `${encode({ alg: 'HS256', kid: 'stub-key' })}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', key()).update(text).digest('base64url')}`;
};
const foreign = (header: Record<string, unknown>) => async (claims: Claims) => {
  const { privateKey } = await generateKeyPair('RS256');
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', ...header }).sign(privateKey);
};

const tokens: Record<string, (claims: Claims) => Promise<string>> = {
  'another nonce': changed({ nonce: 'x'.repeat(43) }),
  'no nonce': changed({ nonce: undefined }),
  'an empty nonce': changed({ nonce: '' }),
  'another audience': changed({ aud: 'another-client' }),
  'no audience': changed({ aud: undefined }),
  'two audiences and no party': (claims) => changed({ aud: [String(claims.aud), 'another-client'] })(claims),
  'two audiences and another party': (claims) =>
    changed({ aud: [String(claims.aud), 'another-client'], azp: 'another-client' })(claims),
  'another issuer': changed({ iss: 'https://evil.test' }),
  'another realm of its server as issuer': (claims) =>
    changed({ iss: String(claims.iss).replace('honest', 'redirects') })(claims),
  'no issuer': changed({ iss: undefined }),
  'an end in the past': (claims) => changed({ exp: now() - 60, iat: now() - 360 })(claims),
  'no end': changed({ exp: undefined }),
  'an end that is text': changed({ exp: '9999999999' }),
  'no time of issue': changed({ iat: undefined }),
  'a beginning in the future': (claims) => changed({ nbf: now() + 600 })(claims),
  'no subject': changed({ sub: undefined }),
  'an empty subject': changed({ sub: '' }),
  'a subject that is a number': changed({ sub: 1 }),
  'a subject that is a list': changed({ sub: ['x'] }),
  'a subject of 300 letters': changed({ sub: 'x'.repeat(300) }),
  'no signature': unsigned('none'),
  'no signature, in capitals': unsigned('NONE'),
  'no signature under the usual name': unsigned('RS256'),
  'a signature by our own client secret': hmac(() => world.stub.realm('honest').clientSecret),
  'a signature by its public key as a secret': hmac(() => Buffer.from(String(world.stub.publicKey['n']), 'base64url')),
  'a signature by an empty secret': hmac(() => ''),
  'a key that is not among its own, under the name of one': foreign({ kid: 'stub-key' }),
  'a key that is not among its own': foreign({ kid: 'another-key' }),
  'a key that is not among its own and has no name': foreign({}),
  'a key in its own header': foreign({ kid: 'stub-key', jwk: { kty: 'RSA', n: 'AQAB', e: 'AQAB' } }),
  'another algorithm than it announced': (claims) => world.stub.sign(claims, 'PS256'),
  'a critical header nobody knows': async (claims) => {
    const [, payload, signature] = (await world.stub.sign(claims)).split('.');
    return `${encode({ alg: 'RS256', kid: 'stub-key', crit: ['x'], x: 1 })}.${payload}.${signature}`;
  },
  'a payload that was changed': async (claims) => {
    const [head, , signature] = (await world.stub.sign(claims)).split('.');
    return `${head}.${encode({ ...claims, sub: 'admin' })}.${signature}`;
  },
  'a signature that was cut': async (claims) => (await world.stub.sign(claims)).slice(0, -8),
  'a payload that is a list': async () => `${encode({ alg: 'RS256', kid: 'stub-key' })}.${encode([])}.AAAA`,
  'an encrypted token': async () => `${encode({ alg: 'dir', enc: 'A256GCM' })}.x.x.x.x`,
  'junk': async () => 'a.b.c',
  'nothing': async () => '',
};

test.each(Object.entries(tokens))('a provider that lies in its ID token (%s) signs nobody in', async (_, forge) => {
  const { flow, authorizationUrl, callback } = await world.ready();
  world.stub.answer(await forge(world.stub.claims(authorizationUrl)));
  await world.refusedBy(() => world.finish(flow, callback));
});

const ordinary = { access_token: 'opaque', token_type: 'Bearer', expires_in: 60 };
test.each([
  ['no ID token', { body: ordinary }, 'UNAUTHENTICATED'],
  ['a list', { body: [] }, 'UNAUTHENTICATED'],
  ['an ID token that is a list', { body: { ...ordinary, id_token: ['x'] } }, 'UNAUTHENTICATED'],
  ['no such code', { status: 400, body: { error: 'invalid_grant' } }, 'UNAUTHENTICATED'],
  ['no such client', { status: 401, body: { error: 'invalid_client' } }, 'DEPENDENCY_UNAVAILABLE'],
  ['a failure', { status: 500, body: 'sorry' }, 'DEPENDENCY_UNAVAILABLE'],
  ['two megabytes', { body: { ...ordinary, pad: 'x'.repeat(2_000_000) } }, 'DEPENDENCY_UNAVAILABLE'],
] as const)('a provider that answers %s in place of tokens signs nobody in', async (_, given, code) => {
  const { flow, callback } = await world.ready();
  world.stub.answer(given);
  await world.refusedBy(() => world.finish(flow, callback), code);
});

test('a provider that sends us elsewhere from its token endpoint reaches nothing', async () => {
  const before = inner.hits();
  for (const status of [302, 307, 308]) {
    const { flow, callback } = await world.ready();
    world.stub.answer({ status, headers: { location: inner.url } });
    await world.refusedBy(() => world.finish(flow, callback), 'DEPENDENCY_UNAVAILABLE');
  }
  expect(inner.hits()).toBe(before);
});

test.each<[string, string, () => Parameters<OidcStub['discovery']['set']>[1]]>([
  ['names another issuer', 'other-issuer', () => ({ issuer: world.stub.realm('honest').issuer })],
  ['makes a script its sign-in page', 'script-page', () => ({ authorization_endpoint: 'javascript:alert(1)//' })],
  ['has no sign-in page', 'no-page', () => ({ authorization_endpoint: undefined })],
  ['leads elsewhere', 'redirects', () => () => ({ status: 302, headers: { location: inner.url } })],
  ['is no JSON', 'no-json', () => () => ({ body: '<html>', headers: { 'content-type': 'text/html' } })],
  ['is two megabytes long', 'huge', () => ({ pad: 'x'.repeat(2_000_000) })],
])('a provider whose discovery document %s begins nothing', async (_, realm, lie) => {
  const before = inner.hits();
  world.stub.discovery.set(realm, lie());
  expect(await world.start(realm)).toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  expect(inner.hits()).toBe(before);
  // Nothing of it is kept: once mended, it serves.
  world.stub.discovery.delete(realm);
  const { flow, callback } = await world.ready(realm);
  expect((await world.finish(flow, callback)).status).toBe(200);
});

test.each<[string, string, () => Readonly<Record<string, unknown>>]>([
  ['token endpoint', 'inner-token', () => ({ token_endpoint: `${inner.url}/token` })],
  ['key set', 'inner-keys', () => ({ jwks_uri: `${inner.url}/jwks` })],
  ['UserInfo endpoint', 'inner-person', () => ({ userinfo_endpoint: `${inner.url}/me` })],
])('a provider whose %s lies inside our network reaches nothing there', async (_, realm, lie) => {
  const before = inner.hits();
  world.stub.discovery.set(realm, lie());
  const { flow, authorizationUrl, callback } = await world.ready(realm);
  world.stub.answer(await world.stub.sign({ ...world.stub.claims(authorizationUrl), email: undefined }));
  await world.refusedBy(() => world.finish(flow, callback), 'DEPENDENCY_UNAVAILABLE');
  expect(inner.hits()).toBe(before);
});
