/** An organization's list of domains lets in exactly the addresses that lie in one of them. */
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';

let db: TestDatabase;
let api: Client & AsyncDisposable;
beforeAll(async () => {
  db = await testDatabase();
  api = await connect(db.url('novax_api'));
});
afterAll(async () => {
  await api.end();
  await db[Symbol.asyncDispose]();
});

async function allowed(list: readonly string[] | null, email: string | null): Promise<boolean> {
  const { rows } = await api.query<{ allowed: boolean }>('select private.domain_allowed($1, $2) as allowed', [
    list,
    email,
  ]);
  return rows[0]?.allowed ?? false;
}

test('an empty list lets in any address', async () => {
  expect(await allowed([], 'ann@anywhere.test')).toBe(true);
});

test.each([
  ['its domain is the only one', ['corp.test'], 'ann@corp.test'],
  ['its domain is one of several', ['corp.test', 'sub.corp.test'], 'ann@sub.corp.test'],
  ['a quoted local part holds an @', ['corp.test'], '"ann@evil.test"@corp.test'],
])('an address is let in when %s', async (_, list, email) => {
  expect(await allowed(list, email)).toBe(true);
});

test.each([
  ['a subdomain', 'ann@sub.corp.test'],
  ['the parent', 'ann@test'],
  ['a domain that ends alike', 'ann@evilcorp.test'],
  ['a domain that begins alike', 'ann@corp.test.evil.test'],
  ['the domain as local part', 'corp.test@evil.test'],
  ['the domain in a quoted local part', '"ann@corp.test"@evil.test'],
  ['a trailing dot', 'ann@corp.test.'],
  ['a trailing blank', 'ann@corp.test '],
  ['a pattern', 'ann@%'],
  ['no local part', '@corp.test'],
  ['no domain', 'ann@'],
  ['no @', 'corp.test'],
  ['nothing', ''],
  ['null', null],
])('with a list, %s is not the domain', async (_, email) => {
  expect(await allowed(['corp.test'], email)).toBe(false);
});

test('patterns and blanks in the list match nothing, and a list that is null lets nobody in', async () => {
  for (const list of [['%'], ['*'], ['.'], [''], ['*.corp.test'], null])
    expect(await allowed(list, 'ann@corp.test'), JSON.stringify(list)).toBe(false);
});
