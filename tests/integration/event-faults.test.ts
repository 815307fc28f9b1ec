/** What crashes, lost servers and races do not do to the work that events owe. */
import { owedDocuments } from '@novax/db/queries/upkeep';
import { fakeSearchEngine } from '@novax/adapters/fakes/search-engine';
import { embedDocument, summarizeDocument } from '@novax/domain/documents/enrich';
import { indexDocument } from '@novax/domain/documents/index-document';
import type { Embedder, SearchEngine, Summarizer } from '@novax/domain/ports';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reconcile } from '../../apps/workers/src/jobs/run-job.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeProject } from '../kit/factories.ts';
import { type Flow, slow, startFlow } from '../kit/flow.ts';
import { quiet } from '../kit/quiet.ts';

let flow: Flow;
beforeAll(async () => {
  flow = await startFlow();
});
afterAll(() => flow[Symbol.asyncDispose]());

test(
  'a relay that dies between publishing and marking publishes again, and the effects are there once',
  { timeout: 60_000 },
  async () => {
    const { id } = await makeDocument(flow.actors.member.client, {
      projectId: flow.projectId,
      content: 'Published twice.',
    });
    await flow.settled(id);
    await flow.quiescent();
    const before = await flow.effects(id);
    // What such a death leaves: the stream has the message, the row says pending.
    await flow.admin.query(
      `update events set status = 'pending', published_at = null, stream_seq = null where aggregate_id = $1`,
      [id],
    );
    await flow.quiescent();
    const { rows } = await flow.admin.query('select status, attempts from events where aggregate_id = $1', [id]);
    expect(rows.every(({ status, attempts }) => status === 'published' && attempts === 2)).toBe(true);
    expect(await flow.effects(id)).toEqual(before);
  },
);

test(
  'with the relay away writes go on, and another relay publishes everything in order',
  { timeout: 60_000 },
  async () => {
    const { client } = flow.actors.member;
    await flow.stop('relay');
    const { id } = await makeDocument(client, { projectId: flow.projectId, content: 'Waiting.' });
    await client.documents.update.mutate({ id, version: 1, content: 'Waiting longer.' });
    const { rows: waiting } = await flow.admin.query('select status from events where aggregate_id = $1', [id]);
    expect(waiting.map(({ status }) => status)).toEqual(['pending', 'pending']);
    await flow.start('relay');
    await flow.settled(id);
    const { rows } = await flow.admin.query(
      'select aggregate_version, stream_seq::int from events where aggregate_id = $1 order by stream_seq',
      [id],
    );
    const versions = rows.map(({ aggregate_version }) => aggregate_version);
    expect(versions).toEqual(versions.toSorted((a: number, b: number) => a - b));
  },
);

test('two relays at once publish every event once', { timeout: 60_000 }, async () => {
  await using second = await flow.api.startWorkers({ WORKER_ROLES: ['relay'] });
  expect(second).toBeDefined();
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      makeDocument(flow.actors.member.client, { projectId: flow.projectId, content: `Of many, number ${n}.` }),
    ),
  );
  await flow.quiescent();
  const { rows } = await flow.admin.query(
    `select event_id, attempts, stream_seq from events where aggregate_id = any($1) and event_type = 'document.created'`,
    [made.map(({ id }) => id)],
  );
  expect(rows).toHaveLength(20);
  expect(rows.every(({ attempts }) => attempts === 1)).toBe(true);
  expect(new Set(rows.map(({ stream_seq }) => stream_seq)).size).toBe(20);
});

test('a relay whose connection the server ends takes its work up again', { timeout: 60_000 }, async () => {
  await flow.admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'novax_worker' and pid in (select pid from pg_locks where locktype = 'advisory')`,
  );
  const { id } = await makeDocument(flow.actors.member.client, {
    projectId: flow.projectId,
    content: 'After the cut.',
  });
  await flow.settled(id);
});

test(
  'a job for a text that changes while it works, or that is told to stop, writes nothing; the change has a job of its own',
  { timeout: 60_000 },
  async () => {
    const { client } = flow.actors.member;
    await using work = await flow.workbench();
    // The relay is away, so that only this test's jobs touch the documents.
    await flow.stop('relay');
    try {
      const { id } = await makeDocument(client, { projectId: flow.projectId, content: 'The first text.' });
      const job = { organizationId: flow.actors.organizationId, documentId: id, event: null };
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
      // As a try whose time is over: what the model says then is nobody's any more.
      const stop = new AbortController();
      const late: Embedder = {
        ...work.embedder,
        embed: async (texts) => {
          stop.abort(new Error('told to stop'));
          return work.embedder.embed(texts);
        },
      };
      await expect(embedDocument({ ...work, embedder: late, signal: stop.signal }, job)).rejects.toThrow(
        'told to stop',
      );
      const now = await flow.effects(id);
      expect(now.embeddings).toEqual([]);
      expect(now.document.ai_summary).toBeNull();
      expect(now.events).toEqual(['document.created', 'document.updated', 'document.updated']);
      await client.documents.delete.mutate({ id });
      expect(await embedDocument(work, job)).toBe('gone');
    } finally {
      await flow.start('relay');
    }
  },
);

test('work lost with the queue server comes back from the tables', { timeout: 60_000 }, async () => {
  await flow.stop('rest');
  const { id } = await makeDocument(flow.actors.member.client, {
    projectId: flow.projectId,
    content: 'Lost and found.',
  });
  await eventually(
    async () =>
      expect(
        (await flow.admin.query(`select from events where aggregate_id = $1 and status = 'published'`, [id])).rowCount,
      ).toBe(1),
    slow,
  );
  // As if the event had been acknowledged, its jobs queued, and the queue server lost: nothing but the tables knows.
  await flow.loseQueues();
  await flow.admin.query(
    `alter table documents disable trigger user; update documents set updated_at = now() - interval '1 hour' where id = '${id}'; alter table documents enable trigger user`,
  );
  await flow.start('rest');
  await flow.settled(id);
});

test(
  'a debt that is queued twice, by its event and by the search for debts, is paid once',
  { timeout: 60_000 },
  async () => {
    await flow.quiescent();
    await flow.stop('rest');
    try {
      const { client, organizationId } = { ...flow.actors.member, organizationId: flow.actors.organizationId };
      const { id: documentId } = await makeDocument(client, { projectId: flow.projectId, content: 'Owed twice.' });
      const [created] = await flow.envelopesOf(documentId);
      if (created === undefined) throw new Error('the creation has no event');
      const event = { id: created.id, occurredAt: created.occurredAt, version: 1 };
      await using work = await flow.workbench();
      const outcomes = await Promise.all([
        embedDocument(work, { organizationId, documentId, event }),
        embedDocument(work, { organizationId, documentId, event: null }),
      ]);
      expect(outcomes.toSorted()).toEqual(['already', 'written']);
      const { events, audits } = await flow.effects(documentId);
      expect(events).toEqual(['document.created', 'document.enriched embedding']);
      expect(audits).toEqual(['create by user', 'update by ai']);
    } finally {
      await flow.start('rest');
    }
  },
);

test('documents of a deleted project owe nothing, those of a living one do', { timeout: 60_000 }, async () => {
  await flow.quiescent();
  await flow.stop('rest');
  try {
    const { client } = flow.actors.owner;
    const { id: endedProject } = await makeProject(client, { organizationId: flow.actors.organizationId });
    const [ended, living] = [
      await makeDocument(client, { projectId: endedProject }),
      await makeDocument(client, { projectId: flow.projectId }),
    ];
    await client.projects.delete.mutate({ id: endedProject });
    await flow.admin.query(
      `alter table documents disable trigger user; update documents set updated_at = now() - interval '1 hour'; alter table documents enable trigger user`,
    );
    await using work = await flow.workbench();
    const owed = await owedDocuments(work.db, { modelId: work.modelId, indexed: false, sinceS: null, limit: 100 });
    expect(owed.filter(({ document_id }) => document_id === living.id)).toHaveLength(2);
    expect(owed.filter(({ document_id }) => document_id === ended.id)).toEqual([]);
  } finally {
    await flow.start('rest');
  }
});

test(
  'a lost index-document job comes back, and what the engine confirmed is owed no more',
  { timeout: 60_000 },
  async () => {
    await flow.quiescent();
    const { client } = flow.actors.member;
    const { id } = await makeDocument(client, { projectId: flow.projectId, title: 'Platypus', content: 'First.' });
    await flow.settled(id);
    // This installation's workers have no engine, so that no index-document job was ever made: as if each had been lost.
    await using work = await flow.workbench();
    const engine = fakeSearchEngine();
    const parts = { ...work, searchEngine: engine };
    const organizationId = flow.actors.organizationId;
    const job = { organizationId, documentId: id, event: null };
    const debts = async (): Promise<string[]> => {
      await flow.admin.query(
        `alter table documents disable trigger user; update documents set updated_at = now() - interval '1 hour' where id = '${id}'; alter table documents enable trigger user`,
      );
      const owed = await owedDocuments(work.db, { modelId: work.modelId, indexed: true, sinceS: null, limit: 500 });
      return owed
        .filter(({ document_id }) => document_id === id)
        .map(({ job: name, fingerprint }) => `${name} ${fingerprint}`);
    };
    const hits = async (): Promise<readonly unknown[]> =>
      engine.query({ organizationId, projectId: null, q: 'platypus', limit: 5 });

    expect(await debts()).toEqual(['index-document 1']);
    expect(await indexDocument(parts, job)).toBe('indexed');
    expect(await debts()).toEqual([]);
    await client.documents.update.mutate({ id, version: 1, content: 'Second.' });
    await flow.settled(id);
    expect(await debts()).toEqual(['index-document 2']);

    // A change that overtakes the engine's write leaves the newest text in the engine, whichever write comes last.
    let turn = 0;
    const overtaken: SearchEngine = {
      ...engine,
      async upsert(documents) {
        turn += 1;
        if (turn === 1)
          await client.documents.update.mutate({ id, version: 2, title: 'Platypus again', content: 'Third.' });
        await engine.upsert(documents);
      },
    };
    expect(await indexDocument({ ...parts, searchEngine: overtaken }, job)).toBe('indexed');
    expect(await hits()).toMatchObject([{ id, snippet: 'Third.' }]);
    await flow.settled(id);
    expect(await debts()).toEqual([]);

    await client.documents.delete.mutate({ id });
    expect(await debts()).toEqual(['index-document 4']);
    expect(await indexDocument(parts, job)).toBe('removed');
    expect(await hits()).toEqual([]);
    expect(await debts()).toEqual([]);
  },
);

test('the search for debts finds none when everything is done', { timeout: 60_000 }, async () => {
  await flow.quiescent();
  await flow.admin.query(
    `alter table documents disable trigger user; update documents set updated_at = now() - interval '1 hour'; alter table documents enable trigger user`,
  );
  await using work = await flow.workbench();
  expect(await reconcile({ ...work, searchEngine: null, queue: flow.queue, log: quiet }, null)).toBe(0);
});
