/** The names that blobs may have, the same for every driver. */
import { AppError } from '@novax/runtime/errors';

/** S3's own bound, bytes; our characters are one byte each. */
const keyMax = 1024;
/** One path segment: what every driver and URL takes as it is, never beginning with a dot. */
const segment = /^[A-Za-z0-9_][A-Za-z0-9_.=@+-]*$/;

/** Throws VALIDATION_FAILED for a key that is not a relative path of plain segments: no `..`, no `//`, no leading `/`, no escape from the store. */
export function checkBlobKey(key: string): void {
  if (key.length <= keyMax && key.split('/').every((part) => segment.test(part))) return;
  throw new AppError('VALIDATION_FAILED', { detail: `blob key ${JSON.stringify(key.slice(0, 200))} is not allowed` });
}

/** Like `checkBlobKey` for the beginning of keys; may be empty or end in `/` or within a segment. */
export function checkBlobPrefix(prefix: string): void {
  checkBlobKey(`${prefix}x`);
}
