/** What the application's processes are told: plain values in the environment, secrets as files that the environment names. */
import type { EnvVar } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { DeploymentConfig } from '../config.ts';
import { SECRETS_PATH } from '../constructs/mounts.ts';
import { PORTS } from '../names.ts';
import type { SecretKeyName } from '../secrets.ts';

/** `NAME_FILE` for every key, in the order given. */
export function secretVariables(keys: readonly SecretKeyName[]): EnvVar[] {
  return keys.map((key) => ({ name: `${key}_FILE`, value: `${SECRETS_PATH}/${key}` }));
}

/** Settings that the API and the workers share. */
export function sharedVariables(config: DeploymentConfig): EnvVar[] {
  const { objectStorage, embedding } = config;
  const origin = `https://${config.ingress.host}`;
  return variables({
    NODE_ENV: 'production',
    PUBLIC_URL: origin,
    STORAGE_DRIVER: 's3',
    S3_ENDPOINT: objectStorage.endpoint,
    S3_REGION: objectStorage.region,
    S3_BUCKET: objectStorage.bucket,
    EMBEDDING_PROVIDER: embedding.provider,
    ...(embedding.provider === 'openai'
      ? { EMBEDDING_BASE_URL: embedding.baseUrl, EMBEDDING_MODEL: embedding.model }
      : {}),
    ...(config.data.meilisearch === undefined ? {} : { MEILI_URL: `http://meilisearch:${PORTS.meilisearch}` }),
  });
}

/** Whom mails come from and where their links lead; the workers alone send any. */
export function mailVariables({ mail }: DeploymentConfig): EnvVar[] {
  if (mail === undefined) return [];
  return variables({ MAIL_FROM: mail.from, ...(mail.appUrl === undefined ? {} : { APP_URL: mail.appUrl }) });
}

/** How queues and jobs run where the configuration says so. */
export function jobVariables({ workers }: DeploymentConfig): EnvVar[] {
  const { queueLimits, jobLockMs } = workers;
  return variables({
    ...(queueLimits === undefined ? {} : { QUEUE_LIMITS: JSON.stringify(queueLimits) }),
    ...(jobLockMs === undefined ? {} : { JOB_LOCK_MS: String(jobLockMs) }),
  });
}

/** Keys of Secrets that depend on what the configuration turns on. */
export function optionalKeys(config: DeploymentConfig): SecretKeyName[] {
  return [
    ...(config.data.meilisearch === undefined ? [] : (['MEILI_MASTER_KEY'] as const)),
    ...(config.embedding.provider === 'openai' ? (['EMBEDDING_API_KEY'] as const) : []),
  ];
}

/** Name–value pairs as Kubernetes writes them. */
export function variables(values: Readonly<Record<string, string>>): EnvVar[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
