/**
 * Writes the settings that docker-compose.yml needs, with fresh secrets, to `.env` (mode 600); never replaces a file that is there.
 * `node infra/images/make-env.mjs [file]`; with `-` the settings are printed. Any Node from 18 on.
 */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const password = () => randomBytes(24).toString('base64url');
const key32 = () => randomBytes(32).toString('base64');

/** A JWKS with one new Ed25519 private key; `kid` is its RFC 7638 thumbprint. */
function makeJwks() {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const thumbprint = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x });
  const kid = createHash('sha256').update(thumbprint).digest('base64url');
  return JSON.stringify({ keys: [{ ...jwk, kid, alg: 'EdDSA', use: 'sig' }] });
}

const passwords = ['ADMIN', 'API', 'WORKER', 'AI', 'MIGRATOR', 'READONLY', 'BACKUP', 'QUEUE', 'CACHE', 'NATS'];
const text = `# Settings of docker-compose.yml. Keep this file: the data in the volumes is readable with these secrets only.

# Search engine and object store; without them full-text search runs in PostgreSQL and files lie in a volume:
# COMPOSE_PROFILES=  MEILI_URL=  STORAGE_DRIVER=fs
COMPOSE_PROFILES=search,objects
STORAGE_DRIVER=s3
MEILI_URL=http://meilisearch:7700

# Where the API is published.
NOVAX_API_BIND=127.0.0.1
NOVAX_API_PORT=3000

${passwords.map((name) => `NOVAX_${name}_PASSWORD=${password()}`).join('\n')}
MEILI_MASTER_KEY=${password()}
S3_ACCESS_KEY_ID=novax${randomBytes(6).toString('hex')}
S3_SECRET_ACCESS_KEY=${password()}
JWT_PRIVATE_KEYS='${makeJwks()}'
KEY_ENCRYPTION_KEY=${key32()}
AUDIT_SIGNING_KEY=${key32()}
`;

const file = process.argv[2] ?? '.env';
if (file === '-') {
  process.stdout.write(text);
} else {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
    process.stdout.write(`${file} was written; start with: docker compose up --detach --build --wait\n`);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    process.stderr.write(`${file} is there already and was left as it is\n`);
    process.exitCode = 1;
  }
}
