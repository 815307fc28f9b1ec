/** The database's own record of its backups (`backup_runs`), kept as the worker role. */
import { connectDatabase, reasonOf, rowsOf } from '../database/connect.ts';
import type { Manifest } from './manifest.ts';

export interface RunRecord {
  /** Closes runs whose process ended without a word; the caller holds the lock, so none of them can still be running. */
  closeStale(isWhole: (name: string) => Promise<boolean>): Promise<void>;
  start(run: { name: string; location: string; startedAt: Date }): Promise<void>;
  succeed(manifest: Manifest): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/**
 * Writes as the role of `url`, each step in a connection of its own. A record that cannot be written is said through `onTrouble` and never
 * costs the backup: the manifest is the truth.
 */
export function databaseRecord(url: string, onTrouble: (text: string) => void): RunRecord {
  let id: string | undefined;
  const run = async (sql: string, values: readonly unknown[] = []): Promise<{ id: string; name: string | null }[]> => {
    try {
      await using client = await connectDatabase(url, {
        name: 'novax-backup-record',
        timeoutMs: 5000,
        statementMs: 5000,
      });
      return await rowsOf(client, sql, values);
    } catch (error) {
      onTrouble(`backup_runs could not be written: ${reasonOf(error)}`);
      return [];
    }
  };
  return {
    async closeStale(isWhole) {
      const stale = await run(
        `select id, manifest ->> 'name' as name from public.backup_runs where kind = 'logical' and status = 'running'`,
      );
      for (const row of stale) {
        const whole = row.name !== null && (await isWhole(row.name));
        await run(`update public.backup_runs set status = $2, error = $3, finished_at = now() where id = $1`, [
          row.id,
          whole ? 'succeeded' : 'failed',
          whole ? null : 'its process ended before the backup was whole',
        ]);
      }
    },
    async start({ name, location, startedAt }) {
      const [row] = await run(
        `insert into public.backup_runs (kind, status, location, manifest, started_at) values ('logical', 'running', $1, jsonb_build_object('name', $2::text), $3) returning id, null as name`,
        [location, name, startedAt],
      );
      id = row?.id;
    },
    async succeed(manifest) {
      if (id === undefined) return;
      const bytes = [...manifest.tables, ...manifest.blobs].reduce((sum, file) => sum + file.bytes, 0);
      const summary = {
        name: manifest.name,
        migration: manifest.migrations.version,
        tables: manifest.tables.length,
        blobs: manifest.blobs.length,
        rows: totalRows(manifest),
      };
      await run(
        `update public.backup_runs set status = 'succeeded', finished_at = now(), size_bytes = $2, sha256 = decode($3, 'hex'), manifest = $4 where id = $1`,
        [id, bytes, manifest.sha256, JSON.stringify(summary)],
      );
    },
    async fail(error) {
      if (id !== undefined)
        await run(`update public.backup_runs set status = 'failed', finished_at = now(), error = $2 where id = $1`, [
          id,
          reasonOf(error),
        ]);
    },
  };
}

/** Rows of all tables together. */
export function totalRows(manifest: Manifest): number {
  return manifest.tables.reduce((sum, table) => sum + table.rows, 0);
}
