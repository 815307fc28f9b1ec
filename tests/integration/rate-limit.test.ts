/** Rate limits of the chain: by address before anybody is authenticated, by person after. */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';

let api: TestApi;
beforeAll(async () => {
  // Behind one trusted proxy a test can have addresses of its own, which no other file's calls count against.
  api = await startTestApi({ rateLimits: { read: 5, address: 12 }, env: { TRUST_PROXY: 1 } });
});
afterAll(() => api[Symbol.asyncDispose]());

const newAddress = (): string => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;

/** Statuses of so many calls, one after another. */
async function statuses(
  count: number,
  headers: { 'authorization': string; 'x-forwarded-for': string },
): Promise<number[]> {
  const found: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const response = await fetch(`${api.url}/trpc/users.me`, { headers });
    if (response.status === 429) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await response.json()).toMatchObject({ error: { data: { appCode: 'RATE_LIMITED', retryable: true } } });
    }
    found.push(response.status);
  }
  return found;
}

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
