/** `novax users` against a real database. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from 'pg';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { addressesOf, novax } from './run-novax.ts';

let db: TestDatabase;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  db = await testDatabase();
  admin = await connect(db.adminUrl);
});
afterAll(async () => {
  await admin.end();
  await db[Symbol.asyncDispose]();
});

const run = (line: string) => novax(line, addressesOf(db));

/** A person with `sessions` live sessions, each with a refresh token. */
async function person(sessions: number): Promise<{ id: string; email: string }> {
  const id = randomUUID();
  const email = `Ada.${id}@example.test`;
  await admin.query(
    `insert into users (id, email, email_normalized, username, username_normalized, password_hash) values ($1, $2, $3, $4, $4, 'x')`,
    [id, email, email.toLowerCase(), id.slice(0, 13)],
  );
  await admin.query(
    `with s as (insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at)
                select $1, sha256((random()::text || n)::bytea), now() + interval '1 day', now() + interval '1 day' from generate_series(1, $2::int) n returning id)
     insert into refresh_tokens (session_id, family_id, token_hash, expires_at)
     select id, gen_random_uuid(), sha256(id::text::bytea), now() + interval '1 day' from s`,
    [id, sessions],
  );
  return { id, email };
}

const sessionsOf = async (userId: string) =>
  (
    await admin.query(
      `select s.revoked_reason as reason, t.status from sessions s join refresh_tokens t on t.session_id = s.id where s.user_id = $1`,
      [userId],
    )
  ).rows;

test('suspending by address ends every session and refresh token, and the trail names the system and why', async () => {
  const { id, email } = await person(3);
  const { code, stdout, stderr } = await run(`users suspend ${email.toUpperCase()} --reason phishing -o json`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ id, email, status: 'suspended', endedSessions: 3 });
  expect(await sessionsOf(id)).toEqual(Array(3).fill({ reason: 'user_suspended', status: 'revoked' }));
  const { rows } = await admin.query(
    'select org_id, actor_type, actor_id, action, old_value, new_value from audit_log where entity_id = $1',
    [id],
  );
  expect(rows).toEqual([
    {
      org_id: null,
      actor_type: 'system',
      actor_id: null,
      action: 'update',
      old_value: { status: 'active' },
      new_value: { status: 'suspended', reason: 'phishing' },
    },
  ]);
});

test('restoring by id lets the person in again and brings no session back', async () => {
  const { id, email } = await person(1);
  await run(`users suspend ${id}`);
  const restored = await run(`users restore ${id}`);
  expect(restored).toMatchObject({ code: 0, stdout: `${email} is active.\n` });
  expect(await sessionsOf(id)).toEqual([{ reason: 'user_suspended', status: 'revoked' }]);
});

test('the list shows who is suspended, or the one person asked for', async () => {
  const [one, other] = [await person(0), await person(2)];
  await run(`users suspend ${one.id}`);
  const suspended = await run('users list -o json');
  expect(suspended.stdout).toContain(one.id);
  expect(suspended.stdout).not.toContain(other.id);
  expect(JSON.parse((await run(`users list ${other.email} -o json`)).stdout)).toMatchObject({
    users: [{ id: other.id, email: other.email, status: 'active', liveSessions: 2 }],
  });
  expect((await run('users list')).stdout).toContain(one.email);
});

test('whoever is not there, or in that state already, is refused with exit 1; a call that is none with exit 2', async () => {
  const { id, email } = await person(0);
  expect(await run('users suspend nobody@example.test')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('nobody called nobody@example.test'),
  });
  expect((await run('users list nobody@example.test')).code).toBe(1);
  expect(await run(`users restore ${id}`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`${email} is active`),
  });
  await run(`users suspend ${id}`);
  expect((await run(`users suspend ${id}`)).code).toBe(1);
  expect((await run('users suspend')).code).toBe(2);
  expect((await run('users suspend --help')).code).toBe(0);
  expect((await novax('users list', {})).stderr).toContain('npx novax up');
});

test.each(['novax_api', 'novax_worker', 'novax_readonly', 'novax_backup', 'novax_ai'] as const)(
  '%s can neither find people nor suspend them',
  async (role) => {
    await using client = await connect(db.url(role));
    for (const call of ['private.find_users(null, 1)', `private.set_user_suspended(gen_random_uuid(), true)`])
      await expect(client.query(`select * from ${call}`)).rejects.toThrow(/permission denied/);
  },
);

test('a sign-in beside a suspension is ended by it or refused, never left alive', async () => {
  const { id } = await person(0);
  await using api = await connect(db.url('novax_api'));
  await using migrator = await connect(db.url('novax_migrator'));
  const open = `select private.create_session(null, sha256(random()::text::bytea), '${id}', null, null, now() + interval '1 day', now() + interval '1 day')`;
  await api.query('begin');
  await api.query(open);
  const suspending = migrator.query('select outcome from private.set_user_suspended($1, true)', [id]);
  await eventually(async () => {
    const waiting = await admin.query(
      `select from pg_stat_activity where datname = current_database() and usename = 'novax_migrator' and wait_event_type = 'Lock'`,
    );
    expect(waiting.rowCount).toBe(1);
  });
  await api.query('commit');
  expect((await suspending).rows).toEqual([{ outcome: 'done' }]);
  const { rows } = await admin.query('select revoked_reason from sessions where user_id = $1', [id]);
  expect(rows).toEqual([{ revoked_reason: 'user_suspended' }]);
  await expect(api.query(open)).rejects.toThrow('no active user');
});
