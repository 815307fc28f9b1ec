/** Blobs as files under one folder. */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, constants, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BlobStore } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { checkBlobKey, checkBlobPrefix } from './blob-key.ts';

/** Unfinished files; keys cannot begin with a dot, so it is never one. */
const unfinished = '.unfinished';

/**
 * A store in `folder`, which is made when it is missing. A blob appears whole or not at all, also when the process dies while writing.
 * A key cannot be both a blob and the beginning of another's path (CONFLICT). Content types are not kept: no reader asks for them.
 */
export function fsBlobStore(options: { readonly folder: string }): BlobStore {
  const { folder } = options;
  const pathOf = (key: string): string => {
    checkBlobKey(key);
    return join(folder, key);
  };

  const store: BlobStore = {
    async put(key, body) {
      const path = pathOf(key);
      const draft = join(folder, unfinished, randomUUID());
      await mkdir(dirname(draft), { recursive: true });
      try {
        // `flush` makes the bytes durable before the name appears.
        await pipeline(
          body instanceof Uint8Array ? Readable.from([body]) : body,
          createWriteStream(draft, { flush: true }),
        );
        await mkdir(dirname(path), { recursive: true });
        await rename(draft, path);
      } catch (cause) {
        await rm(draft, { force: true });
        if (hasCode(cause, 'ENOTDIR', 'EEXIST', 'EISDIR', 'ENOTEMPTY')) {
          throw new AppError('CONFLICT', { cause, detail: `blob key ${key} collides with another` });
        }
        throw cause;
      }
    },
    // A folder promises nothing: whoever owns it may delete the file.
    async putHeld(key, body, { contentType }) {
      await store.put(key, body, contentType);
      return false;
    },
    async get(key) {
      const file = await orNull(() => open(pathOf(key)));
      if (!file) throw notFound(key);
      if ((await file.stat()).isFile()) return file.createReadStream();
      await file.close();
      throw notFound(key);
    },
    async exists(key) {
      const found = await orNull(() => stat(pathOf(key)));
      return found?.isFile() ?? false;
    },
    async remove(key) {
      const path = pathOf(key);
      if ((await orNull(() => stat(path)))?.isFile()) await rm(path, { force: true });
    },
    async *list(prefix) {
      checkBlobPrefix(prefix);
      for await (const key of keysUnder(folder, prefix.slice(0, prefix.lastIndexOf('/') + 1))) {
        if (key.startsWith(prefix)) yield key;
      }
    },
    async ping() {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.R_OK | constants.W_OK);
    },
  };
  return store;
}

async function* keysUnder(folder: string, within: string): AsyncIterable<string> {
  const entries = (await orNull(() => readdir(join(folder, within), { withFileTypes: true }))) ?? [];
  for (const entry of entries) {
    if (entry.name === unfinished) continue;
    if (entry.isDirectory()) yield* keysUnder(folder, `${within}${entry.name}/`);
    else if (entry.isFile()) yield `${within}${entry.name}`;
  }
}

async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (thrown) {
    if (hasCode(thrown, 'ENOENT', 'ENOTDIR')) return null;
    throw thrown;
  }
}

function hasCode(thrown: unknown, ...codes: string[]): boolean {
  return thrown instanceof Error && 'code' in thrown && codes.includes(String(thrown.code));
}

function notFound(key: string): AppError {
  return new AppError('NOT_FOUND', { detail: `no blob ${key}` });
}
