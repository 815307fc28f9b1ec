/** The product's background jobs in processes of their own: API, relay and fan-out in the test's process, a queue server to lose, and a model as slow as a test wants. */
import { connectJobQueue } from '@novax/adapters/queues';
import type { QueueName } from '@novax/contracts/jobs';
import type { JobQueue } from '@novax/domain/ports';
import { Queue } from 'bullmq';
import type { Client } from 'pg';
import { expect } from 'vitest';
import { stubServer } from '../../conformance/stub-server.ts';
import { makeActors, type Actors } from '../actors.ts';
import { startTestApi, type TestApi } from '../api.ts';
import { connect } from '../database.ts';
import { eventually } from '../eventually.ts';
import { makeDocument, makeProject } from '../factories.ts';
import { quiet } from '../quiet.ts';
import { ownValkey, type OwnValkey } from './own-valkey.ts';
import { startProcess, type TestProcess } from './processes.ts';

export interface JobYard extends AsyncDisposable {
  readonly api: TestApi;
  readonly admin: Client;
  readonly actors: Actors;
  readonly projectId: string;
  readonly valkey: OwnValkey;
  readonly queue: JobQueue;
  /** Milliseconds the model takes from now on, and the calls it is answering. */
  readonly model: { delayMs: number; calls: number };
  /** Starts a worker process that runs jobs. */
  jobs(env?: Readonly<Record<string, unknown>>): Promise<TestProcess>;
  documents(count: number): Promise<readonly string[]>;
  /** Makes documents old enough for the search for debts, in place of waiting half a minute. */
  age(documents: readonly string[]): Promise<void>;
  /** Resolves when every document has what its jobs owe it; throws, also, when one has anything twice. Answers the milliseconds that took. */
  paid(documents: readonly string[], timeoutMs: number): Promise<number>;
  pause(queue: QueueName): Promise<void>;
  resume(queue: QueueName): Promise<void>;
  /** How often a job was taken from a worker that gave no sign of life. */
  stalls(queue: QueueName): Promise<number>;
}

/** Starts everything but the job processes. */
export async function startJobYard(): Promise<JobYard> {
  await using stack = new AsyncDisposableStack();
  const model = { delayMs: 0, calls: 0 };
  const server = stack.use(
    await stubServer(async (request) => {
      const { input } = request.json<{ input: string[] }>();
      model.calls += 1;
      await new Promise((resolve) => setTimeout(resolve, model.delayMs));
      model.calls -= 1;
      return { body: { data: input.map((text, index) => ({ index, embedding: [1, text.length, 3, 4] })) } };
    }),
  );
  const valkey = stack.use(await ownValkey());
  const api = stack.use(
    await startTestApi({
      embedder: { baseUrl: server.url, model: 'slow' },
      env: { QUEUE_REDIS_URL: valkey.url },
    }),
  );
  const admin = stack.use(await connect(api.database.adminUrl));
  const actors = await makeActors(api);
  const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
  const workers = { ...api.workersEnv, QUEUE_REDIS_URL: valkey.url };
  const prefix = workers.QUEUE_PREFIX;
  stack.use(await api.startWorkers({ QUEUE_REDIS_URL: valkey.url, WORKER_ROLES: ['relay', 'fan-out', 'schedules'] }));
  const queue = await connectJobQueue({ url: valkey.url, prefix, log: quiet });
  stack.defer(() => queue.close());
  const raw = async <T>(name: QueueName, act: (it: Queue) => Promise<T>): Promise<T> => {
    const it = new Queue(name, { connection: valkey.redis, prefix: prefix ?? '' });
    const done = await act(it);
    await it.close();
    return done;
  };
  const owned = stack.move();
  return {
    api,
    admin,
    actors,
    projectId,
    valkey,
    queue,
    model,
    async jobs(env = {}) {
      const settings = { ...workers, METRICS_PORT: 0, WORKER_ROLES: ['jobs'], JOB_LOCK_MS: 1000, ...env };
      return owned.use(await startProcess({ script: 'apps/workers/src/main.ts', env: settings, ready: /"working"/ }));
    },
    documents: async (count) =>
      Promise.all(
        Array.from({ length: count }, async () => (await makeDocument(actors.owner.client, { projectId })).id),
      ),
    age: async (documents) =>
      void (await admin.query(
        `alter table documents disable trigger user;
         update documents set updated_at = now() - interval '1 hour' where id in (${documents.map((id) => `'${id}'`).join()});
         alter table documents enable trigger user`,
      )),
    async paid(documents, timeoutMs) {
      const started = performance.now();
      await eventually(() => assertPaid(admin, documents), { timeoutMs, everyMs: 50 });
      const ms = Math.round(performance.now() - started);
      // What would be done twice is done by now, or waits where this looks.
      await eventually(
        async () => {
          const { waiting, active, failed } = (await queue.counts()).embedding;
          expect({ waiting, active, failed }).toEqual({ waiting: 0, active: 0, failed: 0 });
        },
        { timeoutMs: 20_000, everyMs: 50 },
      );
      await assertPaid(admin, documents);
      return ms;
    },
    pause: (name) => raw(name, (it) => it.pause()),
    resume: (name) => raw(name, (it) => it.resume()),
    async stalls(name) {
      const entries = await valkey.redis.xrange(`${prefix}:${name}:events`, '-', '+');
      return entries.filter(([, fields]) => fields[fields.indexOf('event') + 1] === 'stalled').length;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Each effect exactly once: the vectors, the summary, their events and their lines in the trail. */
async function assertPaid(admin: Client, documents: readonly string[]): Promise<void> {
  const { rows } = await admin.query(
    `select count(*)::int as documents, coalesce(sum(vectors), 0)::int as vectors, count(summary)::int as summaries,
            coalesce(sum(enriched), 0)::int as enriched, coalesce(sum(audited), 0)::int as audited,
            max(greatest(vectors, enriched - 1, audited - 1))::int as most
       from (select d.ai_summary as summary,
               (select count(*) from ai_embeddings v where v.document_id = d.id) as vectors,
               (select count(*) from events e where e.aggregate_id = d.id and e.event_type = 'document.enriched') as enriched,
               (select count(*) from audit_log a where a.entity_id = d.id and a.actor_type = 'ai') as audited
             from documents d where d.id = any($1)) of_each`,
    [documents],
  );
  const n = documents.length;
  expect(rows).toEqual([{ documents: n, vectors: n, summaries: n, enriched: 2 * n, audited: 2 * n, most: 1 }]);
  expect((await admin.query(`select name, error from dead_letters where source = 'job'`)).rows).toEqual([]);
}
