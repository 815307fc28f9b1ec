/** Looks at every byte of a backup, and lists what there is. */
import { pipeline } from 'node:stream/promises';
import { Writable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { reasonOf } from '../database/connect.ts';
import type { Manifest } from './manifest.ts';
import { MANIFEST_FILE, parseManifest } from './manifest.ts';
import { meter } from './streams.ts';
import type { BackupTarget } from './target.ts';

export interface Fault {
  file: string;
  problem: string;
}

export interface Verdict {
  /** Null when the manifest itself cannot be trusted. */
  manifest: Manifest | null;
  files: number;
  bytes: number;
  rows: number;
  /** In the order of reading; [] for a sound backup. */
  faults: Fault[];
}

/**
 * Reads every file again and compares sizes, checksums, row counts and contents with the manifest. Never throws about a backup's content: what
 * is wrong is in `faults`, by file.
 */
export async function verifyBackup(
  target: BackupTarget,
  name: string,
  options: { signal?: AbortSignal; onFile?: (done: { index: number; total: number; file: string }) => void } = {},
): Promise<Verdict> {
  const verdict: Verdict = { manifest: null, files: 0, bytes: 0, rows: 0, faults: [] };
  let manifest: Manifest;
  try {
    const text = await target.text(name, MANIFEST_FILE);
    if (text === undefined) throw new Error(`there is no ${MANIFEST_FILE}: the backup was never finished`);
    manifest = parseManifest(text, name);
  } catch (error) {
    verdict.faults.push({ file: MANIFEST_FILE, problem: reasonOf(error) });
    return verdict;
  }
  verdict.manifest = manifest;
  const total = manifest.tables.length + manifest.blobs.length;
  const check = async (file: string, work: () => Promise<string | undefined>): Promise<void> => {
    options.signal?.throwIfAborted();
    options.onFile?.({ index: verdict.files, total, file });
    verdict.files += 1;
    const problem = await work().catch(readProblem);
    if (problem !== undefined) verdict.faults.push({ file, problem });
  };
  for (const table of manifest.tables) {
    await check(table.file, async () => {
      const stored = await hashFile(target, name, table.file);
      verdict.bytes += stored.bytes;
      const different = difference(stored, table);
      if (different !== undefined) return different;
      const content = meter({ countLines: true });
      await pipeline(target.read(name, table.file), createZstdDecompress(), content, discard());
      const { lines, sha256 } = content.result();
      verdict.rows += lines;
      if (lines !== table.rows) return `holds ${lines} rows, the manifest says ${table.rows}`;
      return sha256 === table.contentSha256 ? undefined : 'the rows differ from those that were saved';
    });
  }
  for (const blob of manifest.blobs) {
    await check(blob.file, async () => {
      const stored = await hashFile(target, name, blob.file);
      verdict.bytes += stored.bytes;
      return difference(stored, blob);
    });
  }
  return verdict;
}

interface Stored {
  bytes: number;
  sha256: string;
}

async function hashFile(target: BackupTarget, name: string, file: string): Promise<Stored> {
  const through = meter();
  await pipeline(target.read(name, file), through, discard());
  return through.result();
}

function difference(found: Stored, wanted: Stored): string | undefined {
  if (found.bytes !== wanted.bytes) return `has ${found.bytes} bytes, the manifest says ${wanted.bytes}`;
  return found.sha256 === wanted.sha256
    ? undefined
    : `was changed: its checksum is ${found.sha256}, the manifest says ${wanted.sha256}`;
}

function readProblem(error: unknown): string {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
    ? 'is missing'
    : `cannot be read: ${reasonOf(error)}`;
}

const discard = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

/** `<database>-<UTC time>-<random>`: other folders in the same place are nobody's backup. */
const BACKUP_NAME = /^[A-Za-z0-9_-]+-\d{8}T\d{6}Z-[0-9a-f]{6}$/;

export interface BackupSummary {
  name: string;
  /** `incomplete`: without a manifest, so its making was interrupted or goes on now; `damaged`: the manifest is not as it was written. */
  state: 'complete' | 'incomplete' | 'damaged';
  location: string;
  createdAt: string | null;
  database: string | null;
  migration: number | null;
  rows: number | null;
  bytes: number;
}

/** Every backup of the target, oldest first, by its manifest alone: `verifyBackup` looks inside. */
export async function listBackups(target: BackupTarget): Promise<BackupSummary[]> {
  const summaries: BackupSummary[] = [];
  for (const name of (await target.list()).filter((folder) => BACKUP_NAME.test(folder))) {
    const bytes = (await target.files(name)).reduce((sum, file) => sum + file.bytes, 0);
    const text = await target.text(name, MANIFEST_FILE);
    const none = {
      name,
      location: target.location(name),
      createdAt: null,
      database: null,
      migration: null,
      rows: null,
      bytes,
    };
    if (text === undefined) {
      summaries.push({ ...none, state: 'incomplete' });
      continue;
    }
    try {
      const { createdAt, database, migrations, tables } = parseManifest(text, name);
      summaries.push({
        ...none,
        state: 'complete',
        createdAt,
        database,
        migration: migrations.version,
        rows: tables.reduce((sum, table) => sum + table.rows, 0),
      });
    } catch {
      summaries.push({ ...none, state: 'damaged' });
    }
  }
  return summaries;
}
