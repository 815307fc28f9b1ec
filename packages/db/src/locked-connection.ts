/** A direct connection that holds session-level advisory locks, and runs its owner's statements on the same session. */
import { Socket } from 'node:net';
import pg from 'pg';
import type { Statement, Value } from './statement.ts';

export interface LockedConnection extends AsyncDisposable {
  /** Tries for the locks `(lockClass, 0…count−1)` not yet held; answers all that are. Losing the session loses them all. */
  hold(lockClass: number, count: number): Promise<readonly number[]>;
  sql<Row>(statement: Statement<Row>, values: readonly Value[]): Promise<readonly Row[]>;
}

/** Above the time limit of any role's statements. */
const silentMs = 70_000;

/**
 * Connects; statements are planned by index alone, in the index's order: once, or, with `plan: 'each'`, at each call for its values and the tables as they
 * are then. Throws when the database cannot be reached; once the connection breaks every call throws, which it
 * also does after a minute without a statement.
 */
export async function openLockedConnection(
  url: string,
  { plan }: { readonly plan: 'once' | 'each' },
): Promise<LockedConnection> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'novax-locked',
    keepAlive: true,
    stream: () => {
      const socket = new Socket();
      // A server that says nothing must not hold its owner for ever. The socket's clock and not the client's, whose timer for each statement keeps
      // what that answered alive until a full collection.
      return socket.setTimeout(silentMs, () => socket.destroy(new Error('the database has been silent for too long')));
    },
  });
  // The failing call reports the loss; without a listener the event would end the process.
  client.on('error', () => undefined);
  await client.connect();
  // The tables are empty at one moment and hold a backlog at the next, which no statistics follow: a plan made for the one reads everything in the other.
  await client.query(
    `set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set enable_hashjoin = off; set enable_mergejoin = off; set plan_cache_mode = ${plan === 'once' ? 'force_generic_plan' : 'force_custom_plan'}`,
  );
  const held = new Set<number>();
  return {
    async hold(lockClass, count) {
      const missing = Array.from({ length: count }, (_, key) => key).filter((key) => !held.has(key));
      if (missing.length > 0) {
        const { rows } = await client.query<{ key: number; ok: boolean }>(
          'select key, pg_try_advisory_lock($1::int, key) as ok from unnest($2::int[]) as key',
          [lockClass, missing],
        );
        for (const { key, ok } of rows) if (ok) held.add(key);
      }
      return [...held];
    },
    sql<Row>(statement: Statement<Row>, values: readonly Value[]): Promise<readonly Row[]> {
      const { name, text } = statement;
      // By callback: each of the client's own promises keeps the one before it alive, with all its rows, until a full collection, and small ones copy them.
      return new Promise((resolve, reject) => {
        client.query({ name, text, values: [...values] }, (failure, result) => {
          if (failure) reject(failure);
          // The statement's declaration is the typed edge.
          else resolve(result.rows as readonly Row[]);
        });
      });
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => undefined);
    },
  };
}
