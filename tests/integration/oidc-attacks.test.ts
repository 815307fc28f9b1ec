/** Signing in with an identity provider when a browser, or a thief of what passes through it, cheats. No session is issued wrongly. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson, unique } from '../kit/actors.ts';
import { redirectUri, startOidcProvider, type TestOidcProvider } from '../kit/oidc-provider.ts';
import { type Flow, type OidcWorld, startOidcWorld } from '../kit/oidc-world.ts';

let provider: TestOidcProvider;
let world: OidcWorld;
beforeAll(async () => {
  provider = await startOidcProvider('real');
  world = await startOidcWorld(['honest'], [provider.settings]);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

/** Somebody signed in at the real provider, on the way back. */
async function atProvider(): Promise<Flow & { readonly callback: URL }> {
  const begun = await world.begin('real');
  const sub = unique('sub');
  provider.people.set(sub, { email: `${sub}@mail.test`, email_verified: true });
  return { ...begun, callback: new URL(await provider.authorize(begun.authorizationUrl, sub)) };
}

test('what these attacks are made from succeeds as it is, with what providers add to it', async () => {
  const one = await world.ready();
  one.callback.searchParams.set('session_state', 'x');
  expect((await world.finish(one.flow, one.callback)).status).toBe(200);
  const two = await atProvider();
  expect((await world.finish(two.flow, two.callback)).status).toBe(200);
});

test('every sign-in asks for a code, with a challenge, state and nonce of its own, and proves the challenge afterwards', async () => {
  const seen = new Set<string>();
  for (let count = 0; count < 5; count++) {
    const { flow, authorizationUrl, callback } = await world.ready();
    const asked = new URL(authorizationUrl).searchParams;
    const { clientId, clientSecret } = world.stub.realm('honest');
    expect(Object.fromEntries(asked)).toEqual({
      response_type: 'code',
      client_id: clientId,
      redirect_uri: redirectUri,
      scope: 'openid email profile',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(authorizationUrl).not.toContain(clientSecret);
    for (const name of ['code_challenge', 'state', 'nonce']) seen.add(asked.get(name) ?? '');
    seen.add(flow);
    expect((await world.finish(flow, callback)).status).toBe(200);
    const proof = world.stub.exchanges.at(-1);
    expect(proof?.get('redirect_uri')).toBe(redirectUri);
    const verifier = proof?.get('code_verifier') ?? '';
    expect(createHash('sha256').update(verifier).digest('base64url')).toBe(asked.get('code_challenge'));
    seen.add(verifier);
  }
  expect(seen.size).toBe(25);
});

test.each([
  ['taken out', (url: URL) => url.searchParams.delete('code_challenge')],
  ['plain', (url: URL) => url.searchParams.set('code_challenge_method', 'plain')],
  [
    'taken out with its method',
    (url: URL) => ['', '_method'].forEach((end) => url.searchParams.delete(`code_challenge${end}`)),
  ],
])('a challenge that is %s in the browser ends at the provider', async (_, change) => {
  const { flow, authorizationUrl } = await world.begin('real');
  const url = new URL(authorizationUrl);
  change(url);
  const callback = await provider.authorize(url.href, 'anybody');
  expect(new URL(callback).searchParams.get('error')).toBe('invalid_request');
  await world.refusedBy(() => world.finish(flow, callback));
});

test('a challenge of somebody else in the browser does not fit our verifier', async () => {
  const { flow, authorizationUrl } = await world.begin('real');
  const sub = unique('sub');
  provider.people.set(sub, { email: `${sub}@mail.test`, email_verified: true });
  const url = new URL(authorizationUrl);
  url.searchParams.set('code_challenge', createHash('sha256').update('theirs').digest('base64url'));
  const callback = await provider.authorize(url.href, sub);
  await world.refusedBy(() => world.finish(flow, callback));
});

test('of 50 uses of one flow at once exactly one succeeds, and none does later', async () => {
  const { flow, callback } = await world.ready();
  const before = await world.sessions();
  const answers = await Promise.all(Array.from({ length: 50 }, () => world.finish(flow, callback)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ code }) => code === 'UNAUTHENTICATED')).toHaveLength(49);
  expect(await world.sessions()).toBe(before + 1);
  await world.refusedBy(() => world.finish(flow, callback));
});

test('a flow is used up by an attempt that fails', async () => {
  const { flow, callback } = await world.ready();
  const wrong = new URL(callback);
  wrong.searchParams.set('state', 'x');
  await world.refusedBy(() => world.finish(flow, wrong));
  await world.refusedBy(() => world.finish(flow, callback));
});

test("another browser's answer does not fit, and is not used up by the attempt", async () => {
  const [mine, theirs] = [await atProvider(), await atProvider()];
  await world.refusedBy(() => world.finish(mine.flow, theirs.callback));
  expect((await world.finish(theirs.flow, theirs.callback)).status).toBe(200);
});

test('a code that was stolen from another browser, put into an answer of one’s own, is refused by its challenge', async () => {
  const [mine, theirs] = [await atProvider(), await atProvider()];
  const mixed = new URL(mine.callback);
  mixed.searchParams.set('code', theirs.callback.searchParams.get('code') ?? '');
  await world.refusedBy(() => world.finish(mine.flow, mixed));
});

test('a code that was used is refused in a flow of its own', async () => {
  const used = await atProvider();
  expect((await world.finish(used.flow, used.callback)).status).toBe(200);
  const next = await atProvider();
  next.callback.searchParams.set('code', used.callback.searchParams.get('code') ?? '');
  await world.refusedBy(() => world.finish(next.flow, next.callback));
});

test('an answer of one provider is refused in a flow with another', async () => {
  const [real, lie] = [await world.begin('real'), await world.ready()];
  const state = new URL(real.authorizationUrl).searchParams.get('state') ?? '';
  lie.callback.searchParams.set('state', state);
  await world.refusedBy(() => world.finish(real.flow, lie.callback));
  expect(world.stub.exchanges.some((exchange) => exchange.get('code') === lie.callback.searchParams.get('code'))).toBe(
    false,
  );
});

test('expired, unknown and foreign flow secrets are refused', async () => {
  const { flow, callback } = await world.ready();
  await world.admin.query(`update oauth_flows set expires_at = now() - interval '1 second'`);
  await world.refusedBy(() => world.finish(flow, callback));
  await world.refusedBy(() => world.finish('x'.repeat(43), callback));
  const { flow: next, callback: right } = await world.ready();
  for (const secret of [
    next.toLowerCase(),
    `${next}=`,
    ` ${next}`,
    next.slice(0, -1),
    right.searchParams.get('state') ?? '',
  ])
    await world.refusedBy(() => world.finish(secret, right));
});

test('a person who declines at the provider is not signed in', async () => {
  const { flow, authorizationUrl } = await world.begin('real');
  const callback = await provider.authorize(authorizationUrl, null);
  expect(new URL(callback).searchParams.get('error')).toBe('access_denied');
  await world.refusedBy(() => world.finish(flow, callback));
});

test('a flow whose row was changed behind our back opens nothing', async () => {
  const victim = await newPerson(world.api);
  const turned = await world.ready();
  await world.admin.query('update oauth_flows set link_user_id = $1', [victim.id]);
  await world.refusedBy(() => world.finish(turned.flow, turned.callback), 'INTERNAL');
  const [one, two] = [await world.ready(), await world.ready()];
  await world.admin.query(
    `update oauth_flows f set secrets_ciphertext = o.secrets_ciphertext from oauth_flows o
      where f.flow_hash = sha256($1) and o.flow_hash = sha256($2)`,
    [Buffer.from(one.flow), Buffer.from(two.flow)],
  );
  await world.refusedBy(() => world.finish(one.flow, two.callback), 'INTERNAL');
});

const parameter = (name: string, value: string | null) => (url: URL) => {
  if (value === null) url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  return url.href;
};
const again = (name: string, value?: string) => (url: URL) =>
  `${url.href}&${name}=${value ?? url.searchParams.get(name)}`;
const at = (base: string) => (url: URL) => `${base}${url.search}`;

/** Callback URLs that are not quite the one we asked for; the stub would accept every code in them. */
const mutants: Record<string, (url: URL) => string> = {
  'without state': parameter('state', null),
  'with an empty state': parameter('state', ''),
  'with another state': parameter('state', 'x'.repeat(43)),
  'with its state in other letters': (url) =>
    parameter('state', (url.searchParams.get('state') ?? '').toUpperCase())(url),
  'with its state cut': (url) => parameter('state', (url.searchParams.get('state') ?? '').slice(0, -1))(url),
  'with its state and a blank': (url) => parameter('state', `${url.searchParams.get('state')} `)(url),
  'with the nonce as state': () => at(redirectUri)(new URL('https://x.test/?code=x&state=nonce')),
  'with its state twice': again('state'),
  'with another state behind its own': again('state', 'x'),
  'with another state before its own': (url) => `${redirectUri}?state=x&${url.search.slice(1)}`,
  'with its state in an array': (url) => url.href.replace('state=', 'state[]='),
  'without iss': parameter('iss', null),
  'with an empty iss': parameter('iss', ''),
  'with another iss': parameter('iss', 'https://evil.test'),
  'with its iss and a slash': (url) => parameter('iss', `${url.searchParams.get('iss')}/`)(url),
  'with its iss twice': again('iss'),
  'without a code': parameter('code', null),
  'with an empty code': parameter('code', ''),
  'with its code twice': again('code'),
  'with another code behind its own': again('code', 'x'),
  'with an error beside the code': parameter('error', 'access_denied'),
  'with an error in place of the code': (url) =>
    parameter('error', 'server_error')(new URL(parameter('code', null)(url))),
  'with a token of its own': parameter('id_token', 'a.b.c'),
  'with an access token': parameter('token', 'x'),
  'with an answer packed as a token': parameter('response', 'a.b.c'),
  'in a fragment': (url) => `${redirectUri}#${url.search.slice(1)}`,
  'with a fragment behind': (url) => `${url.href}#x`,
  'with an empty fragment behind': (url) => `${url.href}#`,
  'without a query': () => redirectUri,
  'with an empty query': () => `${redirectUri}?`,
  'at another host': at('https://evil.test/signed-in'),
  'at a host that ends alike': at('https://evil-app.example.test/signed-in'),
  'at a host that begins alike': at('https://app.example.test.evil.test/signed-in'),
  'at a host behind credentials': at('https://app.example.test@evil.test/signed-in'),
  'with credentials': at('https://user:password@app.example.test/signed-in'),
  'behind a backslash': at('https://evil.test\\@app.example.test/signed-in'),
  'at http': at('http://app.example.test/signed-in'),
  'at another port': at('https://app.example.test:8443/signed-in'),
  'at the usual port, spelled out': at('https://app.example.test:443/signed-in'),
  'at a host in capitals': at('https://APP.example.test/signed-in'),
  'at a host with a final dot': at('https://app.example.test./signed-in'),
  'at another path': at('https://app.example.test/elsewhere'),
  'at a longer path': at(`${redirectUri}/x`),
  'at a path with a slash behind': at(`${redirectUri}/`),
  'at a path in capitals': at('https://app.example.test/Signed-In'),
  'at a path with steps': at('https://app.example.test/x/../signed-in'),
  'at a path with an escape': at('https://app.example.test/%73igned-in'),
  'at a path with two slashes': at('https://app.example.test//signed-in'),
  'with a parameter of the path': at(`${redirectUri};x=y`),
  'with a blank before': (url) => ` ${url.href}`,
  'with a blank behind': (url) => `${url.href} `,
  'with a line break in its query': (url) => url.href.replace('state=', 'st\nate='),
  'with a letter beyond ASCII': (url) => `${url.href}&x=é`,
  'with a line break inside': (url) => url.href.replace('/signed', '/\nsigned'),
  'without a host': (url) => `/signed-in${url.search}`,
  'as a query alone': (url) => url.search,
  'as a script': (url) => `javascript:${url.href}`,
  'behind two question marks': (url) => url.href.replace('?', '??'),
  'with its parameters escaped': (url) => `${redirectUri}?${encodeURIComponent(url.search.slice(1))}`,
  'parted by semicolons': (url) => url.href.replaceAll('&', ';'),
  'in capitals': (url) => url.href.replace('code=', 'CODE=').replace('state=', 'STATE='),
};

test.each(Object.entries(mutants))('a callback %s signs nobody in', async (_, mutate) => {
  const { flow, callback } = await world.ready();
  const exchanged = world.stub.exchanges.length;
  await world.refusedBy(() => world.finish(flow, mutate(callback)));
  expect(world.stub.exchanges.length, 'the code was not even shown to the provider').toBe(exchanged);
});
