/** Where backups are kept: a small interface, and the folder of a file system behind it. */
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { isMissing } from '../stack/config.ts';

/** A place that holds backups, each a set of files under one name. Paths inside a backup use `/`. */
export interface BackupTarget {
  /** For people and for the record of backups. */
  location(backup: string): string;
  /** Names of all backups, whole or not, oldest first. */
  list(): Promise<string[]>;
  /** Paths and sizes of every file of a backup. */
  files(backup: string): Promise<{ path: string; bytes: number }[]>;
  /** Stores a new file; resolves when it would survive a loss of power. Rejects when the file exists. */
  write(backup: string, path: string, chunks: AsyncIterable<Buffer>): Promise<void>;
  read(backup: string, path: string): Readable;
  /** Stores the text so that a reader finds all of it or nothing. */
  publish(backup: string, path: string, text: string): Promise<void>;
  /** A small file's text; undefined when there is none. */
  text(backup: string, path: string): Promise<string | undefined>;
}

/** Backups as folders under `dir`, readable by their owner only: they hold every organization's data. */
export function directoryTarget(dir: string): BackupTarget {
  const root = resolve(dir);
  const at = (backup: string, path = ''): string => {
    const full = resolve(root, backup, path);
    // Paths come from a manifest, which anybody who reaches the folder may have written.
    if (full !== root && !full.startsWith(root + sep)) throw new Error(`${path} lies outside the backup`);
    return full;
  };
  return {
    location: (backup) => at(backup),
    list: async () => {
      const entries = await readdir(root, { withFileTypes: true }).catch(emptyWhenMissing);
      return entries
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .sort();
    },
    files: async (backup) => {
      const entries = await readdir(at(backup), { withFileTypes: true, recursive: true }).catch(emptyWhenMissing);
      const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
      return Promise.all(
        files.map(async (file) => ({
          path: file
            .slice(at(backup).length + 1)
            .split(sep)
            .join('/'),
          bytes: (await stat(file)).size,
        })),
      );
    },
    write: async (backup, path, chunks) => {
      const file = at(backup, path);
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await using handle = await open(file, 'wx', 0o600);
      for await (const chunk of chunks) await writeWhole(handle, chunk);
      await handle.sync();
    },
    read: (backup, path) => createReadStream(at(backup, path)),
    publish: async (backup, path, text) => {
      const file = at(backup, path);
      const partial = `${file}.partial`;
      {
        await using handle = await open(partial, 'w', 0o600);
        await handle.writeFile(text);
        await handle.sync();
      }
      await rename(partial, file);
      await syncFolder(dirname(file));
      await syncFolder(root);
    },
    text: async (backup, path) => {
      try {
        return await readFile(at(backup, path), 'utf8');
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
  };
}

async function writeWhole(
  handle: { write: (data: Buffer, offset: number) => Promise<{ bytesWritten: number }> },
  chunk: Buffer,
): Promise<void> {
  for (let offset = 0; offset < chunk.length;) offset += (await handle.write(chunk, offset)).bytesWritten;
}

/** A rename lasts only when the folder that holds the name is on disk too. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

function emptyWhenMissing(error: unknown): [] {
  if (isMissing(error)) return [];
  throw error;
}
