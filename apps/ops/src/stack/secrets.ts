/** Random passwords and keys of a new local stack. */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';

const password = (): string => randomBytes(24).toString('base64url');
const key32 = (): string => randomBytes(32).toString('base64');

/** A complete set; every value is URL-safe or base64, from the system's random source. */
export function createSecrets() {
  return {
    database: {
      novax_admin: password(),
      novax_api: password(),
      novax_worker: password(),
      novax_ai: password(),
      novax_migrator: password(),
      novax_readonly: password(),
      novax_backup: password(),
    },
    queueRedis: password(),
    cacheRedis: password(),
    nats: password(),
    meiliMasterKey: password(),
    s3AccessKeyId: `novax${randomBytes(6).toString('hex')}`,
    s3SecretAccessKey: password(),
    jwtPrivateKeys: createJwks(),
    keyEncryptionKey: key32(),
    auditSigningKey: key32(),
  };
}

/** A JWKS with one new Ed25519 private key; `kid` is its RFC 7638 thumbprint. */
function createJwks(): string {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const thumbprint = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x });
  const kid = createHash('sha256').update(thumbprint).digest('base64url');
  return JSON.stringify({ keys: [{ ...jwk, kid, alg: 'EdDSA', use: 'sig' }] });
}
