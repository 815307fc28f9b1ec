/** The API's settings, read once. */
import { rateLimits } from '@novax/contracts/limits';
import { crashSchema, portSchema, readEnv } from '@novax/runtime/env';
import { keyringSchema } from '@novax/runtime/keyring';
import { z } from 'zod';

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );

const schema = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: portSchema.default(3000),
  METRICS_PORT: portSchema.default(9464),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  DATABASE_URL: z.url(),
  DATABASE_POOL_MAX: z.coerce.number().int().min(1).max(100).default(8),
  QUEUE_REDIS_URL: z.url(),
  NATS_URL: z.url(),
  /** First part of every subject and stream, for several installations on one NATS; none when absent. */
  NATS_NAMESPACE: z
    .string()
    .regex(/^[A-Za-z0-9]{1,32}$/)
    .optional(),
  JWT_PRIVATE_KEYS: z.string().min(1, 'a JWKS with at least one private key; the first one signs'),
  JWT_ISSUER: z.string().default('novax'),
  JWT_AUDIENCE: z.string().default('novax-api'),
  /** Keys that seal what the database keeps for this process alone: base64 of 32 bytes each, comma-separated; the first seals. */
  KEY_ENCRYPTION_KEY: keyringSchema,
  MEILI_URL: z.url().optional(),
  MEILI_MASTER_KEY: z.string().optional(),
  EMBEDDING_PROVIDER: z.enum(['local', 'openai']).default('local'),
  EMBEDDING_BASE_URL: z.url().optional(),
  EMBEDDING_MODEL: z.string().optional(),
  EMBEDDING_API_KEY: z.string().optional(),
  CORS_ORIGINS: list,
  /** Proxies whose X-Forwarded-For is believed: a number of hops; 0 believes nobody. */
  TRUST_PROXY: z.coerce.number().int().min(0).max(10).default(0),
  RATE_LIMITS: z
    .string()
    .default('{}')
    .transform((text, context) => {
      try {
        return z.record(z.string(), z.int().min(1)).parse(JSON.parse(text));
      } catch {
        context.addIssue('must be JSON like {"read":120,"write":60,"signIn":10}');
        return z.NEVER;
      }
    })
    .transform((overrides): Readonly<Record<string, number>> => ({ ...rateLimits, ...overrides })),
  /** Parse answers as well as inputs; for tests and development. */
  CHECK_OUTPUT: z.stringbool().default(false),
  /** Tests only: where this process dies. */
  NOVAX_CRASH_AT: crashSchema,
  SHUTDOWN_DEADLINE_MS: z.coerce.number().int().min(100).default(10_000),
});

export type ApiEnv = z.output<typeof schema>;

/** Throws `EnvError` naming every problem. */
export function readApiEnv(): ApiEnv {
  return readEnv(schema, process.env);
}
