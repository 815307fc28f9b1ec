/** What expired is swept, what has not is left, and several sweepers at once share the work. */
import { type SweptTable, sweptTables } from '@novax/db/queries/retention';
import { type Database, openDatabase } from '@novax/db/tx';
import { sweepExpired } from '@novax/domain/upkeep/sweep';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeActors, type Actors } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let db: Database;
let actors: Actors;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 4 });
  actors = await makeActors(api);
});
afterAll(async () => {
  await db.close();
  await admin[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

/** One statement per table that makes $1 rows of $2, which ended (or will end) $3 days after now. */
const inserts = {
  sessions: `insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at)
             select $2, sha256(random()::text::bytea), now() + $3 * interval '1 day', now() + $3 * interval '1 day' from generate_series(1, $1)`,
  refresh_tokens: `insert into refresh_tokens (session_id, family_id, token_hash, expires_at)
                   select (select id from sessions where user_id = $2 and absolute_expires_at > now() limit 1), gen_random_uuid(), sha256(random()::text::bytea),
                          now() + $3 * interval '1 day' from generate_series(1, $1)`,
  one_time_tokens: `with mail as (insert into mails (kind, email, email_normalized, user_id) values ('verify-email', 'a@example.com', 'a@example.com', $2) returning id)
                    insert into one_time_tokens (user_id, mail_id, purpose, email_normalized, token_hash, expires_at)
                    select $2, mail.id, 'verify-email', 'a@example.com', sha256(random()::text::bytea), now() + $3 * interval '1 day' from mail, generate_series(1, $1)`,
  oauth_flows: `insert into oauth_flows (flow_hash, provider, secrets_ciphertext, key_id, link_user_id, expires_at)
                select sha256(random()::text::bytea), 'p', 'x', 'k', $2, now() + $3 * interval '1 day' from generate_series(1, $1)`,
  idempotency_keys: `insert into idempotency_keys (user_id, key, procedure, request_hash, expires_at)
                     select $2, random()::text, 'p', sha256('x'), now() + $3 * interval '1 day' from generate_series(1, $1)`,
  invitations: `insert into invitations (org_id, inviter_id, email, email_normalized, token_hash, expires_at)
                select (select org_id from org_members where user_id = $2 and role = 'owner' limit 1), $2, 'x@example.com', random()::text,
                       sha256(random()::text::bytea), now() + $3 * interval '1 day' from generate_series(1, $1)`,
  dead_letters: `insert into dead_letters (source, name, dedupe_key, payload, error, status, created_at, resolved_at)
                 select 'job', 'j', random()::text, jsonb_build_object('for', $2::uuid), 'e', 'replayed', now() - interval '60 days', now() + $3 * interval '1 day'
                   from generate_series(1, $1)`,
  events: `insert into events (event_type, aggregate_type, aggregate_id, actor_type, actor_id, payload, status, created_at)
           select 'document.updated', 'document', gen_random_uuid(), 'system', $2, '{}', 'dropped', now() + $3 * interval '1 day' from generate_series(1, $1)`,
} as const;

/** Which rows of a table a sweep may take, where that is not all. */
const sweepable: Partial<Record<SweptTable, string>> = {
  invitations: `status = 'pending'`,
  events: `status = 'dropped'`,
};

async function rowsOf(table: SweptTable): Promise<number> {
  return Number(
    (await admin.query(`select count(*) as n from ${table} where ${sweepable[table] ?? 'true'}`)).rows[0].n,
  );
}

async function sweep(): Promise<Record<string, number>> {
  const swept: Record<string, number> = {};
  await sweepExpired({ db, swept: (table, rows) => (swept[table] = (swept[table] ?? 0) + rows) });
  return swept;
}

test.each(sweptTables)('of %s goes what expired, more than a batch of it, and nothing else', async (table) => {
  const late = ['oauth_flows', 'idempotency_keys', 'invitations'].includes(table) ? -1 : -31;
  const before = await rowsOf(table);
  await admin.query(inserts[table], [3, actors.owner.id, 1]);
  // Those that are kept for a month after their end.
  const kept = late === -31 ? 2 : 0;
  await admin.query(inserts[table], [kept, actors.owner.id, -29]);
  await admin.query(inserts[table], [1_100, actors.owner.id, late]);
  expect(await sweep()).toMatchObject({ [table]: 1_100 });
  expect(await rowsOf(table)).toBe(before + 3 + kept);
  expect(Object.values(await sweep()).every((rows) => rows === 0)).toBe(true);
});

test('a sweep that is told to stop begins no further batch', async () => {
  await admin.query(inserts.idempotency_keys, [1_100, actors.owner.id, -1]);
  const stop = new AbortController();
  const swept: number[] = [];
  const stopped = sweepExpired({
    db,
    signal: stop.signal,
    swept: (table, rows) => {
      if (table !== 'idempotency_keys') return;
      swept.push(rows);
      stop.abort(new Error('told to stop'));
    },
  });
  await expect(stopped).rejects.toThrow('told to stop');
  expect(swept).toEqual([500]);
  expect(await sweep()).toMatchObject({ idempotency_keys: 600 });
});

test('a session that nobody used goes a month after its idle end, long before it could have lasted', async () => {
  const { rows } = await admin.query<{ id: string }>(
    `insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at)
     select $1, sha256(random()::text::bytea), now() - days * interval '1 day', now() + interval '60 days' from unnest($2::int[]) as days
     returning id`,
    [actors.owner.id, [31, 29]],
  );
  await sweep();
  const { rows: left } = await admin.query('select id from sessions where id = any($1)', [rows.map(({ id }) => id)]);
  expect(left).toEqual([rows[1]]);
});

test('a session that was ended a month ago goes with its tokens, one that was ended yesterday stays', async () => {
  const { rows } = await admin.query<{ id: string }>(
    `insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at, revoked_at, revoked_reason)
     select $1, sha256(random()::text::bytea), now() + interval '9 days', now() + interval '9 days', now() - n * interval '1 day', 'signed_out'
       from unnest(array[31, 1]) n returning id`,
    [actors.owner.id],
  );
  const [old, recent] = rows.map(({ id }) => id);
  await admin.query(
    `insert into refresh_tokens (session_id, family_id, token_hash, expires_at)
     select s, gen_random_uuid(), sha256(random()::text::bytea), now() + interval '9 days' from unnest($1::uuid[]) s`,
    [[old, recent]],
  );
  await sweep();
  const left = await admin.query('select session_id from refresh_tokens where session_id = any($1)', [[old, recent]]);
  expect(left.rows).toEqual([{ session_id: recent }]);
});

test('an invitation that expired is marked, with a row of the trail, and its address can be invited again', async () => {
  const { rows } = await admin.query<{ id: string }>(
    `insert into invitations (org_id, inviter_id, email, email_normalized, token_hash, expires_at)
     values ($1, $2, 'late@example.com', 'late@example.com', sha256('late'), now() - interval '1 hour') returning id`,
    [actors.organizationId, actors.owner.id],
  );
  await sweep();
  const id = rows[0]?.id;
  expect((await admin.query('select status from invitations where id = $1', [id])).rows).toEqual([
    { status: 'expired' },
  ]);
  const trail = await admin.query(
    'select org_id, actor_type, action, old_value, new_value from audit_log where entity_id = $1',
    [id],
  );
  expect(trail.rows).toEqual([
    {
      org_id: actors.organizationId,
      actor_type: 'system',
      action: 'update',
      old_value: { status: 'pending' },
      new_value: { status: 'expired' },
    },
  ]);
  const { organizationId } = actors;
  await actors.owner.client.members.invite.mutate({ organizationId, email: 'late@example.com', role: 'member' });
});

test('a failure that waits for somebody stays, however old, as does an event that failed and was not given up', async () => {
  const { rows } = await admin.query(
    `with letter as (insert into dead_letters (source, name, dedupe_key, payload, error, created_at) values ('job', 'j', 'old', '{}', 'e', now() - interval '400 days') returning id),
          event as (insert into events (event_type, aggregate_type, aggregate_id, actor_type, payload, status, created_at)
                    values ('document.updated', 'document', gen_random_uuid(), 'system', '{}', 'failed', now() - interval '400 days') returning event_id)
     select letter.id, event.event_id from letter, event`,
  );
  await sweep();
  const [made] = rows;
  const left = await admin.query(
    `select id from dead_letters where id = $1 union all select event_id from events where event_id = $2`,
    [made.id, made.event_id],
  );
  expect(left.rows).toHaveLength(2);
});

test('a run leaves what is more than its share, and says so', async () => {
  await admin.query(inserts.idempotency_keys, [10_100, actors.owner.id, -1]);
  expect(await sweepExpired({ db, swept: () => undefined })).toEqual({ rows: 10_000, more: true });
  expect(await sweepExpired({ db, swept: () => undefined })).toEqual({ rows: 100, more: false });
});

test('several sweepers at once remove each row once', async () => {
  await admin.query(inserts.idempotency_keys, [3_000, actors.owner.id, -1]);
  const all = await Promise.all([sweep(), sweep(), sweep()]);
  expect(all.reduce((sum, swept) => sum + (swept['idempotency_keys'] ?? 0), 0)).toBe(3_000);
  expect(
    Number((await admin.query('select count(*) as n from idempotency_keys where expires_at < now()')).rows[0].n),
  ).toBe(0);
});

test('a table that cannot be swept does not keep the others from it, and is told', async () => {
  await admin.query(inserts.idempotency_keys, [5, actors.owner.id, -1]);
  await admin.query('revoke delete on oauth_flows from novax_definer');
  await admin.query(inserts.oauth_flows, [1, actors.owner.id, -1]);
  await expect(sweep()).rejects.toThrow();
  expect(
    Number((await admin.query('select count(*) as n from idempotency_keys where expires_at < now()')).rows[0].n),
  ).toBe(0);
  await admin.query('grant delete on oauth_flows to novax_definer');
  expect(await sweep()).toMatchObject({ oauth_flows: 1 });
});
