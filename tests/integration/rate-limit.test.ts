/** Rate limits of the chain: by address before anybody is authenticated, by person and organization after. */
import { randomInt } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMember, newPerson as signUp, type Person, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { eventually } from '../kit/eventually.ts';
import { makeProject } from '../kit/factories.ts';
import { servers } from '../kit/servers.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';

let api: TestApi;
beforeAll(async () => {
  // Behind one trusted proxy a test can have addresses of its own, which no other file's calls count against.
  api = await startTestApi({
    rateLimits: { 'read': 5, 'address': 12, 'organization': 8, 'organizations.list': 500, 'projects.list': 100 },
    env: { TRUST_PROXY: 1, CORS_ORIGINS: ['https://app.example.test'] },
  });
});
afterAll(() => api[Symbol.asyncDispose]());

const newAddress = (): string => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;

/** Somebody who calls from an address of their own each time. */
const newPerson = ({ url }: Pick<TestApi, 'url'>): Promise<Person> =>
  signUp({
    url,
    fetch: (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set('x-forwarded-for', newAddress());
      return fetch(input, { ...init, headers });
    },
  });

interface Sent {
  readonly 'authorization'?: string;
  readonly 'x-forwarded-for': string;
}

const get = (path: string, headers: Sent): Promise<Response> => fetch(`${api.url}${path}`, { headers: { ...headers } });

/** Statuses of so many calls, one after another. */
async function statuses(count: number, headers: Sent): Promise<number[]> {
  const found: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const response = await get('/trpc/users.me', headers);
    if (response.status === 429) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await response.json()).toMatchObject({ error: { data: { appCode: 'RATE_LIMITED', retryable: true } } });
    }
    found.push(response.status);
  }
  return found;
}

describe('people and addresses', () => {
  test('a person is limited wherever they call from, and learns when to come back', async () => {
    const { authorization } = await newPerson(api);
    const first = await statuses(4, { authorization, 'x-forwarded-for': newAddress() });
    const second = await statuses(3, { authorization, 'x-forwarded-for': newAddress() });
    expect([...first, ...second]).toEqual([200, 200, 200, 200, 200, 429, 429]);
  });

  test('forged tokens of one address are not even looked at beyond its limit, and other addresses are served', async () => {
    const address = newAddress();
    const forged = await statuses(14, { 'authorization': 'Bearer a.b.c', 'x-forwarded-for': address });
    expect(forged).toEqual([...Array.from({ length: 12 }, () => 401), 429, 429]);
    const { authorization } = await newPerson(api);
    expect(await statuses(1, { authorization, 'x-forwarded-for': address })).toEqual([429]);
    expect(await statuses(1, { authorization, 'x-forwarded-for': newAddress() })).toEqual([200]);
  });

  test('nobody widens a limit with addresses that they wrote into X-Forwarded-For themselves', async () => {
    const address = newAddress();
    const found: number[] = [];
    for (let n = 0; n < 14; n += 1)
      found.push(...(await statuses(1, { 'x-forwarded-for': `${newAddress()}, ${newAddress()}, ${address}` })));
    expect(found).toEqual([...Array.from({ length: 12 }, () => 401), 429, 429]);
  });

  test('the addresses of one IPv6 subscriber share a limit, those of the next do not', async () => {
    const site = `2001:db8:${randomInt(0x10000).toString(16)}:${randomInt(1, 0x10000).toString(16)}`;
    const found: number[] = [];
    for (let n = 0; n < 13; n += 1)
      found.push(...(await statuses(1, { 'x-forwarded-for': `${site}:${n.toString(16)}::${n + 1}` })));
    expect(found).toEqual([...Array.from({ length: 12 }, () => 401), 429]);
    expect(await statuses(1, { 'x-forwarded-for': `2001:db8:ffff:${randomInt(0x10000).toString(16)}::1` })).toEqual([
      401,
    ]);
  });

  test('beyond its limit an address has no body read, and no unknown name looked up', async () => {
    const address = newAddress();
    const headers = { 'x-forwarded-for': address };
    const unknown = [];
    for (let n = 0; n < 13; n += 1)
      unknown.push((await get(n % 2 === 0 ? '/trpc/no.such' : '/api/v1/none', headers)).status);
    expect(unknown).toEqual([...Array.from({ length: 12 }, () => 404), 429]);
    const broken = await fetch(`${api.url}/api/v1/auth/login`, {
      method: 'POST',
      body: '{',
      headers: { ...headers, 'content-type': 'application/json' },
    });
    expect(broken.status).toBe(429);
  });

  test('of 500 calls at once exactly as many are admitted as a limit allows', async () => {
    const { authorization } = await newPerson(api);
    const calls = Array.from({ length: 500 }, () =>
      get('/trpc/users.me', { authorization, 'x-forwarded-for': newAddress() }),
    );
    const found = (await Promise.all(calls)).map(({ status }) => status);
    expect(found.filter((status) => status === 200)).toHaveLength(5);
    expect(found.filter((status) => status === 429)).toHaveLength(495);
  });
});

describe('organizations', () => {
  /** An organization of an owner, a second member and an outsider. */
  async function organization() {
    const [owner, member, outsider] = await Promise.all([newPerson(api), newPerson(api), newPerson(api)]);
    const { id } = await owner.client.organizations.create.mutate({ name: 'Limited', slug: unique('limited') });
    await addMember(api, { organizationId: id, userId: member.id, role: 'member' });
    const path = `/trpc/projects.list?input=${encodeURIComponent(JSON.stringify({ organizationId: id }))}`;
    const list = async ({ authorization }: { authorization: string }): Promise<number> => {
      const response = await get(path, { authorization, 'x-forwarded-for': newAddress() });
      return response.status;
    };
    return { id, owner, member, outsider, list };
  }

  test('an organization has one limit for all of its people together', async () => {
    const { owner, member, list } = await organization();
    const found = [];
    for (let n = 0; n < 10; n += 1) found.push(await list(n % 2 === 0 ? owner : member));
    expect(found).toEqual([...Array.from({ length: 8 }, () => 200), 429, 429]);
  });

  test('an outsider who names an organization uses up nothing of its limit', async () => {
    const { owner, outsider, list } = await organization();
    for (let n = 0; n < 20; n += 1) expect(await list(outsider)).not.toBe(429);
    expect(await list(owner)).toBe(200);
  });

  test('calls that only the database can place count as well', async () => {
    const { id, owner, list } = await organization();
    const { id: projectId } = await makeProject(owner.client, { organizationId: id });
    for (let n = 0; n < 7; n += 1) await owner.client.projects.update.mutate({ id: projectId, name: unique('p') });
    expect(await list(owner)).toBe(429);
  });
});

describe('what an answer says of its limit', () => {
  const limitOf = ({ headers }: Response): (string | null)[] =>
    ['limit', 'remaining'].map((name) => headers.get(`ratelimit-${name}`));

  test.each([
    ['thin', '/trpc/users.me'],
    ['batch', '/trpc/users.me?batch=1'],
    ['rest', '/api/v1/users/me'],
  ])('%s: the tightest window, on success, refusal and error alike', async (_, path) => {
    const { authorization } = await newPerson(api);
    const headers = { authorization, 'x-forwarded-for': newAddress() };
    for (let left = 4; left >= 0; left -= 1) {
      const served = await get(path, headers);
      expect(served.status).toBe(200);
      expect(limitOf(served)).toEqual(['5', String(left)]);
      expect(Number(served.headers.get('ratelimit-reset'))).toBeGreaterThan(50);
    }
    const refused = await get(path, headers);
    expect(refused.status).toBe(429);
    expect(limitOf(refused)).toEqual(['5', '0']);
    expect(refused.headers.get('ratelimit-reset')).toBe(refused.headers.get('retry-after'));
    const unknown = await get(path, { 'x-forwarded-for': newAddress() });
    expect(unknown.status).toBe(401);
    expect(limitOf(unknown)).toEqual(['12', '11']);
  });

  test('a batch tells of all its calls together', async () => {
    const { authorization } = await newPerson(api);
    const answer = await get('/trpc/users.me,users.me,organizations.list?batch=1', {
      authorization,
      'x-forwarded-for': newAddress(),
    });
    expect(answer.status).toBe(200);
    expect(limitOf(answer)).toEqual(['5', '3']);
  });

  test('a procedure with a limit of its own leaves that of its class alone', async () => {
    const { authorization } = await newPerson(api);
    const call = (path: string): Promise<Response> => get(path, { authorization, 'x-forwarded-for': newAddress() });
    for (let n = 0; n < 10; n += 1) expect((await call('/trpc/organizations.list')).status).toBe(200);
    expect(limitOf(await call('/trpc/users.me'))).toEqual(['5', '4']);
  });

  test('pages of an allowed origin may read it', async () => {
    const answer = await fetch(`${api.url}/trpc/users.me`, {
      headers: { 'origin': 'https://app.example.test', 'x-forwarded-for': newAddress() },
    });
    const exposed = answer.headers.get('access-control-expose-headers')?.split(', ') ?? [];
    expect(exposed).toEqual(
      expect.arrayContaining(['retry-after', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']),
    );
  });
});

test('without a trusted proxy X-Forwarded-For is not believed at all', async () => {
  await using direct = await startTestApi({ rateLimits: { address: 3 } });
  // Loopback has addresses enough for one that no other file calls from.
  const localAddress = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
  const found: number[] = [];
  for (let n = 0; n < 5; n += 1) found.push(await statusFrom(localAddress, direct.url));
  expect(found).toEqual([401, 401, 401, 429, 429]);
});

test('while the limiter is down reads and writes pass and sign-in is refused; when it is back, limits hold again', async () => {
  await using proxy = await tcpProxy(servers().queueRedisUrl);
  await using behind = await startTestApi({
    rateLimits: { read: 3 },
    env: { QUEUE_REDIS_URL: proxy.url, TRUST_PROXY: 1 },
  });
  const { authorization, client, email, password } = await newPerson(behind);
  const read = (): Promise<Response> =>
    fetch(`${behind.url}/trpc/users.me`, { headers: { authorization, 'x-forwarded-for': newAddress() } });
  const signIn = (): Promise<Response> =>
    fetch(`${behind.url}/api/v1/auth/login`, {
      method: 'POST',
      body: JSON.stringify({ email, password }),
      headers: { 'content-type': 'application/json', 'x-forwarded-for': newAddress() },
    });

  proxy.cut();
  for (let n = 0; n < 6; n += 1) {
    const answer = await read();
    expect(answer.status).toBe(200);
    expect(answer.headers.get('ratelimit-limit')).toBeNull();
  }
  expect(await client.organizations.create.mutate({ name: 'Meanwhile', slug: unique('meanwhile') })).toBeTruthy();
  const refused = await signIn();
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(await refused.json()).toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE', retryable: true });

  proxy.mend();
  await eventually(async () => expect((await signIn()).status).toBe(200), { timeoutMs: 10_000, everyMs: 50 });
  const back = [];
  for (let n = 0; n < 5; n += 1) back.push((await read()).status);
  expect(back).toEqual([200, 200, 200, 429, 429]);
});

/** The status of one call from one of loopback's addresses, with a forwarded address that is different each time. */
function statusFrom(localAddress: string, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${url}/trpc/users.me`,
      { localAddress, headers: { 'x-forwarded-for': newAddress() } },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    request.on('error', reject).end();
  });
}
