/** The fingerprint of what a document says, by which derived data knows whether it is stale. */
import { createHash } from 'node:crypto';

/** SHA-256 of title and content, 32 bytes. */
export function contentHash(title: string, content: string): Buffer {
  return createHash('sha256').update(title).update('\0').update(content).digest();
}
