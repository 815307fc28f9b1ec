/** Blobs in a bucket of any S3-compatible server. */
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { BlobStore } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { checkBlobKey, checkBlobPrefix } from './blob-key.ts';

export interface S3Options {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A store in an existing bucket. Throws DEPENDENCY_UNAVAILABLE when the server is away or refuses. */
export function s3BlobStore(options: S3Options): BlobStore {
  const client = new S3Client({
    endpoint: options.endpoint,
    region: options.region,
    credentials: { accessKeyId: options.accessKeyId, secretAccessKey: options.secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 2000, requestTimeout: 10_000 },
    // By default the SDK adds checksums that other servers than Amazon's do not know, and signs uploads for an empty body.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const at = (key: string): { Bucket: string; Key: string } => {
    checkBlobKey(key);
    return { Bucket: options.bucket, Key: key };
  };

  return {
    async put(key, body, contentType) {
      const target = { ...at(key), ContentType: contentType };
      if (body instanceof Uint8Array) {
        await reached(() => client.send(new PutObjectCommand({ ...target, Body: body, ContentLength: body.length })));
        return;
      }
      // S3 must know the length first, and a stream does not.
      const spool = join(tmpdir(), `novax-upload-${randomUUID()}`);
      try {
        await pipeline(body, createWriteStream(spool, { mode: 0o600 }));
        const { size } = await stat(spool);
        await reached(() =>
          client.send(new PutObjectCommand({ ...target, Body: createReadStream(spool), ContentLength: size })),
        );
      } finally {
        await rm(spool, { force: true });
      }
    },
    async putHeld(key, body, { contentType, until }) {
      const target = { ...at(key), ContentType: contentType, Body: body, ContentLength: body.length };
      // S3 takes an object lock only with a checksum of the body.
      const held = {
        ObjectLockMode: 'COMPLIANCE',
        ObjectLockRetainUntilDate: until,
        ChecksumAlgorithm: 'SHA256',
      } as const;
      return reached(async () => {
        try {
          await client.send(new PutObjectCommand({ ...target, ...held }));
          return true;
        } catch (thrown) {
          if (!locksNothing(thrown)) throw thrown;
          await client.send(new PutObjectCommand(target));
          return false;
        }
      });
    },
    async get(key) {
      const found = await orNull(() => client.send(new GetObjectCommand(at(key))));
      if (!found) throw new AppError('NOT_FOUND', { detail: `no blob ${key}` });
      // In Node the SDK answers a Readable; its type also covers browsers.
      return found.Body instanceof Readable ? found.Body : Readable.from([]);
    },
    async exists(key) {
      return (await orNull(() => client.send(new HeadObjectCommand(at(key))))) !== null;
    },
    async remove(key) {
      await reached(() => client.send(new DeleteObjectCommand(at(key))));
    },
    async *list(prefix) {
      checkBlobPrefix(prefix);
      let next: string | undefined;
      do {
        const page = {
          Bucket: options.bucket,
          Prefix: prefix,
          ...(next === undefined ? {} : { ContinuationToken: next }),
        };
        const answer = await reached(() => client.send(new ListObjectsV2Command(page)));
        for (const { Key } of answer.Contents ?? []) if (Key !== undefined) yield Key;
        next = answer.IsTruncated ? answer.NextContinuationToken : undefined;
      } while (next !== undefined);
    },
    async ping() {
      await reached(() => client.send(new HeadBucketCommand({ Bucket: options.bucket })));
    },
  };
}

/** True for the answer of a bucket without object lock, or of a server that does not know it. */
function locksNothing(thrown: unknown): boolean {
  return (
    thrown instanceof S3ServiceException &&
    (thrown.name === 'NotImplemented' || (thrown.name === 'InvalidRequest' && /lock/i.test(thrown.message)))
  );
}

async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  return reached(async () => {
    try {
      return await work();
    } catch (thrown) {
      if (thrown instanceof S3ServiceException && thrown.$metadata.httpStatusCode === 404) return null;
      throw thrown;
    }
  });
}

async function reached<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError('DEPENDENCY_UNAVAILABLE', {
      cause,
      detail: `object storage: ${cause instanceof Error ? cause.message : String(cause)}`,
    });
  }
}
