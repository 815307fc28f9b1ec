/** The Secrets that must exist before `kubectl apply`: they are referenced, never rendered. */
import type { DeploymentConfig } from './config.ts';

/** One key that a person puts into a Secret. */
export interface SecretKey {
  secret: string;
  key: string;
  /** What belongs in it. */
  meaning: string;
}

const table = {
  'novax-database': {
    'DATABASE_URL': 'postgres://novax_api:<password>@postgres:5432/novax',
    'DATABASE_WORKER_URL': 'the same as novax_worker',
    'DATABASE_AI_URL': 'the same as novax_ai',
    'DATABASE_MIGRATOR_URL': 'the same as novax_migrator',
    'DATABASE_READONLY_URL': 'the same as novax_readonly',
    'DATABASE_BACKUP_URL': 'the same as novax_backup',
    'DATABASE_ADMIN_URL':
      'the same as novax_admin, the superuser; only the migration reads it, to make roles and extensions',
    'admin-password': 'the password of novax_admin, set when the cluster is made',
  },
  'novax-queues': {
    'QUEUE_REDIS_URL': 'redis://:<password>@valkey-queue:6379',
    'queue-password': 'the password in QUEUE_REDIS_URL',
    'CACHE_REDIS_URL': 'redis://:<password>@valkey-cache:6379',
    'cache-password': 'the password in CACHE_REDIS_URL',
    'NATS_URL': 'nats://novax:<password>@nats:4222',
    'authorization.conf': 'authorization { users = [ { user: novax, password: "<password in NATS_URL>" } ] }',
  },
  'novax-app': {
    JWT_PRIVATE_KEYS: 'JWKS JSON of private keys, the first one signs',
    KEY_ENCRYPTION_KEY: 'key that encrypts the keys kept in the database',
    AUDIT_SIGNING_KEY: 'key that signs the heads of the audit chains',
    S3_ACCESS_KEY_ID: 'access key of the objectStorage bucket',
    S3_SECRET_ACCESS_KEY: 'its secret',
    BACKUP_S3_ACCESS_KEY_ID: 'access key of the backup bucket (backup.driver: s3)',
    BACKUP_S3_SECRET_ACCESS_KEY: 'its secret (backup.driver: s3)',
    EMBEDDING_API_KEY: 'key of the embedding service (embedding.provider: openai)',
    MEILI_MASTER_KEY: 'at least 16 bytes (data.meilisearch)',
    SMTP_URL: 'smtps://<user>:<password>@<host> (mail)',
    OPERATOR_TOKEN: 'opens the queues’ page, 24 characters or more (workers.queuePage)',
  },
} as const;

type Table = typeof table;
/** A key of any declared Secret. */
export type SecretKeyName = { [S in keyof Table]: keyof Table[S] }[keyof Table];

/** Every declared key with its Secret, in the order of the page. */
export const SECRET_KEYS: readonly SecretKey[] = Object.entries(table).flatMap(([secret, keys]) =>
  Object.entries(keys).map(([key, meaning]) => ({ secret, key, meaning })),
);

/** Name of the Secret that holds a key. Throws RangeError for a key that is not declared. */
export function secretOf(key: SecretKeyName): string {
  const found = SECRET_KEYS.find((row) => row.key === key);
  if (found === undefined) throw new RangeError(`no Secret declares the key ${key}`);
  return found.secret;
}

/** The keys that this configuration reads, plus its TLS Secret: what a person has to create first. */
export function requiredSecrets(config: DeploymentConfig): SecretKey[] {
  const absent = new Set<string>();
  if (config.backup.driver !== 's3')
    ['BACKUP_S3_ACCESS_KEY_ID', 'BACKUP_S3_SECRET_ACCESS_KEY'].forEach((key) => absent.add(key));
  if (config.embedding.provider !== 'openai') absent.add('EMBEDDING_API_KEY');
  if (config.data.meilisearch === undefined) absent.add('MEILI_MASTER_KEY');
  if (config.mail === undefined) absent.add('SMTP_URL');
  if (!config.workers.queuePage) absent.add('OPERATOR_TOKEN');
  const tls = ['tls.crt', 'tls.key'].map((key) => ({
    secret: config.ingress.tlsSecret,
    key,
    meaning: `certificate of ${config.ingress.host} (type kubernetes.io/tls)`,
  }));
  return [...SECRET_KEYS.filter(({ key }) => !absent.has(key)), ...tls];
}
