/** What stands around every answer: headers for browsers, origins that may read, addresses that are believed, and requests meant to confuse. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { bodyBytesMax } from '@novax/contracts/limits';
import { pageSizeMax } from '@novax/contracts/page';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newPerson, type Person } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { answerOf, call } from '../kit/call.ts';
import { expectTyped, send as sendRaw, type Sent } from '../kit/raw.ts';

let api: TestApi;
let person: Person;
const origins = ['https://app.example.com', 'http://localhost:5173'];
beforeAll(async () => {
  api = await startTestApi({ env: { CORS_ORIGINS: origins } });
  person = await newPerson(api);
});
afterAll(() => api[Symbol.asyncDispose]());

const send = (sent: Omit<Sent, 'url' | 'authorization'>) =>
  sendRaw({ url: api.url, authorization: person.authorization, ...sent });

describe('headers of every answer (ASVS 5.0 3.4)', () => {
  test.each([
    ['GET', '/', 302],
    ['GET', '/docs', 200],
    ['GET', '/openapi.json', 200],
    ['GET', '/healthz', 200],
    ['GET', '/readyz', 200],
    ['GET', '/.well-known/jwks.json', 200],
    ['GET', '/trpc/users.me', 200],
    ['GET', '/trpc/users.me?batch=1', 200],
    ['GET', '/trpc/nothing', 404],
    ['GET', '/api/v1/users/me', 200],
    ['GET', '/api/v1/nothing', 404],
    ['GET', '/api/v1/documents/%E0%A4%A', 400],
    ['GET', '/nothing', 404],
    ['HEAD', '/docs', 200],
    ['DELETE', '/trpc/users.me', 405],
  ])('%s %s', async (method, path, status) => {
    const { headers, ...answer } = await send({ method, path });
    expect(answer.status, answer.text.slice(0, 200)).toBe(status);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
      'content-security-policy': expect.stringMatching(/^default-src 'none'.*base-uri 'none'.*frame-ancestors 'none'/),
      'cache-control': path === '/.well-known/jwks.json' ? 'public, max-age=300' : 'no-store',
    });
    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).not.toHaveProperty('server');
    expect(headers).not.toHaveProperty('set-cookie');
    // Without TLS browsers ignore it, and saying it would promise what is not so.
    expect(headers).not.toHaveProperty('strict-transport-security');
  });

  test('said to be reached by https, the API tells browsers never to come without', async () => {
    await using behind = await startTestApi({ env: { PUBLIC_URL: 'https://api.example.com' } });
    const { headers } = await fetch(`${behind.url}/healthz`);
    expect(headers.get('strict-transport-security')).toBe('max-age=63072000; includeSubDomains');
  });

  test("the page's policy allows exactly its script and its style, and the page needs no more", async () => {
    const response = await fetch(`${api.url}/docs`);
    const page = await response.text();
    const policy = response.headers.get('content-security-policy') ?? '';
    const hashes = (tag: string): string[] =>
      [...page.matchAll(new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`, 'g'))].map(
        ([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`,
      );
    expect(policy).toContain(`script-src ${hashes('script').join(' ')};`);
    expect(policy).toContain(`style-src ${hashes('style').join(' ')};`);
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    const markup = page.replaceAll(/<(script|style)[^>]*>[^]*?<\/\1>/g, '');
    expect(markup).not.toMatch(/\son\w+=|\sstyle=|<iframe|<object|src=|href="(?!\/|data:)/);
    const script = /<script>([^]*)<\/script>/.exec(page)?.[1] ?? '';
    expect(script).not.toMatch(/\beval\(|new Function|innerHTML|\.style\b|cssText/);
  });
});

describe('origins', () => {
  test.each(origins)('%s may read answers and errors, without cookies', async (origin) => {
    for (const path of ['/trpc/users.me', '/trpc/nothing', '/api/v1/users/me']) {
      const { headers } = await send({ method: 'GET', path, headers: { origin } });
      expect(headers).toMatchObject({ 'access-control-allow-origin': origin, 'vary': 'Origin' });
      expect(headers).not.toHaveProperty('access-control-allow-credentials');
    }
    const preflight = await send({ method: 'OPTIONS', path: '/trpc/users.me', headers: { origin } });
    expect(preflight).toMatchObject({ status: 204, headers: { 'access-control-max-age': '600' } });
    expect(preflight.headers['access-control-allow-headers']).not.toContain('*');
  });

  test.each([
    'null',
    '*',
    '',
    'https://app.example.com.evil.test',
    'https://evil-app.example.com',
    'https://evilapp.example.com',
    'https://app.example.com:8443',
    'http://app.example.com',
    'https://APP.example.com',
    'https://app.example.com/',
    'https://app.example.com, https://evil.test',
    'https://app.example.com%60.evil.test',
    'https://user@app.example.com',
    'https://appxexample.com',
    'http://localhost:51730',
    'file://',
  ])('%j may read nothing, and its preflight is no permission', async (origin) => {
    for (const method of ['GET', 'OPTIONS']) {
      const { headers, status } = await send({ method, path: '/trpc/users.me', headers: { origin } });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
      expect(headers['vary']).toBe('Origin');
      if (method === 'OPTIONS') expect(status).toBe(405);
    }
  });
});

describe('the address that is recorded', () => {
  /** Where a sign-in says it came from. */
  async function recorded(url: string, forwarded: string | string[] | undefined): Promise<string | null> {
    const login = await fetch(`${url}/trpc/auth.login`, {
      method: 'POST',
      headers: [
        ['content-type', 'application/json'],
        ...[forwarded ?? []].flat().map((value): [string, string] => ['x-forwarded-for', value]),
        ...['forwarded', 'x-real-ip', 'cf-connecting-ip', 'true-client-ip', 'x-client-ip'].map(
          (name): [string, string] => [name, name === 'forwarded' ? 'for=6.6.6.6' : '6.6.6.6'],
        ),
      ],
      body: JSON.stringify({ email: person.email, password: person.password }),
    });
    // Both answers are the contract's own, checked by the API before they were sent.
    const { accessToken } = (await answerOf(login)).data as { accessToken: string };
    const listed = await call(url, 'auth.listSessions', { input: {}, authorization: `Bearer ${accessToken}` });
    const { items } = listed.data as { items: { current: boolean; ipAddress: string | null }[] };
    return items.find(({ current }) => current)?.ipAddress ?? null;
  }

  test('is that of the connection when no proxy is trusted, whatever is claimed', async () => {
    for (const claim of [undefined, '6.6.6.6', '6.6.6.6, 127.0.0.1', '::1', ['6.6.6.6', '7.7.7.7'], 'x'.repeat(4_000)])
      expect(await recorded(api.url, claim)).toBe('127.0.0.1');
  });

  test.each([
    [1, '198.51.100.7', '198.51.100.7'],
    [1, '6.6.6.6, 198.51.100.7', '198.51.100.7'],
    [1, ['6.6.6.6', '198.51.100.7'], '198.51.100.7'],
    [1, '198.51.100.7:4711', '198.51.100.7'],
    [1, '[2001:db8::7]:4711', '2001:db8::7'],
    [1, "'; drop table users --", '127.0.0.1'],
    [1, undefined, '127.0.0.1'],
    [2, '6.6.6.6, 198.51.100.7, 203.0.113.9', '198.51.100.7'],
    [2, '6.6.6.6, 7.7.7.7, 198.51.100.7, 203.0.113.9', '198.51.100.7'],
  ] as const)(
    'with %i trusted hops and %j it is the one that the outermost of them saw: %s',
    async (hops, claim, seen) => {
      await using behind = await startTestApi({
        env: { TRUST_PROXY: hops, DATABASE_URL: api.env.DATABASE_URL, JWT_PRIVATE_KEYS: api.env.JWT_PRIVATE_KEYS },
      });
      expect(await recorded(behind.url, typeof claim === 'object' ? [...claim] : claim)).toBe(seen);
    },
  );
});

describe('caps', () => {
  test('a body of exactly the most bytes is read, one more is not', async () => {
    const body = (length: number): string => `{"refreshToken":"${'x'.repeat(length - 19)}"}`;
    expect(Buffer.byteLength(body(bodyBytesMax))).toBe(bodyBytesMax);
    for (const path of ['/trpc/auth.refresh', '/api/v1/auth/refresh']) {
      expectTyped(await send({ method: 'POST', path, body: body(bodyBytesMax) }), ['VALIDATION_FAILED']);
      expectTyped(await send({ method: 'POST', path, body: body(bodyBytesMax + 1) }), ['PAYLOAD_TOO_LARGE']);
    }
  });

  test('every list gives a page of the most rows and refuses one more', async () => {
    for (const [limit, status] of [
      [pageSizeMax, 200],
      [pageSizeMax + 1, 400],
    ] as const)
      for (const path of [`/api/v1/auth/sessions?limit=${limit}`, `/trpc/auth.listSessions?input={"limit":${limit}}`])
        expect((await send({ method: 'GET', path: path.replaceAll('"', '%22') })).status).toBe(status);
  });

  test('a path or header too long for a server is refused before it is looked at', async () => {
    const answer = await fetch(`${api.url}/trpc/${'a'.repeat(20_000)}`);
    expect(answer.status).toBe(431);
  });
});

describe('requests meant to confuse', () => {
  /** Sends bytes as they are and answers all that came back until the connection was closed or fell silent. */
  async function exchange(bytes: string): Promise<string> {
    const { hostname, port } = new URL(api.url);
    const socket = connectTcp(Number(port), hostname);
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.setTimeout(1_500, () => socket.destroy());
    socket.write(Buffer.from(bytes, 'latin1'));
    await once(socket, 'close');
    return heard;
  }
  const statuses = (heard: string): number[] =>
    [...heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  const smuggled = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
  const post = (headers: string, body: string): string =>
    `POST /healthz HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;

  test('two requests in a row are both answered: what is behind another would be heard of below', async () => {
    expect(statuses(await exchange(post('Content-Length: 2', `{}${smuggled}`)))).toEqual([200, 302]);
  });

  test.each<[string, string]>([
    [
      'a length and chunks',
      post(`Content-Length: ${5 + smuggled.length}\r\nTransfer-Encoding: chunked`, `0\r\n\r\n${smuggled}`),
    ],
    [
      'chunks and a length',
      post(`Transfer-Encoding: chunked\r\nContent-Length: 4`, `5\r\nhello\r\n0\r\n\r\n${smuggled}`),
    ],
    ['two lengths that differ', post('Content-Length: 0\r\nContent-Length: 42', smuggled)],
    ['a list of lengths', post('Content-Length: 0, 42', smuggled)],
    ['a negative length', post('Content-Length: -1', smuggled)],
    ['a length with a sign', post('Content-Length: +5', `hello${smuggled}`)],
    ['a length in hex', post('Content-Length: 0x5', `hello${smuggled}`)],
    ['a length beyond numbers', post(`Content-Length: ${'9'.repeat(30)}`, smuggled)],
    ['a coding nobody knows', post('Transfer-Encoding: xchunked', smuggled)],
    ['chunked, then another coding', post('Transfer-Encoding: chunked, identity', `0\r\n\r\n${smuggled}`)],
    ['a space before the colon', post('Transfer-Encoding : chunked', `0\r\n\r\n${smuggled}`)],
    ['a header without a colon', post('Transfer-Encoding', smuggled)],
    ['a header folded over two lines', post('X: a\r\n b', smuggled)],
    ['a NUL in a header', post('X: a\0b', smuggled)],
    ['a bare carriage return', post('X: a\rTransfer-Encoding: chunked', smuggled)],
    ['a chunk size that is none', post('Transfer-Encoding: chunked', `zz\r\n${smuggled}`)],
    ['a chunk size beyond numbers', post('Transfer-Encoding: chunked', `${'f'.repeat(20)}\r\n${smuggled}`)],
    ['a chunk longer than it says', post('Transfer-Encoding: chunked', `1\r\nhello\r\n0\r\n\r\n${smuggled}`)],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['a preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a version that is none', 'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['a method that is none', 'G?T /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('%s: nothing behind it is answered', async (_, bytes) => {
    const seen = statuses(await exchange(bytes));
    // What was well-formed up to there may have been answered before the rest was seen to be none.
    for (const status of seen) expect([200, 400, 405, 413, 417, 431, 505]).toContain(status);
    expect(seen.filter((status) => status === 200).length).toBeLessThanOrEqual(1);
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  });

  test.each(['TRACE', 'TRACK', 'PROPFIND', 'MKCOL', 'LOCK', 'PURGE', 'SEARCH', 'M-SEARCH', 'SUBSCRIBE', 'LINK'])(
    '%s is refused, typed, and repeats nothing',
    async (method) => {
      for (const path of ['/trpc/users.me', '/trpc/users.me?batch=1', '/api/v1/users/me', '/docs', '/']) {
        const heard = await exchange(
          `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-Secret: hush\r\nConnection: close\r\n\r\n`,
        );
        expect(statuses(heard), heard.slice(0, 200)).toEqual([method === 'TRACK' ? 400 : 405]);
        expect(heard).not.toContain('hush');
      }
    },
  );

  test.each([
    'http://evil.test/trpc/users.me',
    '//evil.test/docs',
    '/trpc/users.me#x',
    '*',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/trpc/..;/docs',
  ])('the target %j leads nowhere else', async (target) => {
    const heard = await exchange(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    for (const status of statuses(heard)) expect([400, 401, 404]).toContain(status);
    expect(heard).not.toMatch(/root:|location:/i);
  });

  test('an expectation we do not meet is refused, the usual one is met', async () => {
    expect(statuses(await exchange(post('Expect: the-moon\r\nConnection: close\r\nContent-Length: 2', '{}')))).toEqual([
      417,
    ]);
    const usual = await exchange(
      `POST /trpc/auth.refresh HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
    );
    expect(statuses(usual)).toEqual([100, 400]);
  });

  test.each([
    '/trpc/auth.listSessions?input={"__proto__":{"limit":1}}',
    '/trpc/auth.listSessions?input={"constructor":{"prototype":{"limit":1}}}',
    '/trpc/auth.listSessions?batch=1&input={"__proto__":{"limit":1}}',
    '/api/v1/auth/sessions?__proto__[limit]=1',
    '/api/v1/auth/sessions?constructor[prototype][limit]=1',
    '/api/v1/auth/sessions?__proto__=1&toString=2&hasOwnProperty=3',
  ])('%s pollutes nothing', async (path) => {
    const answer = await send({ method: 'GET', path: path.replaceAll('"', '%22') });
    if (answer.status !== 200) expectTyped(answer, ['VALIDATION_FAILED']);
    expect(Reflect.get({}, 'limit')).toBeUndefined();
    expect(typeof {}.toString).toBe('function');
  });

  test('ten thousand levels, a NUL and halves of characters in a query are refused as what they are', async () => {
    const nested = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
    for (const input of [
      nested,
      '%22%00%22',
      '%7B%22cursor%22:%22a%00b%22%7D',
      '%7B%22cursor%22:%22%5Cud800%22%7D',
      '%ED%A0%80',
      '%FF%FE',
    ]) {
      const path = '/trpc/auth.listSessions';
      expectTyped(await send({ method: 'GET', path: `${path}?input=${input}` }), ['VALIDATION_FAILED']);
      // In a batch, what is no object names an input for none of its calls.
      const batch = await send({ method: 'GET', path: `${path}?batch=1&input=${input}` });
      if (batch.status !== 200) expectTyped(batch, ['VALIDATION_FAILED']);
    }
    for (const value of ['%00', '%ED%A0%80', '%FF'])
      expectTyped(await send({ method: 'GET', path: `/api/v1/auth/sessions?cursor=${value}` }), ['VALIDATION_FAILED']);
  });
});
