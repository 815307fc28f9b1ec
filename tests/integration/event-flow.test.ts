/** From a write to what it owes: published once, embedded, summarized, found; and what delivery twice, crashes and lost servers do not do. */
import { localEmbedder } from '@novax/adapters/embedder-local';
import { connectBus } from '@novax/adapters/bus';
import { natsAddress } from '@novax/adapters/nats-address';
import { busNames } from '@novax/adapters/bus-config';
import { connectJobQueue } from '@novax/adapters/queues';
import { type Envelope, eventSubject } from '@novax/contracts/events/envelope';
import { jobId } from '@novax/contracts/jobs';
import { toEnvelope } from '@novax/db/outbox';
import { openDatabase } from '@novax/db/tx';
import { embedDocument, summarizeDocument } from '@novax/domain/documents/enrich';
import type { Embedder, EventBus, Summarizer } from '@novax/domain/ports';
import { Redis } from 'ioredis';
import { connect as connectNats } from 'nats';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reconcile } from '../../apps/workers/src/jobs/run-job.ts';
import { workerRoles } from '../../apps/workers/src/roles.ts';
import { type Actors, makeActors, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { quiet } from '../kit/quiet.ts';
import { servers } from '../kit/servers.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let actors: Actors;
let projectId: string;
let bus: EventBus;
/** Roles run apart, so that a test can stop one and not the others. */
let relay: AsyncDisposable;
let rest: AsyncDisposable;
const slow = { timeoutMs: 20_000, everyMs: 50 } as const;

beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  actors = await makeActors(api);
  ({ id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId }));
  rest = await api.startWorkers({ WORKER_ROLES: workerRoles.filter((role) => role !== 'relay') });
  relay = await api.startWorkers({ WORKER_ROLES: ['relay'] });
  bus = await connectBus({ url: servers().natsUrl, namespace: api.env.NATS_NAMESPACE, log: quiet });
});
afterAll(async () => {
  await bus.close();
  await relay[Symbol.asyncDispose]();
  await rest[Symbol.asyncDispose]();
  await admin.end();
  await api[Symbol.asyncDispose]();
});

/** All that a document's events have led to. */
async function effects(id: string) {
  const rows = async (text: string) => (await admin.query(text, [id])).rows;
  return {
    embeddings: await rows(
      `select id, chunk_no, encode(content_hash, 'hex') as hash from ai_embeddings where document_id = $1 order by chunk_no`,
    ),
    audits: (await rows(`select action, actor_type from audit_log where entity_id = $1 order by id`)).map(
      ({ action, actor_type }) => `${action} by ${actor_type}`,
    ),
    events: (await rows('select event_type, payload, status from events where aggregate_id = $1 order by id')).map(
      ({ event_type, payload }) => (payload.kind === undefined ? event_type : `${event_type} ${payload.kind}`),
    ),
    inbox: (await rows('select consumer from inbox where aggregate_id = $1 order by consumer')).map(
      ({ consumer }) => consumer,
    ),
    document: (
      await rows(
        `select version, updated_at, ai_summary, ai_metadata, encode(content_hash, 'hex') as hash from documents where id = $1`,
      )
    )[0],
  };
}

/** Waits until a document's present text is embedded and summarized and nothing of it is pending; answers its effects. */
function settled(id: string) {
  return eventually(async () => {
    const now = await effects(id);
    expect(now.embeddings[0]?.hash).toBe(now.document.hash);
    expect(now.document.ai_metadata.summary_of).toBe(now.document.hash);
    const { rowCount } = await admin.query(`select from events where aggregate_id = $1 and status <> 'published'`, [
      id,
    ]);
    expect(rowCount).toBe(0);
    return now;
  }, slow);
}

async function envelopesOf(id: string): Promise<Envelope[]> {
  // Columns are those of the relay's own statement.
  const { rows } = await admin.query('select * from events where aggregate_id = $1 order by id', [id]);
  return rows.map(toEnvelope);
}

/** Resolves when the fan-out has nothing left of what was published before and the queue has nothing to do. */
async function quiescent(): Promise<void> {
  const queue = await connectJobQueue({
    url: servers().queueRedisUrl,
    prefix: api.workersEnv.QUEUE_PREFIX,
    log: quiet,
  });
  try {
    await eventually(async () => {
      expect(await admin.query(`select from events where status = 'pending'`)).toMatchObject({ rowCount: 0 });
      expect(await bus.lag('fan-out')).toBe(0);
      for (const { waiting, active } of Object.values(await queue.counts())) expect(waiting + active).toBe(0);
    }, slow);
  } finally {
    await queue.close();
  }
}

test(
  'a document is published, embedded, summarized and found by all three ways, each effect once',
  { timeout: 60_000 },
  async () => {
    const word = unique('capybara');
    const created = await makeDocument(actors.member.client, {
      projectId,
      title: 'Swimming rodents',
      content: `The ${word} is a large rodent that swims well and lives near rivers in South America.`,
    });
    const now = await settled(created.id);
    expect(now.embeddings).toHaveLength(1);
    expect(now.audits.toSorted()).toEqual(['create by user', 'update by ai', 'update by ai']);
    expect(now.events).toHaveLength(3);
    expect(new Set(now.events)).toEqual(
      new Set(['document.created', 'document.enriched embedding', 'document.enriched summary']),
    );
    expect(now.inbox).toEqual(['embed-document', 'summarize-document']);
    const { organizationId } = actors;
    const { client } = actors.viewer;
    for (const [mode, q] of [
      ['fulltext', word],
      ['semantic', 'big animals living in water'],
      ['hybrid', word],
    ] as const) {
      const { hits } = await client.search.query.query({ organizationId, q, mode });
      expect(
        hits.map(({ id }) => id),
        mode,
      ).toContain(created.id);
    }
    const read = await client.documents.get.query({ id: created.id });
    expect(read.aiSummary).toMatchObject({ summary: expect.any(String), key_topics: expect.any(Array) });
  },
);

test('what the AI writes bumps neither the version nor updated_at', { timeout: 60_000 }, async () => {
  const created = await makeDocument(actors.member.client, { projectId, content: 'Reading changes nothing.' });
  const { document } = await settled(created.id);
  expect(document).toMatchObject({ version: 1, updated_at: new Date(created.updatedAt) });
  const read = await actors.member.client.documents.get.query({ id: created.id });
  expect({ version: read.version, updatedAt: read.updatedAt }).toEqual({ version: 1, updatedAt: created.updatedAt });
  // And so the person's own edit of what they read is no conflict.
  await actors.member.client.documents.update.mutate({ id: created.id, version: 1, title: 'Edited' });
});

test('an update is embedded and summarized again, and the old vectors are gone', { timeout: 60_000 }, async () => {
  const { client } = actors.member;
  const { id } = await makeDocument(client, { projectId, content: 'About volcanoes and lava.' });
  const before = await settled(id);
  await client.documents.update.mutate({ id, version: 1, content: 'About glaciers and ice.' });
  const after = await settled(id);
  expect(after.document.hash).not.toBe(before.document.hash);
  expect(after.embeddings).toHaveLength(1);
  expect(after.embeddings[0]?.id).not.toBe(before.embeddings[0]?.id);
});

test(
  'a long document has a vector for each piece and one for the whole, and none is left of more pieces than there are',
  { timeout: 60_000 },
  async () => {
    const { client } = actors.member;
    const paragraphs = Array.from(
      { length: 60 },
      (_, n) =>
        `## Part ${n}\n\nThis is part number ${n} of a long report about rivers, mountains and the people who walk there every day.`,
    );
    const { id } = await makeDocument(client, { projectId, content: paragraphs.join('\n\n') });
    const long = await settled(id);
    expect(long.embeddings.length).toBeGreaterThan(2);
    expect(long.embeddings.map(({ chunk_no }) => chunk_no)).toEqual(long.embeddings.map((_, n) => n));
    await client.documents.update.mutate({ id, version: 1, content: 'Short now.' });
    expect((await settled(id)).embeddings).toHaveLength(1);
  },
);

test(
  'the same events delivered again, past the window in which the stream would recognise them, change nothing',
  { timeout: 60_000 },
  async () => {
    const { id } = await makeDocument(actors.member.client, { projectId, content: 'Once is enough.' });
    await settled(id);
    await quiescent();
    const before = await effects(id);
    const envelopes = await envelopesOf(id);
    const nc = await connectNats(natsAddress(servers().natsUrl));
    try {
      const subject = busNames(api.env.NATS_NAMESPACE).subject;
      for (let round = 0; round < 2; round++) {
        // Another message id each time: only the envelope says that it is the same event.
        for (const event of envelopes)
          await nc.jetstream().publish(subject(eventSubject(event)), JSON.stringify(event), { msgID: unique('again') });
        await quiescent();
      }
    } finally {
      await nc.close();
    }
    expect(await effects(id)).toEqual(before);
  },
);

test(
  'the jobs of an event queued again after the queue has forgotten them change nothing',
  { timeout: 60_000 },
  async () => {
    const { id } = await makeDocument(actors.member.client, { projectId, content: 'Still once.' });
    await settled(id);
    await quiescent();
    const before = await effects(id);
    const [event] = await envelopesOf(id);
    if (event === undefined) throw new Error('no event');
    const payload = {
      organizationId: actors.organizationId,
      documentId: id,
      event: { id: event.id, occurredAt: event.occurredAt, version: event.aggregate.version },
    };
    const queue = await connectJobQueue({
      url: servers().queueRedisUrl,
      prefix: api.workersEnv.QUEUE_PREFIX,
      log: quiet,
    });
    try {
      for (let round = 0; round < 3; round++) {
        await queue.add(
          (['embed-document', 'summarize-document'] as const).map((name) => ({
            name,
            id: jobId(name, event.id),
            payload,
          })),
        );
        await quiescent();
      }
    } finally {
      await queue.close();
    }
    expect(await effects(id)).toEqual(before);
  },
);

test(
  'a job whose event was applied writes nothing, even when its effect has been taken away',
  { timeout: 60_000 },
  async () => {
    const { id } = await makeDocument(actors.member.client, { projectId, content: 'The inbox remembers.' });
    await settled(id);
    const [event] = await envelopesOf(id);
    if (event === undefined) throw new Error('no event');
    await admin.query('delete from ai_embeddings where document_id = $1', [id]);
    await using work = await workbench();
    const job = {
      organizationId: actors.organizationId,
      documentId: id,
      event: { id: event.id, occurredAt: event.occurredAt, version: event.aggregate.version },
    };
    expect(await embedDocument(work, job)).toBe('already');
    expect((await effects(id)).embeddings).toEqual([]);
    // The debt is real now, and its own job, without an event, pays it.
    expect(await embedDocument(work, { ...job, event: null })).toBe('written');
  },
);

test(
  'a relay that dies between publishing and marking publishes again, and the effects are there once',
  { timeout: 60_000 },
  async () => {
    const { id } = await makeDocument(actors.member.client, { projectId, content: 'Published twice.' });
    await settled(id);
    await quiescent();
    const before = await effects(id);
    // What such a death leaves: the stream has the message, the row says pending.
    await admin.query(
      `update events set status = 'pending', published_at = null, stream_seq = null where aggregate_id = $1`,
      [id],
    );
    await quiescent();
    const { rows } = await admin.query('select status, attempts from events where aggregate_id = $1', [id]);
    expect(rows.every(({ status, attempts }) => status === 'published' && attempts === 2)).toBe(true);
    expect(await effects(id)).toEqual(before);
  },
);

test(
  'with the relay away writes go on, and another relay publishes everything in order',
  { timeout: 60_000 },
  async () => {
    const { client } = actors.member;
    await relay[Symbol.asyncDispose]();
    const { id } = await makeDocument(client, { projectId, content: 'Waiting.' });
    await client.documents.update.mutate({ id, version: 1, content: 'Waiting longer.' });
    const { rows: waiting } = await admin.query('select status from events where aggregate_id = $1', [id]);
    expect(waiting.map(({ status }) => status)).toEqual(['pending', 'pending']);
    relay = await api.startWorkers({ WORKER_ROLES: ['relay'] });
    await settled(id);
    const { rows } = await admin.query(
      'select aggregate_version, stream_seq::int from events where aggregate_id = $1 order by stream_seq',
      [id],
    );
    const versions = rows.map(({ aggregate_version }) => aggregate_version);
    expect(versions).toEqual(versions.toSorted((a: number, b: number) => a - b));
  },
);

test('two relays at once publish every event once', { timeout: 60_000 }, async () => {
  await using second = await api.startWorkers({ WORKER_ROLES: ['relay'] });
  expect(second).toBeDefined();
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      makeDocument(actors.member.client, { projectId, content: `Of many, number ${n}.` }),
    ),
  );
  await quiescent();
  const { rows } = await admin.query(
    `select event_id, attempts, stream_seq from events where aggregate_id = any($1) and event_type = 'document.created'`,
    [made.map(({ id }) => id)],
  );
  expect(rows).toHaveLength(20);
  expect(rows.every(({ attempts }) => attempts === 1)).toBe(true);
  expect(new Set(rows.map(({ stream_seq }) => stream_seq)).size).toBe(20);
});

test('a relay whose connection the server ends takes its work up again', { timeout: 60_000 }, async () => {
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'novax_worker' and pid in (select pid from pg_locks where locktype = 'advisory')`,
  );
  const { id } = await makeDocument(actors.member.client, { projectId, content: 'After the cut.' });
  await settled(id);
});

test(
  'events of an unknown kind or version are parked in dead_letters, once, and hold nothing up',
  { timeout: 60_000 },
  async () => {
    const { id } = await makeDocument(actors.member.client, { projectId, content: 'A known one.' });
    await settled(id);
    const [known] = await envelopesOf(id);
    if (known === undefined) throw new Error('no event');
    const ids = [crypto.randomUUID(), crypto.randomUUID()];
    const strange: Envelope[] = [
      { ...known, id: ids[0] ?? '', schemaVersion: 99 },
      { ...known, id: ids[1] ?? '', type: 'document.teleported' },
    ];
    for (let round = 0; round < 2; round++) await bus.publish(strange);
    await eventually(async () => {
      const { rows } = await admin.query(
        'select source, name, event_id, org_id, status, payload from dead_letters where event_id = any($1)',
        [ids],
      );
      expect(rows).toHaveLength(2);
      expect(new Set(rows.map(({ event_id }) => event_id))).toEqual(new Set(ids));
      for (const row of rows)
        expect(row).toMatchObject({
          source: 'consumer',
          name: 'fan-out',
          org_id: actors.organizationId,
          status: 'pending',
          payload: { aggregate: known.aggregate },
        });
    }, slow);
    const { id: next } = await makeDocument(actors.member.client, { projectId, content: 'The next one.' });
    await settled(next);
  },
);

/** What a job needs, on connections of its own. */
async function workbench() {
  const db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 2 });
  const embedder = localEmbedder({ log: quiet });
  const { rows } = await admin.query('select id from embedding_models where name = $1', [embedder.modelId]);
  return {
    db,
    embedder,
    modelId: Number(rows[0].id),
    async [Symbol.asyncDispose]() {
      await embedder.close();
      await db.close();
    },
  };
}

test(
  'a job for a text that changes while it works writes nothing; the change has a job of its own',
  { timeout: 60_000 },
  async () => {
    const { client } = actors.member;
    await using work = await workbench();
    // The relay is away, so that only this test's jobs touch the documents.
    await relay[Symbol.asyncDispose]();
    try {
      const { id } = await makeDocument(client, { projectId, content: 'The first text.' });
      const job = { organizationId: actors.organizationId, documentId: id, event: null };
      const interrupting: Embedder = {
        ...work.embedder,
        embed: async (texts) => {
          const vectors = await work.embedder.embed(texts);
          await client.documents.update.mutate({ id, version: 1, content: 'The second text.' });
          return vectors;
        },
      };
      expect(await embedDocument({ ...work, embedder: interrupting }, job)).toBe('superseded');
      const summarizer: Summarizer = {
        modelId: 'interrupting',
        summarize: async () => {
          await client.documents.update.mutate({ id, version: 2, content: 'The third text.' });
          return {
            summary: 'Of the second.',
            key_topics: [],
            sentiment: 'neutral',
            complexity_score: 1,
            model: 'interrupting',
            confidence: 1,
          };
        },
      };
      expect(await summarizeDocument({ ...work, summarizer }, job)).toBe('superseded');
      const now = await effects(id);
      expect(now.embeddings).toEqual([]);
      expect(now.document.ai_summary).toBeNull();
      expect(now.events).toEqual(['document.created', 'document.updated', 'document.updated']);
      await client.documents.delete.mutate({ id });
      expect(await embedDocument(work, job)).toBe('gone');
    } finally {
      relay = await api.startWorkers({ WORKER_ROLES: ['relay'] });
    }
  },
);

test('work lost with the queue server comes back from the tables', { timeout: 60_000 }, async () => {
  await rest[Symbol.asyncDispose]();
  const { id } = await makeDocument(actors.member.client, { projectId, content: 'Lost and found.' });
  await eventually(
    async () =>
      expect(
        (await admin.query(`select from events where aggregate_id = $1 and status = 'published'`, [id])).rowCount,
      ).toBe(1),
    slow,
  );
  // As if the event had been acknowledged, its jobs queued, and the queue server lost: nothing but the tables knows.
  expect(await purgeEvents()).toBeGreaterThan(0);
  await forgetJobs();
  await admin.query(
    `alter table documents disable trigger user; update documents set updated_at = now() - interval '1 hour' where id = '${id}'; alter table documents enable trigger user`,
  );
  rest = await api.startWorkers({ WORKER_ROLES: workerRoles.filter((role) => role !== 'relay') });
  await settled(id);
});

test('the search for debts finds none when everything is done', { timeout: 60_000 }, async () => {
  await quiescent();
  await admin.query(
    `alter table documents disable trigger user; update documents set updated_at = now() - interval '1 hour'; alter table documents enable trigger user`,
  );
  await using work = await workbench();
  const queue = await connectJobQueue({
    url: servers().queueRedisUrl,
    prefix: api.workersEnv.QUEUE_PREFIX,
    log: quiet,
  });
  try {
    expect(await reconcile({ ...work, queue, log: quiet }, null)).toBe(0);
  } finally {
    await queue.close();
  }
});

/** Takes every message out of the stream; answers how many. */
async function purgeEvents(): Promise<number> {
  const nc = await connectNats(natsAddress(servers().natsUrl));
  const { purged } = await (await nc.jetstreamManager()).streams.purge(busNames(api.env.NATS_NAMESPACE).events);
  await nc.close();
  return purged;
}

/** Removes every job key of this file. */
async function forgetJobs(): Promise<void> {
  const redis = new Redis(servers().queueRedisUrl);
  const keys = await redis.keys(`${api.workersEnv.QUEUE_PREFIX}:*`);
  if (keys.length > 0) await redis.del(keys);
  await redis.quit();
}
