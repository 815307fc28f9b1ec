/** An outbox with relays and a witness as processes of their own, and writers that hold their transactions open, roll back, and keep a history. */
import { busNames, type BusNames } from '@novax/adapters/bus-config';
import { natsAddress } from '@novax/adapters/nats-address';
import { newId } from '@novax/runtime/ids';
import { connect as connectNats, type JetStreamManager } from 'nats';
import type pg from 'pg';
import { expect } from 'vitest';
import { startTestApi, type TestApi } from '../api.ts';
import { connect } from '../database.ts';
import { eventually } from '../eventually.ts';
import type { Moment } from './history.ts';
import { startProcess, type TestProcess } from './processes.ts';
import { witnessTable } from './witness.ts';

export interface Outbox extends AsyncDisposable {
  readonly api: TestApi;
  readonly admin: pg.Client;
  readonly names: BusNames;
  readonly jsm: JetStreamManager;
  /** What relays logged at level warn or above. */
  readonly warnings: readonly string[];
  /** Starts a relay; `env` adds to its settings. */
  relay(env?: Readonly<Record<string, unknown>>): Promise<TestProcess>;
  witness(): Promise<TestProcess>;
  /** Connections for writers, past the policies. */
  writers(count: number): Promise<pg.Client[]>;
  /** Waits until nothing is pending and the witness has an effect for every published event. */
  settled(timeoutMs: number): Promise<void>;
  effects(): Promise<Moment[]>;
}

/** Starts the servers' side; processes are the caller's to start. */
export async function startOutbox(): Promise<Outbox> {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await startTestApi());
  const admin = stack.use(await connect(api.database.adminUrl));
  await admin.query(witnessTable);
  await admin.query('create table public.written (aggregate_id uuid primary key, version integer not null default 0)');
  const nc = await connectNats(natsAddress(api.workersEnv.NATS_URL));
  stack.defer(() => nc.close());
  const jsm = await nc.jetstreamManager();
  const names = busNames(api.workersEnv.NATS_NAMESPACE);
  const warnings: string[] = [];
  const env = { ...api.workersEnv, METRICS_PORT: 0 };
  const owned = stack.move();
  return {
    api,
    admin,
    names,
    jsm,
    warnings,
    relay: async (more = {}) =>
      owned.use(
        await startProcess({
          script: 'apps/workers/src/main.ts',
          env: { ...env, WORKER_ROLES: ['relay'], ...more },
          ready: /"working"/,
          onLine: (line) => {
            if (/"level":"(warn|error|fatal)"/.test(line)) warnings.push(line);
          },
        }),
      ),
    witness: async () =>
      owned.use(await startProcess({ script: 'tests/kit/faults/witness-main.ts', env, ready: /"watching"/ })),
    writers: (count) =>
      Promise.all(Array.from({ length: count }, async () => owned.use(await connect(api.database.adminUrl)))),
    async settled(timeoutMs) {
      await eventually(
        async () => {
          const { rows } = await admin.query<{ pending: string; owed: string }>(
            `select (select count(*) from events where status <> 'published') as pending,
                    (select count(*) from events e where not exists (select from witnessed w where w.event_id = e.event_id)) as owed`,
          );
          expect(rows[0]).toEqual({ pending: '0', owed: '0' });
        },
        { timeoutMs, everyMs: 200 },
      );
    },
    async effects() {
      const { rows } = await admin.query<{ event_id: string; aggregate_id: string; version: number }>(
        'select event_id, aggregate_id, version from witnessed order by n',
      );
      return rows.map((row) => ({
        type: 'effect',
        consumer: 'witness',
        eventId: row.event_id,
        aggregate: row.aggregate_id,
        version: row.version,
      }));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export interface WriteOptions {
  readonly aggregate: string;
  /** How long the transaction stays open after it took the event's id. */
  readonly openMs: number;
  readonly rollback: boolean;
  readonly history: Moment[];
}

/** One change as a command makes it: the aggregate's row locked, its event inserted, and the end some time later. */
export async function writeChange(client: pg.Client, write: WriteOptions): Promise<void> {
  const { aggregate, openMs, rollback, history } = write;
  const eventId = newId();
  await client.query('begin');
  const { rows } = await client.query<{ version: number }>(
    `insert into written values ($1, 1) on conflict (aggregate_id) do update set version = written.version + 1 returning version`,
    [aggregate],
  );
  const change = { eventId, aggregate, version: rows[0]?.version ?? 0 };
  history.push({ type: 'invoke', ...change });
  await client.query(
    `insert into events (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, actor_type, payload)
     values ($1, 'document.updated', 'document', $2, $3, 'system', '{}')`,
    [eventId, aggregate, change.version],
  );
  await client.query('select pg_sleep($1)', [openMs / 1000]);
  await client.query(rollback ? 'rollback' : 'commit');
  history.push({ type: rollback ? 'fail' : 'ok', ...change });
}

/** Inserts committed events at once, one statement: `count` of them, one for each of as many aggregates. Answers the aggregates. */
export async function writeMany(admin: pg.Client, count: number, type = 'document.updated'): Promise<string[]> {
  const aggregates = Array.from({ length: count }, () => newId());
  await admin.query(
    `insert into events (event_type, aggregate_type, aggregate_id, aggregate_version, actor_type, payload)
     select $2, 'document', id, 1, 'system', '{}' from unnest($1::uuid[]) as id`,
    [aggregates, type],
  );
  return aggregates;
}

/** Quantile of seconds from an event's insertion to its mark, by the database's clock, of some aggregates. */
export async function lagOf(admin: pg.Client, aggregates: readonly string[], quantile: number): Promise<number> {
  const { rows } = await admin.query<{ lag: number }>(
    `select percentile_disc($2) within group (order by extract(epoch from published_at - created_at)::float8) as lag
       from events where status = 'published' and aggregate_id = any($1)`,
    [aggregates, quantile],
  );
  return rows[0]?.lag ?? Infinity;
}
