/** Private JWKS of the access tokens: made, and given a new first key before the old ones. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { z } from 'zod';

export type SigningAlgorithm = 'EdDSA' | 'ES256';

export const privateJwksSchema = z.object({
  keys: z
    .array(
      z.looseObject({
        kid: z.string().min(1),
        kty: z.enum(['OKP', 'EC']),
        alg: z.enum(['EdDSA', 'ES256']),
        d: z.string().min(1),
        nbf: z.number().optional(),
      }),
    )
    .min(1),
});
export type PrivateJwks = z.output<typeof privateJwksSchema>;
type PrivateJwk = PrivateJwks['keys'][number];

/**
 * A new private key; `kid` is its RFC 7638 thumbprint. `notBefore` (seconds since the epoch) stands in it as `nbf`: until then the API publishes
 * it and signs with the next key of the set, so that everybody knows it before they meet it.
 */
export function newPrivateJwk(algorithm: SigningAlgorithm, notBefore?: number): PrivateJwk {
  const { privateKey } =
    algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { crv, kty, x, y, d } = privateKey.export({ format: 'jwk' });
  // Members in the order of the alphabet, as RFC 7638 has them; JSON leaves out the `y` that Ed25519 has not.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  const jwk = { crv, kty, x, ...(y === undefined ? {} : { y }), d, kid, alg: algorithm, use: 'sig' };
  return privateJwksSchema.shape.keys.element.parse(notBefore === undefined ? jwk : { ...jwk, nbf: notBefore });
}

/** What a rotation left: the new set, and the ids of the keys that are gone. */
export interface Rotation {
  readonly jwks: PrivateJwks;
  readonly dropped: readonly string[];
}

/**
 * A new key before the old ones, of which `keep` stay beside it: the newest, and always the one that signs at `now` (seconds), whose tokens are
 * everywhere. A key named in `drop` goes whatever it does. Throws when there is no such key.
 */
export function rotated(
  jwks: PrivateJwks,
  options: {
    readonly algorithm: SigningAlgorithm;
    readonly now: number;
    readonly leadS: number;
    readonly keep: number;
    readonly drop: string | undefined;
  },
): Rotation {
  const { algorithm, now, leadS, keep, drop } = options;
  if (drop !== undefined && !jwks.keys.some(({ kid }) => kid === drop)) throw new Error(`there is no key ${drop}`);
  const signer = jwks.keys.find(({ nbf }) => (nbf ?? 0) <= now) ?? jwks.keys[0];
  const left = jwks.keys.filter(({ kid }) => kid !== drop);
  const kept = left.filter((key, index) => index < keep || key === signer);
  const dropped = jwks.keys.filter((key) => !kept.includes(key)).map(({ kid }) => kid);
  const first = newPrivateJwk(algorithm, leadS === 0 ? undefined : now + leadS);
  return { jwks: { keys: [first, ...kept] }, dropped };
}
