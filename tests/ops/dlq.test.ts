/** `novax dlq` against real servers: what is listed, what a replay hands over to whom, and what a drop leaves behind. */
import { randomUUID } from 'node:crypto';
import { connectBus, type KeptBus } from '@novax/adapters/bus';
import { connectJobQueue } from '@novax/adapters/queues';
import { openLockedConnection } from '@novax/db/locked-connection';
import { putOff } from '@novax/db/queries/relay';
import type { JobQueue } from '@novax/domain/ports';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { anEvent, uniqueName } from '../conformance/unique.ts';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';
import { addressesOf, novax } from './run-novax.ts';

let db: TestDatabase;
let admin: Client & AsyncDisposable;
let bus: KeptBus;
let queue: JobQueue;
const namespace = uniqueName();
beforeAll(async () => {
  db = await testDatabase();
  admin = await connect(db.adminUrl);
  bus = await connectBus({ url: servers().natsUrl, namespace, log: quiet });
  await bus.ensureStreams();
  queue = await connectJobQueue({ url: servers().queueRedisUrl, prefix: namespace, log: quiet });
});
afterAll(async () => {
  await queue.close();
  await bus.close();
  await admin.end();
  await db[Symbol.asyncDispose]();
});

const run = (line: string) =>
  novax(line, {
    ...addressesOf(db),
    NATS_URL: servers().natsUrl,
    NATS_NAMESPACE: namespace,
    QUEUE_REDIS_URL: servers().queueRedisUrl,
    QUEUE_PREFIX: namespace,
  });

async function letter(fields: { source: string; name: string; payload: unknown; eventId?: string }): Promise<string> {
  const { rows } = await admin.query(
    `insert into dead_letters (source, name, dedupe_key, event_id, payload, error, attempts, created_at)
     values ($1, $2, gen_random_uuid()::text, $3, $4, 'because of this', 5, now() - interval '2 hours') returning id`,
    [fields.source, fields.name, fields.eventId ?? null, JSON.stringify(fields.payload)],
  );
  return rows[0].id;
}

const statusOf = async (id: string): Promise<string> =>
  (await admin.query('select status from dead_letters where id = $1', [id])).rows[0].status;

test('the list tells source, name, age, attempts and reason; show tells all there is', async () => {
  const id = await letter({ source: 'job', name: 'refresh-views', payload: { deep: [1, 2] } });
  const { stdout, code } = await run('dlq list --source job -o json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout).letters).toContainEqual(
    expect.objectContaining({ id, name: 'refresh-views', attempts: 5, error: 'because of this', status: 'pending' }),
  );
  expect((await run('dlq list')).stdout).toMatch(/refresh-views +pending +2 h 00 min +5 +because of this/);
  expect((await run('dlq list --source outbox')).stdout).not.toContain(id);
  expect((await run(`dlq show ${id}`)).stdout).toContain('because of this');
  expect(JSON.parse((await run(`dlq show ${id} -o json`)).stdout)).toMatchObject({ id, payload: { deep: [1, 2] } });
  await run(`dlq drop ${id} --reason tidy`);
});

test('a letter of a consumer goes to that consumer, to nobody else, and once however often it is asked for', async () => {
  const seen: string[] = [];
  for (const name of ['one', 'other'])
    await bus.consume({
      name,
      subjects: ['novax.events.>'],
      handle: async (event) => void seen.push(`${name} ${event.id}`),
    });
  const event = anEvent();
  const id = await letter({ source: 'consumer', name: 'one', payload: event, eventId: event.id });
  const after = anEvent();
  expect(await run(`dlq replay ${id}`)).toMatchObject({ code: 0, stdout: '1 of 1 dead letters replayed\n' });
  // As after a death before it was noted.
  await admin.query(`update dead_letters set status = 'pending' where id = $1`, [id]);
  expect((await run(`dlq replay ${id}`)).code).toBe(0);
  await bus.publish([after]);
  await eventually(() =>
    expect(seen.toSorted()).toEqual([`one ${event.id}`, `one ${after.id}`, `other ${after.id}`].toSorted()),
  );
  expect(await run(`dlq replay ${id}`)).toMatchObject({ code: 1, stderr: expect.stringContaining('replayed already') });
  const { rows } = await admin.query(
    `select org_id, actor_type, action, entity_type, old_value, new_value from audit_log where entity_id = $1 order by id limit 1`,
    [id],
  );
  expect(rows).toEqual([
    {
      org_id: null,
      actor_type: 'system',
      action: 'update',
      entity_type: 'dead_letters',
      old_value: { status: 'pending' },
      new_value: { status: 'replayed' },
    },
  ]);
});

test('a letter of a job is queued again', async () => {
  const id = await letter({ source: 'job', name: 'ensure-partitions', payload: {} });
  const before = (await queue.counts()).maintenance.waiting;
  expect((await run(`dlq replay ${id}`)).code).toBe(0);
  expect((await queue.counts()).maintenance.waiting).toBe(before + 1);
  expect(await statusOf(id)).toBe('replayed');
});

test('an event that the stream refused for good is a letter, and a replay makes it pending again', async () => {
  const eventId = randomUUID();
  const { rows: made } = await admin.query(
    `insert into events (event_id, event_type, aggregate_type, aggregate_id, payload, actor_type)
     values ($1, 'user.registered', 'user', gen_random_uuid(), '{}', 'system') returning id, created_at::text as created`,
    [eventId],
  );
  await using relay = await openLockedConnection(db.url('novax_worker'), { plan: 'each' });
  const [{ id, created }] = made;
  const refused = JSON.stringify([{ id: Number(id), created, error: 'message too large', poison: true }]);
  expect(await relay.sql(putOff, [refused, 2])).toMatchObject([{ status: 'pending' }]);
  expect((await run('dlq list --source outbox -o json')).stdout).not.toContain(eventId);
  expect(await relay.sql(putOff, [refused, 2])).toMatchObject([{ status: 'failed' }]);
  const { letters } = JSON.parse((await run('dlq list --source outbox -o json')).stdout);
  expect(letters).toMatchObject([{ name: 'user.registered', eventId, attempts: 2, error: 'message too large' }]);
  expect((await run('dlq replay --all --source outbox')).code).toBe(0);
  const { rows } = await admin.query('select status, attempts from events where event_id = $1', [eventId]);
  expect(rows).toEqual([{ status: 'pending', attempts: 0 }]);
  expect(await statusOf(letters[0].id)).toBe('replayed');
});

test('a letter of an event that was freed meanwhile is not dropped; once the event is out, it is', async () => {
  const eventId = randomUUID();
  await admin.query(
    `insert into events (event_id, event_type, aggregate_type, aggregate_id, payload, actor_type, status)
     values ($1, 'user.registered', 'user', gen_random_uuid(), '{}', 'system', 'failed')`,
    [eventId],
  );
  const id = await letter({ source: 'outbox', name: 'user.registered', payload: {}, eventId });
  expect((await run(`events retry --id ${eventId}`)).code).toBe(0);
  expect(await run(`dlq drop ${id} --reason test`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('somebody has freed it'),
  });
  expect(await statusOf(id)).toBe('pending');
  await admin.query(`update events set status = 'published', published_at = now() where event_id = $1`, [eventId]);
  expect((await run(`dlq drop ${id} --reason test`)).code).toBe(0);
  const { rows } = await admin.query('select status from events where event_id = $1', [eventId]);
  expect(rows).toEqual([{ status: 'published' }]);
});

test('a drop that cannot be noted in the trail drops neither letter nor event', async () => {
  const eventId = randomUUID();
  await admin.query(
    `insert into events (event_id, event_type, aggregate_type, aggregate_id, payload, actor_type, status)
     values ($1, 'user.registered', 'user', gen_random_uuid(), '{}', 'system', 'failed')`,
    [eventId],
  );
  const id = await letter({ source: 'outbox', name: 'user.registered', payload: {}, eventId });
  await admin.query('revoke insert on audit_log from novax_definer');
  try {
    expect((await run(`dlq drop ${id} --reason test`)).code).toBe(1);
  } finally {
    await admin.query('grant insert on audit_log to novax_definer');
  }
  const { rows } = await admin.query('select status from events where event_id = $1', [eventId]);
  expect({ event: rows, letter: await statusOf(id) }).toEqual({ event: [{ status: 'failed' }], letter: 'pending' });
});

test('what nobody can take stays, says why, and exits 1', async () => {
  const gone = await letter({ source: 'consumer', name: 'nobody', payload: anEvent() });
  const job = await letter({ source: 'job', name: 'never-heard-of', payload: {} });
  const lost = await letter({ source: 'consumer', name: 'one', payload: null });
  const result = await run(`dlq replay ${gone} ${job} ${lost}`);
  expect(result.code).toBe(1);
  expect(result.stderr).toMatch(/no consumer nobody[^]*unknown job never-heard-of[^]*no payload any more/);
  expect([await statusOf(gone), await statusOf(job), await statusOf(lost)]).toEqual(Array(3).fill('pending'));
  expect((await run(`dlq drop ${gone} ${job} ${lost} --reason test`)).code).toBe(0);
});

test('a drop keeps the letter, its reason stands in the audit trail, and it is never replayed', async () => {
  const id = await letter({ source: 'job', name: 'ensure-partitions', payload: {} });
  expect((await run(`dlq drop ${id}`)).code).toBe(2);
  expect((await run(`dlq drop ${id} --reason obsolete -o json`)).code).toBe(0);
  expect(await statusOf(id)).toBe('dropped');
  const { rows } = await admin.query('select new_value from audit_log where entity_id = $1', [id]);
  expect(rows).toEqual([{ new_value: { status: 'dropped', reason: 'obsolete' } }]);
  expect((await run(`dlq replay ${id}`)).stderr).toContain('dropped already');
  expect((await run('dlq list --source job -o json')).stdout).not.toContain(id);
  expect((await run('dlq list --source job --status dropped -o json')).stdout).toContain(id);
});

test('a call that is none exits 2, an unknown letter 1, and help 0', async () => {
  expect((await run('dlq replay')).code).toBe(2);
  expect((await run(`dlq replay ${randomUUID()} --all`)).code).toBe(2);
  expect((await run('dlq show no-id')).code).toBe(2);
  expect(await run(`dlq show ${randomUUID()}`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('novax dlq list'),
  });
  expect((await run(`dlq replay ${randomUUID()}`)).code).toBe(1);
  for (const verb of ['', ' list', ' show', ' replay', ' drop']) expect((await run(`dlq${verb} --help`)).code).toBe(0);
});
