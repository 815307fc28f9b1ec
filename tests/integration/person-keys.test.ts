/** Keys of persons: made once, kept only with the transaction that made them, asked for once a minute, never made again. */
import { randomBytes, randomUUID } from 'node:crypto';
import { createPersonKeys } from '@novax/db/person-keys';
import { openDatabase, type Database } from '@novax/db/tx';
import { createKeyring } from '@novax/runtime/keyring';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';

const ring = randomBytes(32).toString('base64');
let database: TestDatabase;
let admin: Client & AsyncDisposable;
/** Statements sent, by name. */
let sent: string[];
let clock: number;
let db: Database;
const keys = createPersonKeys(createKeyring(ring), () => clock);
beforeAll(async () => {
  database = await testDatabase();
  admin = await connect(database.adminUrl);
  db = await openDatabase({
    url: database.url('novax_api'),
    poolMax: 8,
    personKeys: keys,
    onQuery: (name) => void sent.push(name),
  });
});
beforeEach(() => {
  sent = [];
  clock = 1_000;
});
afterAll(async () => {
  await db.close();
  await admin.end();
  await database[Symbol.asyncDispose]();
});

async function newUser(): Promise<string> {
  const id = randomUUID();
  await admin.query(
    `insert into users (id, email, email_normalized, username, username_normalized, password_hash) select i, i::text, i::text, i::text, i::text, 'x' from (select $1::uuid as i) n`,
    [id],
  );
  return id;
}

const stored = async (id: string) =>
  (await admin.query(`select encode(wrapped_key, 'hex') as key from person_keys where user_id = $1`, [id])).rows;
const seal = (id: string, text: string): Promise<string | null> => db.person(id, (tx) => tx.seal(id, text));
const open = (id: string, text: string): Promise<string | null> =>
  db.person(null, async (tx) => (await keys.opener((s, v) => tx.sql(s, v), [id]))(id, text));

test('a key is made at its first need, asked for once a minute, and opens what it sealed', async () => {
  const id = await newUser();
  const first = (await seal(id, 'one')) ?? '';
  expect(sent).toEqual(['person_keys_of', 'add_person_key']);
  for (let n = 0; n < 5; n += 1) await seal(id, 'more');
  expect(sent).toHaveLength(2);
  clock += 60_001;
  await seal(id, 'later');
  expect(sent).toEqual(['person_keys_of', 'add_person_key', 'person_keys_of']);
  expect(await stored(id)).toHaveLength(1);
  expect(first).not.toContain('one');
  expect(await open(id, first)).toBe('one');
});

test('a key made in a transaction that fails is used by nobody afterwards', async () => {
  const id = await newUser();
  const lost = db.person(id, async (tx) => {
    await tx.seal(id, 'gone');
    throw new Error('after sealing');
  });
  await expect(lost).rejects.toThrow();
  expect(await stored(id)).toEqual([]);
  const kept = (await seal(id, 'kept')) ?? '';
  const [row] = await stored(id);
  expect(row).toBeDefined();
  // What another process reads with the stored key.
  const others = createPersonKeys(createKeyring(ring));
  const opened = await db.person(null, async (tx) => (await others.opener((s, v) => tx.sql(s, v), [id]))(id, kept));
  expect(opened).toBe('kept');
});

test('of many first needs at once one key remains, and opens what all of them sealed', async () => {
  const id = await newUser();
  const sealed = await Promise.all(Array.from({ length: 8 }, (_, n) => seal(id, `text ${n}`)));
  expect(await stored(id)).toHaveLength(1);
  for (const [n, text] of sealed.entries()) expect(await open(id, text ?? '')).toBe(`text ${n}`);
});

test('a destroyed key is believed for a minute at most, and is never made again', async () => {
  const id = await newUser();
  const before = (await seal(id, 'secret')) ?? '';
  await admin.query('update person_keys set wrapped_key = null, destroyed_at = now() where user_id = $1', [id]);
  expect(await open(id, before)).toBe('secret');
  clock += 60_001;
  expect(await open(id, before)).toBeNull();
  expect(await seal(id, 'again')).toBeNull();
  expect(await stored(id)).toEqual([{ key: null }]);
});

test('a value sealed for one person does not open as another’s', async () => {
  const [one, two] = [await newUser(), await newUser()];
  const sealed = (await seal(one, 'mine')) ?? '';
  await seal(two, 'theirs');
  await expect(open(two, sealed)).rejects.toThrow();
});
