/** The manifest of a backup: what was saved, from where, and the checksums by which every file is known. */
import { createHash } from 'node:crypto';
import { z } from 'zod';

export const MANIFEST_FILE = 'manifest.json';
export const FORMAT_VERSION = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const identifier = z.string().min(1).max(63);
const count = z.int().min(0);

const tableSchema = z.object({
  schema: z.enum(['public', 'app']),
  name: identifier,
  /** Position in the order of loading: a table comes after those it refers to. */
  order: count,
  columns: z.array(identifier).min(1),
  rows: count,
  file: z.string(),
  /** Size and hash of the file as it lies there. */
  bytes: count,
  sha256,
  /** Hash of the rows as text, in the order of the primary key: equal tables have equal ones, whatever server holds them. */
  contentSha256: sha256,
  /** Monthly partitions that existed. */
  partitions: z.array(z.object({ parent: identifier, name: identifier })),
});

const bodySchema = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  name: z.string(),
  createdAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  database: z.string(),
  serverVersion: z.string(),
  /** Write-ahead log position just before the snapshot was taken. */
  snapshotLsn: z.string(),
  /** pg_snapshot of the one transaction that read everything. */
  snapshot: z.string(),
  migrations: z.object({
    version: count,
    files: z.array(z.object({ version: count, name: z.string(), sha256 })),
  }),
  compression: z.literal('zstd'),
  tables: z.array(tableSchema),
  identities: z.array(
    z.object({
      schema: z.enum(['public', 'app']),
      table: identifier,
      column: identifier,
      lastValue: z.string().regex(/^\d+$/),
    }),
  ),
  blobs: z.array(z.object({ path: z.string(), file: z.string(), bytes: count, sha256 })),
});

export type TableEntry = z.output<typeof tableSchema>;
export type BlobEntry = z.output<typeof bodySchema>['blobs'][number];
export type ManifestBody = z.output<typeof bodySchema>;
export type Manifest = ManifestBody & {
  /** Over everything above it, table and file checksums included: names the whole backup. */
  sha256: string;
};

/** The manifest's one and only spelling. */
export function serializeManifest(body: ManifestBody): { text: string; sha256: string } {
  const ordered = bodySchema.parse(body);
  const hash = createHash('sha256').update(JSON.stringify(ordered)).digest('hex');
  return { text: `${JSON.stringify({ ...ordered, sha256: hash }, null, 2)}\n`, sha256: hash };
}

/** Reads a manifest of the backup `name`. Throws saying why when a single byte of it is not as it was written, or it belongs to another backup. */
export function parseManifest(text: string, name: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${MANIFEST_FILE} is no JSON document`, { cause });
  }
  const parsed = bodySchema.safeParse(value);
  if (!parsed.success) {
    const { formatVersion } = z.object({ formatVersion: z.unknown() }).catch({ formatVersion: undefined }).parse(value);
    if (typeof formatVersion === 'number' && formatVersion > FORMAT_VERSION) {
      throw new Error(
        `${MANIFEST_FILE} has format ${formatVersion}, this release reads ${FORMAT_VERSION}: use the release that made it`,
      );
    }
    throw new Error(
      `${MANIFEST_FILE}: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
    );
  }
  const { text: written, sha256: hash } = serializeManifest(parsed.data);
  if (written !== text) throw new Error(`${MANIFEST_FILE} was changed: its checksum is ${hash}`);
  if (parsed.data.name !== name) throw new Error(`${MANIFEST_FILE} belongs to the backup ${parsed.data.name}`);
  return { ...parsed.data, sha256: hash };
}
