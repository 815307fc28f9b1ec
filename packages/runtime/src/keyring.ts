/** Sealing small secrets for storage: AES-256-GCM under one of the installation's own keys, bound to what they are for. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { AppError } from './errors.ts';

const nonceBytes = 12;
const tagBytes = 16;

/** What was sealed, and the name of the key that opens it. */
export interface Sealed {
  /** Nonce, tag and text, in that order. */
  readonly ciphertext: Buffer;
  readonly keyId: string;
}

export interface Keyring {
  /** Seals under the first key; `context` must be given again to open, so that a sealed value cannot be moved to another place. */
  seal(plain: Uint8Array, context: string): Sealed;
  /** Throws INTERNAL when the key is not in the ring, or the text or its context was changed. */
  open(sealed: Sealed, context: string): Buffer;
}

/** `KEY_ENCRYPTION_KEY`: base64 of 32 bytes each, comma-separated. */
export const keyringSchema = z
  .string()
  .refine(
    (text) => keysOf(text).every((key) => key.length === 32),
    'must be base64 of 32 bytes; several are separated by commas',
  );

/** A ring of the keys in `text`. The first seals, all of them open: to rotate, put a new key first and keep the old ones behind it. */
export function createKeyring(text: string): Keyring {
  const keys = new Map(keysOf(text).map((key) => [keyIdOf(key), key]));
  const [first] = keys;
  if (first === undefined) throw new AppError('INTERNAL', { detail: 'a keyring needs a key' });
  return {
    seal: (plain, context) => ({ ciphertext: sealWith(first[1], plain, context), keyId: first[0] }),
    open({ ciphertext, keyId }, context) {
      const key = keys.get(keyId);
      if (key === undefined) throw new AppError('INTERNAL', { detail: `no key ${keyId} to open with` });
      return openWith(key, ciphertext, context);
    },
  };
}

/** AES-256-GCM under a 32-byte key with a fresh nonce; `context` is authenticated along. */
export function sealWith(key: Uint8Array, plain: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

/** Opens what `sealWith` made. Throws INTERNAL when the text, the key or the context is another. */
export function openWith(key: Uint8Array, ciphertext: Uint8Array, context: string): Buffer {
  const nonce = ciphertext.subarray(0, nonceBytes);
  const tag = ciphertext.subarray(nonceBytes, nonceBytes + tagBytes);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
      .setAAD(Buffer.from(context))
      .setAuthTag(tag);
    return Buffer.concat([decipher.update(ciphertext.subarray(nonceBytes + tagBytes)), decipher.final()]);
  } catch (cause) {
    throw new AppError('INTERNAL', { cause, detail: 'a sealed value does not open' });
  }
}

function keysOf(text: string): Buffer[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => Buffer.from(item, 'base64'));
}

/** First half of the key's SHA-256, hex: names the key and tells nothing of it. */
function keyIdOf(key: Uint8Array): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}
