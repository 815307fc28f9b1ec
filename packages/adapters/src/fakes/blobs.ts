/** Blobs in memory. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { BlobStore } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { checkBlobKey, checkBlobPrefix } from '../blob-key.ts';

/** An empty store. */
export function fakeBlobStore(): BlobStore {
  const blobs = new Map<string, Buffer>();
  return {
    async put(key, body) {
      checkBlobKey(key);
      blobs.set(key, body instanceof Uint8Array ? Buffer.from(body) : await buffer(body));
    },
    async putHeld(key, body) {
      checkBlobKey(key);
      blobs.set(key, Buffer.from(body));
      return false;
    },
    async get(key) {
      checkBlobKey(key);
      const found = blobs.get(key);
      if (!found) throw new AppError('NOT_FOUND', { detail: `no blob ${key}` });
      return Readable.from([found]);
    },
    async exists(key) {
      checkBlobKey(key);
      return blobs.has(key);
    },
    async remove(key) {
      checkBlobKey(key);
      blobs.delete(key);
    },
    async *list(prefix) {
      checkBlobPrefix(prefix);
      for (const key of blobs.keys()) if (key.startsWith(prefix)) yield key;
    },
    async ping() {},
  };
}
