/** Our own signing keys: a private JWKS as text becomes what signs, what verifies, and what others may read. */
import { importJWK, type CryptoKey, type JWK } from 'jose';
import { z } from 'zod';

const keySchema = z.discriminatedUnion('alg', [
  z.looseObject({
    alg: z.literal('EdDSA'),
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    kid: z.string().min(1).max(200),
    x: z.string(),
    d: z.string(),
    nbf: z.number().optional(),
  }),
  z.looseObject({
    alg: z.literal('ES256'),
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    kid: z.string().min(1).max(200),
    x: z.string(),
    y: z.string(),
    d: z.string(),
    nbf: z.number().optional(),
  }),
]);
const jwksSchema = z
  .object({ keys: z.array(keySchema).min(1).max(20) })
  .refine(({ keys }) => new Set(keys.map(({ kid }) => kid)).size === keys.length, 'two keys have one kid');

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly key: CryptoKey;
  /** Seconds since the epoch before which it does not sign: others need that time to learn of it. */
  readonly notBefore: number;
}

export interface KeySet {
  /** In the file's order. */
  readonly signing: readonly SigningKey[];
  /** Public halves by key id. */
  readonly verifying: ReadonlyMap<string, { readonly alg: string; readonly key: CryptoKey }>;
  /** Public halves for `/.well-known/jwks.json`. */
  readonly jwks: { readonly keys: readonly JWK[] };
}

/** Imports a private JWKS of EdDSA (Ed25519) and ES256 keys with ids of their own. Throws, without naming a secret, for anything else. */
export async function importKeys(text: string): Promise<KeySet> {
  const { keys } = jwksSchema.parse(parseJson(text));
  const signing: SigningKey[] = [];
  const verifying = new Map<string, { alg: string; key: CryptoKey }>();
  const published: JWK[] = [];
  for (const jwk of keys) {
    const { kid, alg, kty, crv, x } = jwk;
    const open: JWK = { kty, crv, x, ...(jwk.kty === 'EC' ? { y: jwk.y } : {}), kid, alg, use: 'sig' };
    const [key, publicKey] = [await imported({ ...open, d: jwk.d }, alg), await imported(open, alg)];
    await provePair({ alg, key, publicKey, kid });
    signing.push({ kid, alg, key, notBefore: jwk.nbf ?? 0 });
    verifying.set(kid, { alg, key: publicKey });
    published.push(open);
  }
  return { signing, verifying, jwks: { keys: published } };
}

/** The key that signs at a moment (seconds): the first whose time has come, or the first of all when none has. */
export function signingKeyAt(keys: KeySet, now: number): SigningKey {
  const [first] = keys.signing;
  if (first === undefined) throw new Error('a key set holds a key');
  return keys.signing.find(({ notBefore }) => notBefore <= now) ?? first;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which is secret.
    throw new Error('the keys are not JSON');
  }
}

async function imported(jwk: JWK, alg: string): Promise<CryptoKey> {
  const key = await importJWK(jwk, alg);
  if (key instanceof Uint8Array) throw new Error(`key ${jwk.kid} is symmetric`);
  return key;
}

/** Halves of two keys would make tokens that nobody accepts: better found here than by every caller. */
async function provePair(pair: { alg: string; key: CryptoKey; publicKey: CryptoKey; kid: string }): Promise<void> {
  const algorithm = pair.alg === 'EdDSA' ? { name: 'Ed25519' } : { name: 'ECDSA', hash: 'SHA-256' };
  const text = new TextEncoder().encode('a pair');
  const signature = await crypto.subtle.sign(algorithm, pair.key, text);
  if (!(await crypto.subtle.verify(algorithm, pair.publicKey, signature, text)))
    throw new Error(`the halves of key ${pair.kid} do not belong together`);
}
