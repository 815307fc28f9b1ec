/** The API's settings, read once. */
import { crashSchema, EnvError, portSchema, readEnv } from '@novax/runtime/env';
import { oidcProvidersSchema } from '@novax/adapters/oidc-settings';
import { signInTries } from '@novax/contracts/limits';
import { anchorStoreSettings } from '@novax/adapters/blobs';
import { outboundAllowSchema } from '@novax/adapters/outbound-settings';
import { keyringSchema } from '@novax/runtime/keyring';
import { signingKeysSchema } from '@novax/runtime/signing';
import { z } from 'zod';
import { limitsSchema } from './limits-setting.ts';

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );

/** As a browser would send it: scheme and host, a port only where it is not the scheme's own, no path. `null` is nobody's. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && text !== 'null';
}

const schema = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: portSchema.default(3000),
  METRICS_PORT: portSchema.default(9464),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  DATABASE_URL: z.url(),
  DATABASE_POOL_MAX: z.coerce.number().int().min(1).max(100).default(8),
  QUEUE_REDIS_URL: z.url(),
  /** The server that keeps answers; without one they are found anew each time. */
  CACHE_REDIS_URL: z.url().optional(),
  /** Longest wait for that server, milliseconds; one that takes longer is left alone for a while. */
  CACHE_TIMEOUT_MS: z.coerce.number().int().min(1).default(25),
  /** How long the answer of a search may be kept, milliseconds; a change ends it at once, and this is for the change that nobody hears of. */
  SEARCH_CACHE_TTL_MS: z.coerce.number().int().min(100).default(120_000),
  NATS_URL: z.url(),
  /** First part of every subject and stream, for several installations on one NATS; none when absent. */
  NATS_NAMESPACE: z
    .string()
    .regex(/^[A-Za-z0-9]{1,32}$/)
    .optional(),
  JWT_PRIVATE_KEYS: z.string().min(1, 'a JWKS with at least one private key; the first one signs'),
  /** Where the keys were read from, when it was a file: it may be replaced while the process runs. */
  JWT_PRIVATE_KEYS_FILE: z.string().optional(),
  JWT_ISSUER: z.string().default('novax'),
  JWT_AUDIENCE: z.string().default('novax-api'),
  /** Keys that seal what the database keeps for this process alone: base64 of 32 bytes each, comma-separated; the first seals. */
  KEY_ENCRYPTION_KEY: keyringSchema,
  /** Identity providers that people can sign in with. */
  OIDC_PROVIDERS: oidcProvidersSchema,
  /** Origins of one's own network that may be asked for what others chose, such as an identity provider without a public address. */
  OUTBOUND_ALLOW: outboundAllowSchema,
  /** Keys of the audit chains' heads, here to check them: base64 of 32 bytes each, comma-separated. */
  AUDIT_SIGNING_KEY: signingKeysSchema,
  ...anchorStoreSettings,
  MEILI_URL: z.url().optional(),
  MEILI_MASTER_KEY: z.string().optional(),
  EMBEDDING_PROVIDER: z.enum(['local', 'openai']).default('local'),
  EMBEDDING_BASE_URL: z.url().optional(),
  EMBEDDING_MODEL: z.string().optional(),
  EMBEDDING_API_KEY: z.string().optional(),
  /** Other origins whose pages may read answers; each exactly as browsers send it. */
  CORS_ORIGINS: list.refine(
    (origins) => origins.every(isOrigin),
    'origins like https://app.example.com, comma-separated',
  ),
  /** How people reach this API; optional. Said to be https, browsers are told never to come without it. */
  PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** Certificate chain and private key in PEM, when this process ends TLS itself. Both or neither. */
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  /** How often files of keys and certificates are looked at, milliseconds. */
  FILES_RELOAD_MS: z.coerce.number().int().min(50).default(5_000),
  /** Proxies whose X-Forwarded-For is believed: a number of hops; 0 believes nobody. */
  TRUST_PROXY: z.coerce.number().int().min(0).max(10).default(0),
  RATE_LIMITS: limitsSchema,
  /** Failed sign-ins, of one account and from one network, before the next must wait. */
  SIGN_IN_TRIES: z
    .string()
    .default('{}')
    .transform((text, context) => {
      try {
        return z
          .strictObject({ account: z.int().min(1).optional(), network: z.int().min(1).optional() })
          .parse(JSON.parse(text));
      } catch {
        context.addIssue('must be JSON like {"account":3,"network":10}');
        return z.NEVER;
      }
    })
    .transform(({ account = signInTries.account, network = signInTries.network }) => ({ account, network })),
  /** Parse answers as well as inputs; for tests and development. */
  CHECK_OUTPUT: z.stringbool().default(false),
  /** Tests only: where this process dies. */
  NOVAX_CRASH_AT: crashSchema,
  /**
   * How long it goes on serving after the stop signal, unready and asking callers to connect elsewhere, before it stops accepting; milliseconds.
   * A Service or a load balancer may send calls for some five seconds more; 0 where nobody stands between.
   */
  SHUTDOWN_DELAY_MS: z.coerce.number().int().min(0).max(60_000).default(6_000),
  /** After that: until all has ended, milliseconds. Calls in hand have three quarters of it. */
  SHUTDOWN_DEADLINE_MS: z.coerce.number().int().min(100).default(12_000),
});

export type ApiEnv = z.output<typeof schema>;

/** Throws `EnvError` naming every problem. */
export function readApiEnv(): ApiEnv {
  const env = readEnv(schema, process.env);
  if ((env.TLS_CERT_FILE === undefined) !== (env.TLS_KEY_FILE === undefined))
    throw new EnvError('settings are wrong:\n  TLS_CERT_FILE and TLS_KEY_FILE: set both or neither');
  // Keys given directly win over a file, which then is not theirs.
  const { JWT_PRIVATE_KEYS_FILE: keysFile, ...rest } = env;
  return process.env['JWT_PRIVATE_KEYS'] || keysFile === undefined
    ? rest
    : { ...rest, JWT_PRIVATE_KEYS_FILE: keysFile };
}
