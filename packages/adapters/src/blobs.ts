/** Chooses where blobs are kept, by the process's settings. */
import type { BlobStore } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { z } from 'zod';
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

const text = z.string().optional();
const driver = z.enum(['fs', 's3']).optional();

/** Settings that say where the anchors of the audit trail go: beside the backups where those have a place of their own, else with the stored files. */
export const anchorStoreSettings = {
  STORAGE_DRIVER: driver,
  STORAGE_DIR: text,
  S3_ENDPOINT: text,
  S3_REGION: text,
  S3_BUCKET: text,
  S3_ACCESS_KEY_ID: text,
  S3_SECRET_ACCESS_KEY: text,
  BACKUP_STORAGE_DRIVER: driver,
  BACKUP_STORAGE_DIR: text,
  BACKUP_S3_ENDPOINT: text,
  BACKUP_S3_REGION: text,
  BACKUP_S3_BUCKET: text,
  BACKUP_S3_ACCESS_KEY_ID: text,
  BACKUP_S3_SECRET_ACCESS_KEY: text,
} as const;

/** The store for anchors; null where the settings name none. Throws INTERNAL when they name one by half. */
export function createAnchorStore(
  env: Readonly<Partial<Record<keyof typeof anchorStoreSettings, string | undefined>>>,
): BlobStore | null {
  const own = driverOf(env.BACKUP_STORAGE_DRIVER);
  if (own !== null)
    return createBlobStore({
      STORAGE_DRIVER: own,
      STORAGE_DIR: env.BACKUP_STORAGE_DIR,
      S3_ENDPOINT: env.BACKUP_S3_ENDPOINT,
      S3_REGION: env.BACKUP_S3_REGION,
      S3_BUCKET: env.BACKUP_S3_BUCKET,
      S3_ACCESS_KEY_ID: env.BACKUP_S3_ACCESS_KEY_ID,
      S3_SECRET_ACCESS_KEY: env.BACKUP_S3_SECRET_ACCESS_KEY,
    });
  return createFileStore(env);
}

/** The store for files; null where the settings name none. Throws INTERNAL when they name one by half. */
export function createFileStore(
  env: Omit<BlobEnv, 'STORAGE_DRIVER'> & { readonly STORAGE_DRIVER?: string | undefined },
): BlobStore | null {
  const shared = driverOf(env.STORAGE_DRIVER) ?? 'fs';
  if (shared === 'fs' && !env.STORAGE_DIR) return null;
  return createBlobStore({ ...env, STORAGE_DRIVER: shared });
}

function driverOf(text: string | undefined): BlobEnv['STORAGE_DRIVER'] | null {
  if (!text) return null;
  if (text === 'fs' || text === 's3') return text;
  throw new AppError('INTERNAL', { detail: `"${text}" is no storage driver` });
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
