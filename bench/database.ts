/** A migrated database of the benchmark's own, with a way to fill its outbox. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { bootstrapCluster, LOGIN_ROLES, withDatabase } from '@novax/db/bootstrap';
import { migrateUp } from '@novax/db/migrate';
import pg from 'pg';

/** Roles are the cluster's, so their password must be the one that tests on the same cluster set. */
const password = 'novax-test';
const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

export interface BenchDatabase extends AsyncDisposable {
  readonly admin: pg.Client;
  /** Superuser, past the policies. */
  readonly adminUrl: string;
  readonly workerUrl: string;
}

/** Makes it on the server of `adminUrl`; dropped on disposal. */
export async function benchDatabase(adminUrl: string): Promise<BenchDatabase> {
  const database = `novax_bench_${randomBytes(4).toString('hex')}`;
  const passwords = Object.fromEntries(LOGIN_ROLES.map((role) => [role, password]));
  await bootstrapCluster({ adminUrl, database, passwords, sqlFile: at('infra/images/postgres/bootstrap.sql') });
  const signedInAs = (role: string): string => {
    const url = new URL(withDatabase(adminUrl, database));
    url.username = role;
    url.password = password;
    return url.href;
  };
  await migrateUp({ url: signedInAs('novax_migrator'), dir: at('migrations') });
  const admin = new pg.Client({ connectionString: withDatabase(adminUrl, database) });
  await admin.connect();
  return {
    admin,
    adminUrl: withDatabase(adminUrl, database),
    workerUrl: signedInAs('novax_worker'),
    async [Symbol.asyncDispose]() {
      await admin.end();
      const client = new pg.Client({ connectionString: withDatabase(adminUrl, 'postgres') });
      await client.connect();
      await client.query(`drop database if exists ${database} with (force)`);
      await client.end();
    },
  };
}

/** Empties the outbox, forgets the stream it went into, and puts `count` events of `aggregates` documents there, interleaved, of about 260 bytes each. */
export async function fillOutbox(admin: pg.Client, count: number, aggregates: number): Promise<void> {
  await admin.query('truncate events, event_streams');
  await admin.query(
    `insert into events (event_type, aggregate_type, aggregate_id, aggregate_version, org_id, actor_type, payload)
     select 'document.updated', 'document', ids[1 + n % $2], 1 + n / $2, ids[1], 'system',
            jsonb_build_object('documentId', ids[1 + n % $2], 'projectId', ids[1], 'version', 1 + n / $2, 'changed', '["title", "content"]'::jsonb, 'pad', repeat('x', 60))
       from (select array_agg(gen_random_uuid()) as ids from generate_series(1, $2::int)) a, generate_series(0, $1::int - 1) n order by n`,
    [count, aggregates],
  );
  await admin.query('vacuum analyze events_pending');
}
