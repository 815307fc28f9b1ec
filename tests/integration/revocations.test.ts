/** The revocation feed with its servers away: a copy of a session is never believed longer than the feed can vouch for it. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { redisSessionCache } from '@novax/adapters/sessions';
import { cacheKeys } from '@novax/contracts/cache-keys';
import { openReadLane } from '@novax/db/read-lane';
import type { Redis } from 'ioredis';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLiveSessions, type LiveSessions } from '../../apps/api/src/auth/live-sessions.ts';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';

let db: TestDatabase;
let admin: Client & AsyncDisposable;
let redis: Redis;
beforeAll(async () => {
  db = await testDatabase();
  admin = await connect(db.adminUrl);
  redis = await connectRedis({ url: servers().queueRedisUrl, log: quiet, name: 'test', mode: 'fail-fast' });
});
afterAll(async () => {
  await closeRedis(redis);
  await admin.end();
  await db[Symbol.asyncDispose]();
});

/** A node of its own: the check of sessions over the given addresses. */
async function startNode(
  urls: { database?: string; feed?: string; redis?: string } = {},
): Promise<LiveSessions & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const database = urls.database ?? db.url('novax_api');
  const lane = stack.adopt(openReadLane({ url: database, statementTimeoutMs: 500 }), (it) => it.close());
  const feedLane = stack.adopt(
    openReadLane({ url: urls.feed ?? database, sockets: 1, statementTimeoutMs: 500 }),
    (it) => it.close(),
  );
  const own = stack.adopt(
    await connectRedis({
      url: urls.redis ?? servers().queueRedisUrl,
      log: quiet,
      name: 'test',
      mode: 'fail-fast',
      commandTimeoutMs: 200,
    }),
    closeRedis,
  );
  const live = stack.adopt(createLiveSessions({ lane, feedLane, sessions: redisSessionCache(own), log: quiet }), (it) =>
    it.stop(),
  );
  await live.start();
  const owned = stack.move();
  return { ...live, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Made {
  readonly id: string;
  readonly sid: string;
  readonly key: string;
}

async function session(): Promise<Made> {
  const [userId, sid] = [randomUUID(), randomBytes(32).toString('base64url')];
  const hash = createHash('sha256').update(sid).digest();
  const { rows } = await admin.query<{ id: string }>(
    `with u as (insert into users (id, email, email_normalized, username, username_normalized, password_hash)
                values ($1, $2, $2, $3, $3, 'x') returning id)
     insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at)
     select id, $4, now() + interval '1 day', now() + interval '1 day' from u returning id`,
    [userId, `${userId}@example.test`, userId, hash],
  );
  return { id: rows[0]?.id ?? '', sid, key: cacheKeys.session(hash.toString('hex')) };
}

const end = ({ id }: Made) => admin.query(`select private.end_session($1, 'logout')`, [id]);
const refused = { code: 'UNAUTHENTICATED' };

test('a copy that Valkey keeps, because it was away at the end, is believed by no node, and goes when Valkey is back', async () => {
  await using proxy = await tcpProxy(servers().queueRedisUrl);
  await using node = await startNode({ redis: proxy.url });
  const made = await session();
  await node.of(made.sid);
  expect(await redis.exists(made.key)).toBe(1);
  proxy.cut();
  await end(made);
  await eventually(() => expect(node.of(made.sid)).rejects.toMatchObject(refused), { timeoutMs: 1_000 });
  expect(await redis.exists(made.key)).toBe(1);
  proxy.mend();
  await eventually(async () => expect(await redis.exists(made.key)).toBe(0), { timeoutMs: 10_000 });
}, 20_000);

test('a node that starts after the end does not believe a copy that is still in Valkey, and removes it', async () => {
  const made = await session();
  await end(made);
  await redis.hset(made.key, { sessionId: made.id, userId: randomUUID() });
  await using node = await startNode();
  await expect(node.of(made.sid)).rejects.toMatchObject(refused);
  await eventually(async () => expect(await redis.exists(made.key)).toBe(0));
});

test('a copy that comes back into Valkey after its removal is not believed', async () => {
  await using node = await startNode();
  const made = await session();
  const { sessionId, userId } = await node.of(made.sid);
  await end(made);
  await eventually(() => expect(node.of(made.sid)).rejects.toMatchObject(refused), { timeoutMs: 1_000 });
  await redis.hset(made.key, { sessionId, userId });
  await expect(node.of(made.sid)).rejects.toMatchObject(refused);
});

test.each(['cut', 'stall'] as const)(
  'without its feed (%s) a node believes no copy, asks PostgreSQL, and believes again when the feed is back',
  async (loss) => {
    await using proxy = await tcpProxy(db.url('novax_api'));
    await using node = await startNode({ feed: proxy.url });
    const [made, other] = [await session(), await session()];
    for (const { sid } of [made, other]) await node.of(sid);
    proxy[loss]();
    const since = performance.now();
    await end(made);
    await eventually(() => expect(node.of(made.sid)).rejects.toMatchObject(refused), { timeoutMs: 1_500 });
    expect(performance.now() - since).toBeLessThan(1_000);
    expect(await node.of(other.sid)).toMatchObject({ userId: expect.any(String) });
    // What ended while nobody listened is heard of afterwards: its copy goes from Valkey.
    expect(await redis.exists(made.key)).toBe(1);
    proxy.mend();
    await eventually(async () => expect(await redis.exists(made.key)).toBe(0), { timeoutMs: 15_000 });
  },
  30_000,
);

test('without PostgreSQL at all every session is DEPENDENCY_UNAVAILABLE within a second, copies or not', async () => {
  await using proxy = await tcpProxy(db.url('novax_api'));
  await using node = await startNode({ database: proxy.url });
  const made = await session();
  await node.of(made.sid);
  proxy.cut();
  const since = performance.now();
  await eventually(() => expect(node.of(made.sid)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' }), {
    timeoutMs: 1_500,
  });
  expect(performance.now() - since).toBeLessThan(1_000);
  proxy.mend();
  await eventually(async () => expect(await node.of(made.sid)).toMatchObject({ sessionId: made.id }), {
    timeoutMs: 10_000,
  });
}, 20_000);

test('a thousand sessions that end at once are dead on a node within a second', async () => {
  await using node = await startNode();
  const [one, last] = [await session(), await session()];
  await node.of(last.sid);
  await admin.query(
    `insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at)
     select user_id, sha256((n || random()::text)::bytea), now() + interval '1 day', now() + interval '1 day' from sessions, generate_series(1, 1000) n where id = $1`,
    [one.id],
  );
  await end(last);
  await admin.query(`update users set status = 'suspended' where id = (select user_id from sessions where id = $1)`, [
    one.id,
  ]);
  await eventually(() => expect(node.of(last.sid)).rejects.toMatchObject(refused), { timeoutMs: 1_000 });
});

test('the feed is one index scan, however many sessions there are', async () => {
  await admin.query('set enable_seqscan = off');
  const { rows } = await admin.query<{ 'QUERY PLAN': string }>(
    `explain select s.sid_hash, s.revoked_at from public.sessions s where s.revoked_at >= now() - interval '20 s' order by s.revoked_at`,
  );
  await admin.query('reset enable_seqscan');
  expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toMatch(/^Index Scan using idx_sessions_revoked_at/);
});
