/** Access tokens: short-lived JWTs (RFC 9068, RFC 8725), signed by one of our own keys and verified by any of them. */
import { AppError } from '@novax/runtime/errors';
import { SignJWT, jwtVerify, type JWK } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { importKeys, signingKeyAt, type KeySet } from './keys.ts';

/** Life of an access token, seconds (RFC 9068 leaves it open; ten minutes bounds what a stolen one is worth). */
export const accessTokenS = 600;
const algorithms = ['EdDSA', 'ES256'];
const skewS = 30;
/** Ours are a third as long. */
const lengthMax = 2_048;

export interface AccessToken {
  readonly userId: string;
  /** The session's secret id. */
  readonly sid: string;
}

export interface Tokens {
  sign(token: AccessToken, now: Date): Promise<{ accessToken: string; expiresAt: Date }>;
  /** Throws UNAUTHENTICATED for anything but a live token of ours. */
  verify(jwt: string): Promise<AccessToken>;
  /** Public halves of the present keys, for `/.well-known/jwks.json`. */
  readonly jwks: { readonly keys: readonly JWK[] };
  /** Puts other keys in place of the present ones; tokens of a key that is gone are refused from then on. Throws, and changes nothing, when the keys are not usable. */
  replaceKeys(privateKeys: string): Promise<void>;
}

/** Exactly what our own tokens carry: nothing in a header may name, fetch or bring a key (RFC 8725 3.10). */
const headerSchema = z.strictObject({
  alg: z.enum(['EdDSA', 'ES256']),
  kid: z.string(),
  typ: z.literal('at+jwt'),
});
const claimsSchema = z.object({ sub: z.uuid(), sid: z.string().min(20).max(100), exp: z.int(), iat: z.int() });

/** Keys, and the tokens they verified until those expire: a signature costs more than everything else about a read. One ends with the other. */
interface Present {
  readonly keys: KeySet;
  readonly verified: LRUCache<string, AccessToken & { readonly exp: number }>;
}

/** Imports the keys. Throws when the JWKS is not one of private EdDSA or ES256 keys with ids. */
export async function createTokens(options: {
  readonly privateKeys: string;
  readonly issuer: string;
  readonly audience: string;
}): Promise<Tokens> {
  const { issuer, audience } = options;
  let present = await presentFrom(options.privateKeys);

  async function verifyBy({ keys }: Present, jwt: string): Promise<AccessToken & { exp: number }> {
    if (jwt.length > lengthMax) throw new Error('the token is too long');
    const parts = jwt.split('.');
    const [head, body] = parts.map(canonical);
    if (parts.length !== 3 || head === undefined || body === undefined) throw new Error('the token is no JWT');
    const { alg, kid } = headerSchema.parse(sole(head));
    const found = keys.verifying.get(kid);
    if (found?.alg !== alg) throw new Error('no key of ours');
    sole(body);
    const { payload } = await jwtVerify(jwt, found.key, {
      algorithms,
      issuer,
      audience,
      typ: 'at+jwt',
      clockTolerance: skewS,
      maxTokenAge: accessTokenS,
      requiredClaims: ['exp', 'iat', 'sub'],
    });
    // The library takes a list that holds our name for our name.
    if (payload.aud !== audience) throw new Error('the token is for others too');
    const claims = claimsSchema.parse(payload);
    return { userId: claims.sub, sid: claims.sid, exp: claims.exp };
  }

  return {
    get jwks() {
      return present.keys.jwks;
    },
    async sign(token, now) {
      const issued = Math.floor(now.getTime() / 1000);
      const { alg, kid, key } = signingKeyAt(present.keys, issued);
      const accessToken = await new SignJWT({ sid: token.sid })
        .setProtectedHeader({ alg, kid, typ: 'at+jwt' })
        .setSubject(token.userId)
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt(issued)
        .setExpirationTime(issued + accessTokenS)
        .sign(key);
      return { accessToken, expiresAt: new Date((issued + accessTokenS) * 1000) };
    },
    async verify(jwt) {
      // Held on to: what the keys of this moment verify must not be remembered under the next ones.
      const by = present;
      const known = by.verified.get(jwt);
      if (known !== undefined && known.exp * 1000 > Date.now()) return known;
      try {
        const token = await verifyBy(by, jwt);
        by.verified.set(jwt, token);
        return token;
      } catch (cause) {
        throw new AppError('UNAUTHENTICATED', {
          cause,
          detail: cause instanceof Error ? cause.message : 'token refused',
        });
      }
    },
    async replaceKeys(privateKeys) {
      present = await presentFrom(privateKeys);
    },
  };
}

async function presentFrom(privateKeys: string): Promise<Present> {
  return { keys: await importKeys(privateKeys), verified: new LRUCache({ max: 10_000 }) };
}

/** The text of one part. Throws for base64 in any but its one shortest form: a token has one spelling. */
function canonical(part: string): string {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw new Error('the token is not in base64url');
  return bytes.toString('utf8');
}

/** The JSON of a text that is its only spelling, as ours is: no member twice, no space, nothing escaped that need not be. */
function sole(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (JSON.stringify(value) !== text) throw new Error('the token is ambiguous');
  return value;
}
