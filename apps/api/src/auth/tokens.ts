/** Access tokens: short-lived JWTs (RFC 9068) signed by the first of our own keys and verified by any of them. */
import { AppError } from '@novax/runtime/errors';
import { SignJWT, createLocalJWKSet, importJWK, jwtVerify, type JWK } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';

/** Life of an access token, seconds (RFC 9068 leaves it open; ten minutes bounds what a stolen one is worth). */
export const accessTokenS = 600;
const algorithms = ['EdDSA', 'ES256'];
const skewS = 30;

export interface AccessToken {
  readonly userId: string;
  /** The session's secret id. */
  readonly sid: string;
}

export interface Tokens {
  sign(token: AccessToken, now: Date): Promise<{ accessToken: string; expiresAt: Date }>;
  /** Throws UNAUTHENTICATED for anything but a live token of ours. */
  verify(jwt: string): Promise<AccessToken>;
  /** Public halves, for `/.well-known/jwks.json`. */
  readonly jwks: { readonly keys: readonly JWK[] };
}

const jwksSchema = z.object({
  keys: z
    .array(
      z.looseObject({
        kid: z.string().min(1),
        kty: z.enum(['OKP', 'EC']),
        alg: z.enum(['EdDSA', 'ES256']),
        d: z.string(),
      }),
    )
    .min(1),
});
const claimsSchema = z.object({ sub: z.uuid(), sid: z.string().min(20).max(100), exp: z.number() });

/** Imports the keys once. Throws when the JWKS is not one of private EdDSA or ES256 keys with ids. */
export async function createTokens(options: {
  readonly privateKeys: string;
  readonly issuer: string;
  readonly audience: string;
}): Promise<Tokens> {
  const { keys } = jwksSchema.parse(JSON.parse(options.privateKeys));
  const publicKeys = keys.map(({ d: _private, ...jwk }): JWK => ({ ...jwk, use: 'sig' }));
  const [first] = keys;
  if (first === undefined) throw new Error('JWT_PRIVATE_KEYS holds no key');
  const signingKey = await importJWK(first, first.alg);
  const find = createLocalJWKSet({ keys: publicKeys });
  const { issuer, audience } = options;
  /** Verified tokens until they expire: a signature costs more than everything else about a read. */
  const verified = new LRUCache<string, AccessToken & { exp: number }>({ max: 10_000 });

  return {
    jwks: { keys: publicKeys },
    async sign(token, now) {
      const issued = Math.floor(now.getTime() / 1000);
      const accessToken = await new SignJWT({ sid: token.sid })
        .setProtectedHeader({ alg: first.alg, kid: first.kid, typ: 'at+jwt' })
        .setSubject(token.userId)
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt(issued)
        .setExpirationTime(issued + accessTokenS)
        .sign(signingKey);
      return { accessToken, expiresAt: new Date((issued + accessTokenS) * 1000) };
    },
    async verify(jwt) {
      const known = verified.get(jwt);
      if (known !== undefined && known.exp * 1000 > Date.now()) return known;
      try {
        const { payload } = await jwtVerify(jwt, find, {
          algorithms,
          issuer,
          audience,
          typ: 'at+jwt',
          clockTolerance: skewS,
          requiredClaims: ['exp', 'iat', 'sub'],
        });
        const claims = claimsSchema.parse(payload);
        const token = { userId: claims.sub, sid: claims.sid, exp: claims.exp };
        verified.set(jwt, token);
        return token;
      } catch (cause) {
        throw new AppError('UNAUTHENTICATED', {
          cause,
          detail: cause instanceof Error ? cause.message : 'token refused',
        });
      }
    },
  };
}
