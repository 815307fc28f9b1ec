/** `novax events` against a real database and stream. */
import { receive } from '@novax/db/queries/inbox';
import { openDatabase } from '@novax/db/tx';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { replayHeader } from '@novax/contracts/events/envelope';
import { newId } from '@novax/runtime/ids';
import { testBus, type NatsSpace } from '../conformance/nats-space.ts';
import { connect, testDatabase, type TestDatabase } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { servers } from '../kit/servers.ts';
import { addressesOf, novax } from './run-novax.ts';

let database: TestDatabase;
let admin: Client & AsyncDisposable;
let space: NatsSpace;
let env: Record<string, string>;
beforeAll(async () => {
  database = await testDatabase();
  admin = await connect(database.adminUrl);
  space = await testBus();
  env = { ...addressesOf(database), NATS_URL: servers().natsUrl, NATS_NAMESPACE: space.namespace };
});
afterAll(async () => {
  await space[Symbol.asyncDispose]();
  await admin.end();
  await database[Symbol.asyncDispose]();
});

async function insert(row: {
  aggregate?: string;
  version?: number;
  status?: string;
  error?: string;
  occurred?: string;
}) {
  const {
    aggregate = newId(),
    version = 1,
    status = 'pending',
    error = null,
    occurred = new Date().toISOString(),
  } = row;
  const { rows } = await admin.query<{ event_id: string }>(
    `insert into events (event_type, aggregate_type, aggregate_id, aggregate_version, actor_type, payload, status, last_error, attempts, occurred_at, created_at)
     values ('document.updated', 'document', $1, $2, 'system', '{}', $3, $4, case when $4::text is null then 0 else 10 end, $5, $5) returning event_id`,
    [aggregate, version, status, error, occurred],
  );
  return { aggregate, id: rows[0]?.event_id ?? '' };
}

test('status counts by shard, tells the age of the oldest and the last errors; --check exits 1 for what failed', async () => {
  expect((await novax('events status --check', env)).code).toBe(0);
  await insert({ occurred: new Date(Date.now() - 10_000).toISOString() });
  const failed = await insert({ status: 'failed', error: 'too large' });
  const { code, stdout } = await novax('events status -o json', env);
  const found = JSON.parse(stdout);
  expect(code).toBe(0);
  const sum = (name: string) =>
    found.shards.reduce((total: number, shard: Record<string, number>) => total + (shard[name] ?? 0), 0);
  expect({ shards: found.shards.length, pending: sum('pending'), failed: sum('failed') }).toEqual({
    shards: 8,
    pending: 1,
    failed: 1,
  });
  expect(found.oldestPendingS).toBeGreaterThan(9);
  expect(found.refusals).toMatchObject([{ eventId: failed.id, status: 'failed', attempts: 10, error: 'too large' }]);
  const checked = await novax('events status --check', env);
  expect(checked.code).toBe(1);
  expect(checked.stdout).toContain('too large');
});

test('retry frees one event, an aggregate, or all that failed, with every attempt given back', async () => {
  await admin.query('truncate events');
  const [one, two, three, waiting] = [
    await insert({ status: 'failed', error: 'x' }),
    await insert({ status: 'failed', error: 'x' }),
    await insert({ status: 'failed', error: 'x' }),
    await insert({ error: 'x' }),
  ];
  expect((await novax('events retry', env)).code).toBe(2);
  expect((await novax('events retry --id nonsense', env)).code).toBe(2);
  expect((await novax(`events retry --id ${newId()}`, env)).code).toBe(1);
  const freed = async (line: string): Promise<number> => JSON.parse((await novax(`${line} -o json`, env)).stdout).freed;
  expect(await freed(`events retry --id ${one.id}`)).toBe(1);
  expect(await freed(`events retry --aggregate ${two.aggregate}`)).toBe(1);
  expect(await freed('events retry --all-failed')).toBe(1);
  expect(await freed(`events retry --aggregate ${waiting.aggregate}`)).toBe(1);
  const { rows } = await admin.query('select status, attempts, last_error from events where event_id = any($1)', [
    [one.id, two.id, three.id, waiting.id],
  ]);
  expect(rows).toEqual(Array.from({ length: 4 }, () => ({ status: 'pending', attempts: 0, last_error: null })));
});

test('replay sends a range again in order and marked, a dry run only shows it, and a consumer that applied it does nothing', async () => {
  await admin.query('truncate events');
  const aggregate = newId();
  const at = (second: number): string => `2026-03-01T00:00:0${second}.000Z`;
  for (const version of [1, 2, 3]) await insert({ aggregate, version, status: 'published', occurred: at(version) });
  const other = await insert({ status: 'published', occurred: at(2) });
  await insert({ status: 'published', occurred: at(9) });
  const range = '--from 2026-03-01T00:00:00Z --to 2026-03-01T00:00:05Z';
  const shown = JSON.parse((await novax(`events replay ${range} --dry-run -o json`, env)).stdout);
  expect(shown).toMatchObject({ dryRun: true, count: 4 });
  expect((await space.jsm.streams.info(space.names.events)).state.messages).toBe(0);

  const applied: number[] = [];
  const db = await openDatabase({ url: database.url('novax_worker'), poolMax: 2 });
  let delivered = 0;
  const stop = await space.bus.consume({
    name: 'replayed',
    subjects: ['novax.events.document.>'],
    handle: (event) =>
      db.inSystem('a test of replays', async (tx) => {
        delivered += 1;
        const { id: eventId, occurredAt, organizationId } = event;
        const first = await receive(tx, {
          consumer: 'replayed',
          eventId,
          occurredAt,
          organizationId,
          aggregate: event.aggregate,
        });
        if (first && event.aggregate.id === aggregate) applied.push(event.aggregate.version);
      }),
  });
  try {
    expect(JSON.parse((await novax(`events replay ${range} -o json`, env)).stdout)).toMatchObject({
      count: 4,
      refused: null,
    });
    expect((await novax(`events replay ${range} --aggregate ${aggregate}`, env)).stdout).toContain(
      '3 events sent again',
    );
    await eventually(() => expect(delivered).toBe(7), { timeoutMs: 15_000 });
    expect(applied).toEqual([1, 2, 3]);
    const message = await space.jsm.streams.getMessage(space.names.events, { seq: 1 });
    expect(message.header.get(replayHeader)).toMatch(/^2\d{3}-/);
    expect(other.id).not.toBe('');
  } finally {
    await stop();
    await db.close();
  }
});

test('a dry run says which consumers have applied what, what a newer version has overtaken, and what a replay would change', async () => {
  await admin.query('truncate events, inbox');
  const at = (second: number): string => `2026-03-01T00:00:0${second}.000Z`;
  const note = (consumer: string, event: { id: string; aggregate: string }, version: number) =>
    admin.query(
      'insert into inbox (consumer, event_id, occurred_at, aggregate_id, aggregate_version) values ($1, $2, $3, $4, $5)',
      [consumer, event.id, at(version), event.aggregate, version],
    );
  const first = await insert({ status: 'published', version: 1, occurred: at(1) });
  const second = await insert({ status: 'published', version: 2, occurred: at(2), aggregate: first.aggregate });
  const alone = await insert({ status: 'published', version: 1, occurred: at(3) });
  await insert({ status: 'pending', version: 1, occurred: at(3) });
  await note('embed-document', second, 2);
  await note('summarize-document', first, 1);
  await note('of-another-release', first, 1);
  const range = '--from 2026-03-01T00:00:00Z --to 2026-03-01T00:00:05Z';
  const { consumers } = JSON.parse((await novax(`events replay ${range} --dry-run -o json`, env)).stdout);
  expect(consumers).toEqual([
    { consumer: 'embed-document', applied: 1, overtaken: 1, notApplied: 1, examples: [alone.id] },
    { consumer: 'of-another-release', applied: 1, overtaken: 0, notApplied: 2, examples: [second.id, alone.id] },
    { consumer: 'summarize-document', applied: 1, overtaken: 0, notApplied: 2, examples: [second.id, alone.id] },
  ]);
  const { stdout } = await novax(`events replay ${range} --aggregate ${alone.aggregate} --dry-run`, env);
  expect(stdout).toMatch(new RegExp(`embed-document +0 +0 +1 +${alone.id}`));
});

test('a range that is none, and an address that is missing, are told', async () => {
  expect((await novax('events replay --from yesterday --to 2026-03-01', env)).code).toBe(2);
  expect((await novax('events replay --from 2026-03-02 --to 2026-03-01', env)).code).toBe(2);
  expect((await novax('events status', {})).code).toBe(1);
  const help = await novax('events replay --help', {});
  expect({ code: help.code, text: help.stdout }).toEqual({ code: 0, text: expect.stringContaining('--dry-run') });
});
