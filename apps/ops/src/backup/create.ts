/** Makes a backup: every table in one snapshot, then the stored files, then the manifest that makes it one. */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { CommandFailure } from '../cli/command.ts';
import { connectDatabase, rowOf, rowsOf } from '../database/connect.ts';
import { isMissing } from '../stack/config.ts';
import {
  assertSeesEverything,
  copyOut,
  identities,
  migrationState,
  pinTextFormat,
  tablesInOrder,
} from './catalogue.ts';
import type { TableShape } from './catalogue.ts';
import type { BlobEntry, Manifest, TableEntry } from './manifest.ts';
import { FORMAT_VERSION, MANIFEST_FILE, serializeManifest } from './manifest.ts';
import type { RunRecord } from './record.ts';
import { meter } from './streams.ts';
import type { BackupTarget } from './target.ts';

export interface CreateOptions {
  /** Signs in as a role that row-level security does not bind. */
  url: string;
  target: BackupTarget;
  /** Folder of the stored files; absent when they are kept elsewhere. */
  storageDir?: string;
  /** Keeps the record of backups; absent when no role that may is known. */
  record?: RunRecord;
  signal?: AbortSignal;
  onTable?: (done: { index: number; total: number; table: string }) => void;
}

/**
 * Saves everything as it was at one instant and answers the manifest. Until the manifest is in place the backup does not count, so an end at
 * any moment leaves a whole backup or an incomplete one. Throws `CommandFailure` when another one runs on this database (advisory lock), when
 * the role would miss rows, or the database is not migrated; an `AbortError` when stopped.
 */
export async function createBackup(options: CreateOptions): Promise<Manifest> {
  const { target, signal } = options;
  const createdAt = new Date();
  await using client = await connectDatabase(options.url, { name: 'novax-backup' });
  await pinTextFormat(client);
  await lockOutOthers(client);
  await options.record?.closeStale(async (name) => (await target.text(name, MANIFEST_FILE)) !== undefined);
  const { lsn } = await rowOf<{ lsn: string }>(
    client,
    'select (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text as lsn',
  );
  await client.query('begin transaction isolation level repeatable read, read only');
  const origin = await rowOf<{ database: string; server: string; snapshot: string }>(
    client,
    `select current_database() as database, current_setting('server_version') as server, pg_current_snapshot()::text as snapshot`,
  );
  const shapes = await tablesInOrder(client);
  await assertSeesEverything(client, shapes);
  const migrations = await migrationState(client);
  const name = `${origin.database.replaceAll(/[^A-Za-z0-9_-]/g, '_')}-${createdAt.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
  // After the snapshot, so that a restored database does not hold a backup that is still running.
  await options.record?.start({ name, location: target.location(name), startedAt: createdAt });
  try {
    const tables: TableEntry[] = [];
    for (const [index, shape] of shapes.entries()) {
      signal?.throwIfAborted();
      options.onTable?.({ index, total: shapes.length, table: shape.name });
      tables.push(await saveTable(client, shape, { name, index, target, signal }));
    }
    const standing = await identities(client);
    await client.query('commit');
    const blobs = options.storageDir === undefined ? [] : await saveBlobs(options.storageDir, { name, target, signal });
    const body = {
      formatVersion: FORMAT_VERSION,
      name,
      createdAt: createdAt.toISOString(),
      finishedAt: new Date().toISOString(),
      database: origin.database,
      serverVersion: origin.server,
      snapshotLsn: lsn,
      snapshot: origin.snapshot,
      migrations,
      compression: 'zstd',
      tables,
      identities: standing,
      blobs,
    } as const;
    const { text, sha256 } = serializeManifest({ ...body, migrations, tables, identities: standing, blobs });
    signal?.throwIfAborted();
    await target.publish(name, MANIFEST_FILE, text);
    const manifest: Manifest = { ...body, sha256 };
    await options.record?.succeed(manifest);
    return manifest;
  } catch (error) {
    await options.record?.fail(error);
    throw error;
  }
}

interface Destination {
  name: string;
  target: BackupTarget;
  signal: AbortSignal | undefined;
}

async function saveTable(
  client: pg.Client,
  shape: TableShape,
  to: Destination & { index: number },
): Promise<TableEntry> {
  const content = meter({ countLines: true });
  const stored = meter();
  const rows = client.query(copyTo(copyOut(shape)));
  const file = `tables/${String(to.index + 1).padStart(3, '0')}_${shape.schema}.${shape.name}.copy.zst`;
  const compress = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  const save = (chunks: AsyncIterable<Buffer>): Promise<void> => to.target.write(to.name, file, chunks);
  await pipeline(rows, content, compress, stored, save, pipelineOptions(to.signal));
  const { lines, sha256: contentSha256 } = content.result();
  if (rows.rowCount !== lines)
    throw new Error(`${shape.name}: the server sent ${rows.rowCount} rows, ${lines} lines arrived`);
  const { bytes, sha256 } = stored.result();
  const { schema, name, columns, partitions } = shape;
  return { schema, name, order: to.index, columns, rows: lines, file, bytes, sha256, contentSha256, partitions };
}

async function saveBlobs(dir: string, to: Destination): Promise<BlobEntry[]> {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
  const blobs: BlobEntry[] = [];
  for (const path of paths) {
    const through = meter();
    const file = `blobs/${path}`;
    const save = (chunks: AsyncIterable<Buffer>): Promise<void> => to.target.write(to.name, file, chunks);
    await pipeline(createReadStream(join(dir, path)), through, save, pipelineOptions(to.signal));
    const { bytes, sha256 } = through.result();
    blobs.push({ path, file, bytes, sha256 });
  }
  return blobs;
}

const pipelineOptions = (signal: AbortSignal | undefined): { signal?: AbortSignal } =>
  signal === undefined ? {} : { signal };

const LOCK = `hashtextextended('novax-backup', 0)`;

/** Holds the lock until the connection ends. */
async function lockOutOthers(client: pg.Client): Promise<void> {
  const { ok } = await rowOf<{ ok: boolean }>(client, `select pg_try_advisory_lock(${LOCK}) as ok`);
  if (ok) return;
  const holders = await rowsOf<{ pid: number }>(
    client,
    `select l.pid from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
        and ((l.classid::bigint << 32) | l.objid::bigint) = ${LOCK}`,
  );
  throw new CommandFailure(
    `another backup of this database is being made (server process ${holders.map(({ pid }) => pid).join(', ') || 'unknown'})`,
    {
      hint: 'wait for it, or end it, and try again',
    },
  );
}
