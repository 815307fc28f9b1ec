/** Ed25519 signatures by the installation's own keys (RFC 8032): the first key signs, all of them verify. */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { AppError } from './errors.ts';

const seedBytes = 32;
/** What PKCS #8 puts before an Ed25519 seed (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface Signer {
  /** Names the key that signs. */
  readonly keyId: string;
  sign(data: Uint8Array): Buffer;
  /** False for another text, another key's signature, and a key that is not in the ring. */
  verify(data: Uint8Array, signature: Uint8Array, keyId: string): boolean;
}

/** `AUDIT_SIGNING_KEY`: base64 of 32 bytes each, comma-separated. */
export const signingKeysSchema = z
  .string()
  .refine(
    (text) => seedsOf(text).length > 0 && seedsOf(text).every((seed) => seed.length === seedBytes),
    'must be base64 of 32 bytes; several are separated by commas',
  );

/** A ring of the keys in `text`; to rotate, put a new key first and keep the old ones behind it. Throws INTERNAL without a key. */
export function createSigner(text: string): Signer {
  const pairs = seedsOf(text).map((seed) => {
    const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' });
    const publicKey = createPublicKey(privateKey);
    return { privateKey, publicKey, keyId: keyIdOf(publicKey) };
  });
  const [first] = pairs;
  if (first === undefined) throw new AppError('INTERNAL', { detail: 'a signer needs a key' });
  const publicKeys = new Map(pairs.map(({ keyId, publicKey }) => [keyId, publicKey]));
  return {
    keyId: first.keyId,
    sign: (data) => sign(null, data, first.privateKey),
    verify(data, signature, keyId) {
      const key = publicKeys.get(keyId);
      return key !== undefined && verify(null, data, key, signature);
    },
  };
}

function seedsOf(text: string): Buffer[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => Buffer.from(item, 'base64'));
}

/** First half of the public key's SHA-256, hex. */
function keyIdOf(publicKey: KeyObject): string {
  const der = publicKey.export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(der).digest('hex').slice(0, 32);
}
