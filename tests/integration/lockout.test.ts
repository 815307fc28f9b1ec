/** Guessing passwords: how few guesses are looked at, who is not held up by them, and what happens when nobody can count. */
import { createHash, randomInt } from 'node:crypto';
import { cacheKeys } from '@novax/contracts/cache-keys';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson, unique, type Person } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { eventually } from '../kit/eventually.ts';
import { startMailbox, type Mailbox } from '../kit/mailbox.ts';
import { servers } from '../kit/servers.ts';
import { tcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';

let api: TestApi;
let mailbox: Mailbox;
let proxy: TcpProxy;
let redis: Redis;
beforeAll(async () => {
  proxy = await tcpProxy(servers().queueRedisUrl);
  // Behind one trusted proxy a test has addresses of its own.
  api = await startTestApi({
    env: { TRUST_PROXY: 1, SIGN_IN_TRIES: { account: 3, network: 10 }, QUEUE_REDIS_URL: proxy.url },
  });
  mailbox = await startMailbox(api);
  redis = new Redis(servers().queueRedisUrl);
});
afterAll(async () => {
  await redis.quit();
  await mailbox[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

const newAddress = (): string => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
const newPassword = 'seven geese over a lake';

interface Tried {
  readonly code: string;
  readonly text: string;
  readonly retryAfterS: number | null;
  readonly ms: number;
}

/** One call from an address. */
async function from(address: string, path: string, input: object): Promise<Tried> {
  const started = performance.now();
  const response = await fetch(`${api.url}/trpc/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': address, 'x-request-id': 'the-same-request' },
    body: JSON.stringify(input),
  });
  const text = await response.text();
  const retryAfter = response.headers.get('retry-after');
  return {
    code: JSON.parse(text).error?.data?.appCode ?? 'OK',
    text,
    retryAfterS: retryAfter === null ? null : Number(retryAfter),
    ms: performance.now() - started,
  };
}
const guess = (address: string, email: string): Promise<Tried> =>
  from(address, 'auth.login', { email, password: `guess ${unique()}` });
const signIn = (address: string, { email, password }: Person): Promise<Tried> =>
  from(address, 'auth.login', { email, password });

/** Somebody who signed up from an address of their own. */
async function personAt(address: string): Promise<Person> {
  const person = await newPerson(api);
  expect((await signIn(address, person)).code).toBe('OK');
  return person;
}

const codes = (tries: readonly Tried[], code: string): Tried[] => tries.filter((tried) => tried.code === code);
const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;

/** 300 guesses at an account from 100 addresses, twenty at once. */
async function attack(email: string): Promise<Tried[]> {
  const addresses = Array.from({ length: 100 }, newAddress);
  const tries: Tried[] = [];
  for (let at = 0; at < 300; at += 20) {
    const some = Array.from({ length: 20 }, (_, n) => addresses[(at + n) % addresses.length] ?? '');
    tries.push(...(await Promise.all(some.map((address) => guess(address, email)))));
  }
  return tries;
}

/** What a long attack leaves behind, without the hour that it takes: the next try from a network the account does not know must wait. */
async function longAttack(email: string): Promise<void> {
  const key = cacheKeys.signInAccount(createHash('sha256').update(email.toLowerCase()).digest('hex'));
  const now = Date.now();
  await redis.hset(key, { n: '12', at: String(now), until: String(now + 512_000) });
}

test('of 300 guesses from 100 addresses a handful is looked at, the rest is refused without a hash and told when to come back', async () => {
  const { email } = await newPerson(api);
  const began = performance.now();
  const tries = await attack(email);
  // Three are free, and each after it waits twice as long as the one before: so many fit into the time that the attack took.
  const most = 3 + Math.ceil(Math.log2((performance.now() - began) / 1000 + 1));
  const [looked, refused] = [codes(tries, 'UNAUTHENTICATED'), codes(tries, 'RATE_LIMITED')];
  expect(looked.length + refused.length).toBe(300);
  expect(looked.length).toBeGreaterThanOrEqual(3);
  expect(looked.length).toBeLessThanOrEqual(most);
  for (const { retryAfterS } of refused) expect(retryAfterS).toBeGreaterThanOrEqual(1);
  // One after another, so that neither waits for the other's turn.
  const alone = [];
  for (let n = 0; n < 20; n++) alone.push(await guess(newAddress(), email));
  const hashed = [];
  for (let n = 0; n < 20; n++) hashed.push(await guess(newAddress(), `${unique('nobody')}@example.test`));
  const [fast, slow] = [codes(alone, 'RATE_LIMITED').map(({ ms }) => ms), hashed.map(({ ms }) => ms)];
  process.stdout.write(
    `300 guesses from 100 addresses: ${looked.length} looked at of ${most} at most; a refused one takes ${median(fast).toFixed(1)} ms, one that is looked at ${median(slow).toFixed(1)} ms\n`,
  );
  expect(median(fast)).toBeLessThan(median(slow) / 2);
});

test('an account that does not exist is held like one that does, byte for byte', async () => {
  const { email } = await newPerson(api);
  const story = async (victim: string): Promise<string[]> => {
    const lines = [];
    for (let n = 0; n < 5; n++) {
      const { code, text, retryAfterS } = await guess(newAddress(), victim);
      lines.push(`${code} ${retryAfterS} ${text}`);
    }
    return lines;
  };
  const known = await story(email);
  expect(known.map((line) => line.split(' ')[0])).toEqual([
    'UNAUTHENTICATED',
    'UNAUTHENTICATED',
    'UNAUTHENTICATED',
    'RATE_LIMITED',
    'RATE_LIMITED',
  ]);
  expect(await story(`${unique('nobody')}@example.test`)).toEqual(known);
});

test('under attack the owner gets in from a network they signed in from before, and the attack gains nothing by it', async () => {
  const home = newAddress();
  const owner = await personAt(home);
  await longAttack(owner.email);
  expect((await signIn(newAddress(), owner)).code).toBe('RATE_LIMITED');
  for (let n = 0; n < 5; n++) expect((await signIn(home, owner)).code).toBe('OK');
  expect(codes(await attack(owner.email), 'UNAUTHENTICATED')).toEqual([]);
});

test('under attack the owner gets in from a new network by a reset, though the attack goes on', async () => {
  const owner = await newPerson(api);
  await longAttack(owner.email);
  const abroad = newAddress();
  expect((await signIn(abroad, owner)).code).toBe('RATE_LIMITED');
  expect((await from(abroad, 'auth.requestPasswordReset', { email: owner.email })).code).toBe('OK');
  const { token } = await mailbox.mail(owner.email, '/reset-password');
  expect((await from(abroad, 'auth.resetPassword', { token, newPassword })).code).toBe('OK');
  // The account's count began anew; strangers use it up at once, and that is not the owner's.
  await longAttack(owner.email);
  expect((await signIn(newAddress(), { ...owner, password: newPassword })).code).toBe('RATE_LIMITED');
  expect((await signIn(abroad, { ...owner, password: newPassword })).code).toBe('OK');
});

test('an account held up is open again after the wait that was named, however often it was asked meanwhile', async () => {
  const { email } = await newPerson(api);
  for (let n = 0; n < 3; n++) expect((await guess(newAddress(), email)).code).toBe('UNAUTHENTICATED');
  const refused = await guess(newAddress(), email);
  expect(refused).toMatchObject({ code: 'RATE_LIMITED', retryAfterS: 1 });
  const since = performance.now();
  await eventually(async () => expect((await guess(newAddress(), email)).code).toBe('UNAUTHENTICATED'), {
    timeoutMs: 5_000,
    everyMs: 20,
  });
  expect(performance.now() - since).toBeLessThan(2_500);
});

test('one address that tries a thousand accounts is held after ten', async () => {
  const address = newAddress();
  const tries = [];
  for (let n = 0; n < 60; n++) tries.push(await guess(address, `${unique('nobody')}@example.test`));
  const looked = codes(tries, 'UNAUTHENTICATED').length;
  expect(looked).toBeGreaterThanOrEqual(10);
  expect(looked).toBeLessThanOrEqual(13);
  expect((await guess(newAddress(), `${unique('nobody')}@example.test`)).code).toBe('UNAUTHENTICATED');
});

test('people behind one address who know their passwords do not hold each other up', async () => {
  const office = newAddress();
  const people = await Promise.all(Array.from({ length: 15 }, () => newPerson(api)));
  for (const person of people) expect((await signIn(office, person)).code).toBe('OK');
});

test('when nobody can count, nobody may guess; who is signed in goes on, and afterwards all is well', async () => {
  const person = await newPerson(api);
  proxy.cut();
  try {
    const refused = await signIn(newAddress(), person);
    expect(refused.code).toBe('DEPENDENCY_UNAVAILABLE');
    expect(refused.retryAfterS).toBeGreaterThanOrEqual(1);
    const me = await call(api.url, 'users.me', { input: {}, authorization: person.authorization });
    expect(me.status).toBe(200);
  } finally {
    proxy.mend();
  }
  await eventually(async () => expect((await signIn(newAddress(), person)).code).toBe('OK'), {
    timeoutMs: 10_000,
    everyMs: 100,
  });
});
