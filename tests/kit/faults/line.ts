/** The whole line of an event in real processes: API, relay and a witness, any of which a test may replace by one that is armed to die. */
import type { CrashPoint } from '@novax/runtime/crash';
import type { Client } from 'pg';
import { makeActors, type Actors } from '../actors.ts';
import { startTestApi, type TestApi } from '../api.ts';
import { connect } from '../database.ts';
import { makeDocument, makeProject } from '../factories.ts';
import type { Change, Moment } from './history.ts';
import { startProcess, type TestProcess } from './processes.ts';
import { witnessTable } from './witness.ts';

export interface Line extends AsyncDisposable {
  readonly api: TestApi;
  readonly admin: Client;
  readonly actors: Actors;
  readonly projectId: string;
  /** Starts a relay that dies at `crash`, when one is given. */
  relay(crash?: `${CrashPoint}:${number}`): Promise<TestProcess>;
  /** Starts the witness, likewise. One at a time, so that the order of its traces is the order of its effects. */
  witness(crash?: `${CrashPoint}:${number}`, settings?: Readonly<Record<string, unknown>>): Promise<TestProcess>;
  /** Starts an API process beside the one in the test's own; answers its address too. */
  apiProcess(crash?: `${CrashPoint}:${number}`): Promise<TestProcess & { readonly url: string }>;
  /** A new document at version 1. */
  document(): Promise<string>;
  /** What the witness did for these documents, in order. */
  effects(documents: readonly string[]): Promise<Moment[]>;
  /** Events not yet published, of these documents. */
  pending(documents: readonly string[]): Promise<number>;
}

/** The name of a change in a history: made of what both its writer and its witness know. */
export function changeOf(aggregate: string, version: number): Change {
  return { eventId: `${aggregate}:${version}`, aggregate, version };
}

/** Starts the API and makes the place that events are about; the processes are the caller's to start. `natsUrl` names another NATS than the test run's. */
export async function startLine(options: { readonly natsUrl?: string } = {}): Promise<Line> {
  await using stack = new AsyncDisposableStack();
  const nats = options.natsUrl === undefined ? {} : { NATS_URL: options.natsUrl };
  const api = stack.use(await startTestApi({ env: nats }));
  const admin = stack.use(await connect(api.database.adminUrl));
  await admin.query(witnessTable);
  const actors = await makeActors(api);
  const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
  const workers = { ...api.workersEnv, ...nats, METRICS_PORT: 0 };
  const owned = stack.move();
  const start = async (options: Parameters<typeof startProcess>[0]): Promise<TestProcess> =>
    owned.use(await startProcess(options));
  return {
    api,
    admin,
    actors,
    projectId,
    relay: (crash) =>
      start({
        script: 'apps/workers/src/main.ts',
        env: { ...workers, WORKER_ROLES: ['relay'], NOVAX_CRASH_AT: crash },
        ready: /"working"/,
      }),
    witness: (crash, settings) =>
      start({
        script: 'tests/kit/faults/witness-main.ts',
        env: { ...workers, ...settings, NOVAX_CRASH_AT: crash },
        ready: /"watching"/,
      }),
    async apiProcess(crash) {
      let url = '';
      const process = await start({
        script: 'apps/api/src/main.ts',
        env: { ...api.env, NOVAX_CRASH_AT: crash },
        ready: /"url":"([^"]+)"/,
        onReady: (found) => (url = found),
      });
      return { ...process, url };
    },
    document: async () => (await makeDocument(actors.owner.client, { projectId })).id,
    async effects(documents) {
      const { rows } = await admin.query<{
        type: 'effect' | 'overtaken';
        consumer: string;
        id: string;
        version: number;
      }>(
        `select 'effect' as type, consumer, aggregate_id as id, version, n from witnessed
          where aggregate_id = any($1) and event_type in ('document.created', 'document.updated')
         union all
         select 'overtaken', i.consumer, i.aggregate_id, i.aggregate_version, null from inbox i join events e using (event_id)
          where i.aggregate_id = any($1) and e.event_type in ('document.created', 'document.updated')
            and i.consumer in (select consumer from witnessed)
            and not exists (select from witnessed w where w.consumer = i.consumer and w.event_id = i.event_id)
         order by n`,
        [documents],
      );
      return rows.map(({ type, consumer, id, version }) => ({ type, consumer, ...changeOf(id, version) }));
    },
    async pending(documents) {
      const { rowCount } = await admin.query(`select from events where status = 'pending' and aggregate_id = any($1)`, [
        documents,
      ]);
      return rowCount ?? 0;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
