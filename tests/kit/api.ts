/** The API (and, when asked, the workers) in the test's own process, on a database, subjects and job keys of its own. */
import { randomBytes } from 'node:crypto';
import { busNames } from '@novax/adapters/bus-config';
import { natsAddress } from '@novax/adapters/nats-address';
import { Lifecycle } from '@novax/runtime/lifecycle';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { connect as connectNats } from 'nats';
import { startApi } from '../../apps/api/src/compose.ts';
import type { ApiEnv } from '../../apps/api/src/env.ts';
import { startWorkers } from '../../apps/workers/src/compose.ts';
import type { WorkersEnv } from '../../apps/workers/src/env.ts';
import { workerRoles } from '../../apps/workers/src/roles.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { quiet } from './quiet.ts';
import { servers } from './servers.ts';

/** The same for every API of a test: what one node has sealed, another on the same database must open. */
const testKeyring = Buffer.alloc(32, 'sealing key of the tests').toString('base64');

export interface TestApiOptions {
  /** Calls per minute by class; absent ones are out of reach. */
  readonly rateLimits?: Readonly<Record<string, number>>;
  /** Also starts every worker role. */
  readonly workers?: boolean;
  /** An OpenAI-compatible server in place of the bundled model. */
  readonly embedder?: { readonly baseUrl: string; readonly model: string };
  /** Settings that differ from the usual ones. */
  readonly env?: Partial<ApiEnv>;
}

export interface TestApi extends AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string;
  readonly database: TestDatabase;
  /** The private key that signs access tokens, for forging. */
  readonly signingKey: JWK;
  readonly env: ApiEnv;
  readonly workersEnv: WorkersEnv;
  /** Starts worker roles beside the API; disposing stops them. */
  startWorkers(env?: Partial<WorkersEnv>): Promise<AsyncDisposable>;
}

/** Starts the API as its `main` would, on a free port, checking what handlers answer against the contract. Rejects with what refused to start. */
export async function startTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await testDatabase());
  const namespace = `t${randomBytes(6).toString('hex')}`;
  stack.defer(() => removeStreams(namespace));
  const signingKey = await newSigningKey('test-key-1');
  const shared = sharedSettings(namespace, options);
  const env: ApiEnv = {
    ...shared,
    PORT: 0,
    DATABASE_URL: database.url('novax_api'),
    DATABASE_POOL_MAX: 8,
    JWT_PRIVATE_KEYS: JSON.stringify({ keys: [signingKey] }),
    JWT_ISSUER: 'novax',
    JWT_AUDIENCE: 'novax-api',
    KEY_ENCRYPTION_KEY: testKeyring,
    OIDC_PROVIDERS: [],
    OUTBOUND_ALLOW: [],
    CORS_ORIGINS: [],
    TRUST_PROXY: 0,
    FILES_RELOAD_MS: 100,
    SEARCH_CACHE_TTL_MS: 120_000,
    RATE_LIMITS: {
      read: 1_000_000,
      write: 1_000_000,
      signIn: 1_000_000,
      address: 1_000_000,
      organization: 1_000_000,
      ...options.rateLimits,
    },
    // One network is all that tests come from.
    SIGN_IN_TRIES: { account: 3, network: 1_000_000 },
    CHECK_OUTPUT: true,
    SHUTDOWN_DELAY_MS: 0,
    SHUTDOWN_DEADLINE_MS: 10_000,
    ...options.env,
  };
  const workersEnv: WorkersEnv = {
    ...shared,
    DATABASE_WORKER_URL: database.url('novax_worker'),
    DATABASE_POOL_MAX: 6,
    QUEUE_PREFIX: namespace,
    QUEUE_LIMITS: {},
    JOB_LOCK_MS: 30_000,
    LANGUAGE_MODEL_PROVIDER: 'local',
    WORKER_ROLES: [...workerRoles],
    SCHEDULES_REPEAT_MS: 5_000,
    SHUTDOWN_DEADLINE_MS: 20_000,
  };
  const started = async (changes: Partial<WorkersEnv> = {}): Promise<AsyncDisposable> =>
    living((lifecycle) => startWorkers({ ...workersEnv, ...changes }, { lifecycle, log: quiet }));

  let url = '';
  stack.use(await living(async (lifecycle) => void ({ url } = await startApi(env, { lifecycle, log: quiet }))));
  if (options.workers === true) stack.use(await started());
  const owned = stack.move();
  return {
    url,
    database,
    signingKey,
    env,
    workersEnv,
    startWorkers: started,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function sharedSettings(namespace: string, options: TestApiOptions) {
  const { queueRedisUrl, cacheRedisUrl, natsUrl } = servers();
  return {
    HOST: '127.0.0.1',
    METRICS_PORT: 0,
    AUDIT_SIGNING_KEY: randomBytes(32).toString('base64'),
    LOG_LEVEL: 'silent',
    QUEUE_REDIS_URL: queueRedisUrl,
    CACHE_REDIS_URL: cacheRedisUrl,
    // A busy machine must not pass for a slow server.
    CACHE_TIMEOUT_MS: 2_000,
    NATS_URL: natsUrl,
    NATS_NAMESPACE: namespace,
    EMBEDDING_PROVIDER: options.embedder === undefined ? 'local' : 'openai',
    ...(options.embedder === undefined
      ? {}
      : { EMBEDDING_BASE_URL: options.embedder.baseUrl, EMBEDDING_MODEL: options.embedder.model }),
  } as const;
}

/** Runs a start; what it registered is closed at disposal, or at once when it fails. */
async function living(start: (lifecycle: Lifecycle) => Promise<void>): Promise<AsyncDisposable> {
  const lifecycle = new Lifecycle({ log: quiet, deadlineMs: 15_000 });
  try {
    await start(lifecycle);
  } catch (thrown) {
    await lifecycle.close();
    throw thrown;
  }
  return { [Symbol.asyncDispose]: async () => void (await lifecycle.close()) };
}

/** An Ed25519 key pair as a private JWK. */
export async function newSigningKey(kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: 'EdDSA' };
}

async function removeStreams(namespace: string): Promise<void> {
  const nc = await connectNats(natsAddress(servers().natsUrl));
  const names = busNames(namespace);
  const jsm = await nc.jetstreamManager();
  for (const stream of [names.events, names.deadLetters]) await jsm.streams.delete(stream).catch(() => false);
  await nc.close();
}
