/** Chooses where blobs are kept, by the process's settings. */
import type { BlobStore } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { fsBlobStore } from './blobs-fs.ts';
import { s3BlobStore } from './blobs-s3.ts';

/** The settings of the same names. */
export interface BlobEnv {
  readonly STORAGE_DRIVER: 'fs' | 's3';
  readonly STORAGE_DIR?: string | undefined;
  readonly S3_ENDPOINT?: string | undefined;
  readonly S3_REGION?: string | undefined;
  readonly S3_BUCKET?: string | undefined;
  readonly S3_ACCESS_KEY_ID?: string | undefined;
  readonly S3_SECRET_ACCESS_KEY?: string | undefined;
}

/** The store that the settings name. Throws INTERNAL naming every setting that is missing. */
export function createBlobStore(env: BlobEnv): BlobStore {
  const wanted = env.STORAGE_DRIVER === 'fs' ? (['STORAGE_DIR'] as const) : s3Settings;
  const missing = wanted.filter((name) => !env[name]);
  if (missing.length > 0)
    throw new AppError('INTERNAL', { detail: `STORAGE_DRIVER=${env.STORAGE_DRIVER} needs ${missing.join(', ')}` });
  if (env.STORAGE_DRIVER === 'fs') return fsBlobStore({ folder: env.STORAGE_DIR ?? '' });
  return s3BlobStore({
    endpoint: env.S3_ENDPOINT ?? '',
    region: env.S3_REGION ?? 'us-east-1',
    bucket: env.S3_BUCKET ?? '',
    accessKeyId: env.S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: env.S3_SECRET_ACCESS_KEY ?? '',
  });
}

const s3Settings = ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const;
