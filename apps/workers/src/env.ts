/** The workers' settings, read once. */
import { anchorStoreSettings } from '@novax/adapters/blobs';
import { crashSchema, portSchema, readEnv } from '@novax/runtime/env';
import { signingKeysSchema } from '@novax/runtime/signing';
import { z } from 'zod';
import { queueLimitsSchema } from './queue-limits.ts';
import { workerRoles } from './roles.ts';

const schema = z.object({
  HOST: z.string().default('127.0.0.1'),
  METRICS_PORT: portSchema.default(9465),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  DATABASE_WORKER_URL: z.url(),
  DATABASE_POOL_MAX: z.coerce.number().int().min(1).max(100).default(6),
  QUEUE_REDIS_URL: z.url(),
  /** The server that keeps the API's answers, to be told of changes. */
  CACHE_REDIS_URL: z.url().optional(),
  /** Longest wait for that server, milliseconds; one that takes longer is left alone for a while. */
  CACHE_TIMEOUT_MS: z.coerce.number().int().min(1).default(25),
  /** First part of every job key, for several installations on one server; the product's name when absent. */
  QUEUE_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/)
    .optional(),
  /** How queues run where it differs from their rows, as JSON: `{"embedding":{"concurrency":2,"max":60,"perMs":60000}}`. */
  QUEUE_LIMITS: queueLimitsSchema,
  /** Milliseconds after which a job is taken from a worker that gives no sign of life. */
  JOB_LOCK_MS: z.coerce.number().int().min(500).default(30_000),
  /** Opens the queues' page on the metrics port to who sends it, as a bearer token or as the password; no page when absent. */
  OPERATOR_TOKEN: z.string().min(24).optional(),
  NATS_URL: z.url(),
  /** First part of every subject and stream, for several installations on one NATS; none when absent. */
  NATS_NAMESPACE: z
    .string()
    .regex(/^[A-Za-z0-9]{1,32}$/)
    .optional(),
  /** How long the stream recognises a second publish of one event, milliseconds; two minutes when absent. */
  EVENT_DEDUPE_WINDOW_MS: z.coerce.number().int().min(100).optional(),
  /** How long a consumer may show no sign of life before its event goes to another, milliseconds; 30 s when absent. */
  EVENT_ACK_WAIT_MS: z.coerce.number().int().min(100).optional(),
  /** How long the stream keeps events, milliseconds; 30 days when absent. At least the window above. */
  EVENT_MAX_AGE_MS: z.coerce.number().int().min(100).optional(),
  /** How long published events and the consumers' inbox stay in the database, days; 30 when absent, and at least that. */
  EVENT_RETENTION_DAYS: z.coerce.number().int().min(30).optional(),
  /** Keys that sign the heads of the audit chains: base64 of 32 bytes each, comma-separated; the first signs. */
  AUDIT_SIGNING_KEY: signingKeysSchema,
  ...anchorStoreSettings,
  MEILI_URL: z.url().optional(),
  MEILI_MASTER_KEY: z.string().optional(),
  EMBEDDING_PROVIDER: z.enum(['local', 'openai']).default('local'),
  EMBEDDING_BASE_URL: z.url().optional(),
  EMBEDDING_MODEL: z.string().optional(),
  EMBEDDING_API_KEY: z.string().optional(),
  LANGUAGE_MODEL_PROVIDER: z.enum(['local', 'openai']).default('local'),
  LANGUAGE_MODEL_BASE_URL: z.url().optional(),
  LANGUAGE_MODEL_MODEL: z.string().optional(),
  LANGUAGE_MODEL_API_KEY: z.string().optional(),
  /** Where mails go: `smtps://user:password@host`, or `smtp://…` with STARTTLS; plain on loopback alone. */
  SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
  /** A folder for mails in place of a server; with neither, mails wait in the database. */
  MAIL_DIR: z.string().optional(),
  /** Sender of every mail, like `NovaX <novax@example.com>`. */
  MAIL_FROM: z.string().optional(),
  /** Where people reach the product; links in mails begin with APP_URL, or with this when there is no app beside the API. */
  PUBLIC_URL: z.url().optional(),
  /** The web app: it answers /verify-email, /reset-password and /accept-invitation, each with `?token=…`. */
  APP_URL: z.url().optional(),
  /** Roles of this process, comma-separated; all of them when absent. */
  WORKER_ROLES: z
    .string()
    .default(workerRoles.join(','))
    .transform((text) => text.split(',').map((role) => role.trim()))
    .pipe(z.array(z.enum(workerRoles)).min(1)),
  /** How often the schedules are put in place again, in case the job server lost them, milliseconds. */
  SCHEDULES_REPEAT_MS: z.coerce.number().int().min(100).default(5_000),
  /** Tests only: where this process dies. */
  NOVAX_CRASH_AT: crashSchema,
  SHUTDOWN_DEADLINE_MS: z.coerce.number().int().min(100).default(20_000),
});

export type WorkersEnv = z.output<typeof schema>;

/** Throws `EnvError` naming every problem. */
export function readWorkersEnv(): WorkersEnv {
  return readEnv(schema, process.env);
}
