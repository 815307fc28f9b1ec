/** Random passwords and keys of a new local stack. */
import { randomBytes } from 'node:crypto';
import { newPrivateJwk } from '../keys/jwks.ts';

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
    jwtPrivateKeys: JSON.stringify({ keys: [newPrivateJwk('EdDSA')] }),
    keyEncryptionKey: key32(),
    auditSigningKey: key32(),
  };
}
