/** Builds the API from its settings, in order; every part registers how it ends. */
import { once } from 'node:events';
import { Server as TlsServer } from 'node:https';
import { createAnchorStore } from '@novax/adapters/blobs';
import { connectBus } from '@novax/adapters/bus';
import { connectCache, type KeptCache } from '@novax/adapters/cache';
import { createEmbedder } from '@novax/adapters/embedder';
import { createIdentityProviders } from '@novax/adapters/identity-providers';
import { createOutbound } from '@novax/adapters/outbound';
import { redisLoginGuard } from '@novax/adapters/login-guard';
import { redisRateLimiter } from '@novax/adapters/rate-limit';
import { assertPolicy, closeRedis, connectRedis } from '@novax/adapters/redis';
import { meiliSearchEngine } from '@novax/adapters/search-engine';
import { redisSessionCache } from '@novax/adapters/sessions';
import { createPersonKeys } from '@novax/db/person-keys';
import { assertBoundByPolicies } from '@novax/db/powerless';
import { openReadLane } from '@novax/db/read-lane';
import { openDatabase } from '@novax/db/tx';
import { createAnswers } from '@novax/domain/answers';
import type { EventBus } from '@novax/domain/ports';
import { wakeMailSubject, wakeSubject } from '@novax/contracts/events/envelope';
import { closeServer } from '@novax/runtime/close-server';
import type { Lifecycle } from '@novax/runtime/lifecycle';
import type { Logger } from '@novax/runtime/log';
import { createKeyring } from '@novax/runtime/keyring';
import { createMetrics, createMetricsServer } from '@novax/runtime/metrics';
import { readyLine, type ReadyLine } from '@novax/runtime/ready';
import { retry } from '@novax/runtime/retry';
import { createApiKeys } from './auth/api-keys.ts';
import { createFactors } from './auth/factors.ts';
import { createLiveSessions } from './auth/live-sessions.ts';
import { createTokens, type Tokens } from './auth/tokens.ts';
import { createAccounts } from './auth/accounts.ts';
import { createSigner } from '@novax/runtime/signing';
import { createAuth } from './auth/auth.ts';
import { createAuthenticate } from './auth/authenticate.ts';
import { createPasswordPolicy } from './auth/password-policy.ts';
import { createPasswords } from './auth/passwords.ts';
import { createSignInGate } from './auth/sign-in-gate.ts';
import type { ApiEnv } from './env.ts';
import { handlers } from './handlers/all.ts';
import { createChain } from './invoke.ts';
import { procedureTable } from './procedures.ts';
import { createApiServer } from './server.ts';
import { readTlsPair, watchTlsPair } from './tls.ts';
import { watchFiles, type WatchedFiles } from './watched-files.ts';

export interface RunningApi {
  /** Where it listens, as a URL without a trailing slash. */
  readonly url: string;
  /** Looks at once at the files of keys and certificates, as it does every few seconds. Never rejects. */
  reload(): Promise<void>;
}

/** Starts the API. Refuses, with the reason, a database role that policies do not bind, a queue server that may evict and a cache server that may not. */
export async function startApi(
  env: ApiEnv,
  parts: { readonly lifecycle: Lifecycle; readonly log: Logger },
): Promise<RunningApi> {
  const { lifecycle, log } = parts;
  await assertBoundByPolicies(env.DATABASE_URL);
  const metrics = createMetrics();
  const onQuery = (statement: string, seconds: number): void => metrics.dbQueryDuration.observe({ statement }, seconds);
  const onEmbed = (model: string, seconds: number): void => metrics.embeddingDuration.observe({ model }, seconds);
  const keyring = createKeyring(env.KEY_ENCRYPTION_KEY);
  const personKeys = createPersonKeys(keyring);
  const db = lifecycle.add(
    'database',
    await openDatabase({ url: env.DATABASE_URL, poolMax: env.DATABASE_POOL_MAX, onQuery, personKeys }),
    (it) => it.close(),
  );
  const lane = lifecycle.add('read lane', openReadLane({ url: env.DATABASE_URL, onQuery }), (it) => it.close());
  // A search may take as long as a statement may: on sockets of its own it holds up nobody else's reads.
  const searchLane = lifecycle.add(
    'search lane',
    openReadLane({ url: env.DATABASE_URL, sockets: 4, inFlightMax: 16, onQuery }),
    (it) => it.close(),
  );
  const redis = lifecycle.add(
    'redis',
    await connectRedis({ url: env.QUEUE_REDIS_URL, log, name: 'novax-api', mode: 'fail-fast', commandTimeoutMs: 500 }),
    closeRedis,
  );
  await assertPolicy(redis, 'noeviction');
  const embedder = lifecycle.add('embedder', await createEmbedder(env, { log, threads: 1, onEmbed }), (it) =>
    it.close(),
  );
  // The model loads at its first text: better now than under somebody's first search.
  embedder
    .embed(['ready'])
    .catch((err: unknown) => log.warn({ err }, 'the embedding model does not answer; searches by meaning will say so'));
  const bus = lateBus(env, lifecycle, log);
  const tokens = await createTokens({
    privateKeys: env.JWT_PRIVATE_KEYS,
    issuer: env.JWT_ISSUER,
    audience: env.JWT_AUDIENCE,
  });
  const watched = [...watchKeys(env, tokens, log)];
  const feedLane = lifecycle.add(
    'revocation feed lane',
    openReadLane({ url: env.DATABASE_URL, sockets: 1, statementTimeoutMs: 800, onQuery }),
    (it) => it.close(),
  );
  const live = lifecycle.add(
    'revocation feed',
    createLiveSessions({ lane, feedLane, sessions: redisSessionCache(redis), log }),
    (it) => it.stop(),
  );
  await live.start();
  const limiter = redisRateLimiter(redis);
  const factors = createFactors({
    db,
    keyring,
    limiter,
    perMinute: env.RATE_LIMITS['signIn'] ?? 0,
  });
  const guards = {
    passwords: createPasswords(),
    policy: await createPasswordPolicy(),
    gate: createSignInGate({ guard: redisLoginGuard(redis, { tries: env.SIGN_IN_TRIES }), metrics }),
  };
  const auth = createAuth({
    db,
    live,
    ...guards,
    tokens,
    factors,
  });
  const accounts = createAccounts({ db, live, ...guards });
  const outbound = lifecycle.add(
    'outbound requests',
    createOutbound({ allow: env.OUTBOUND_ALLOW, timeoutMs: 10_000, bodyBytesMax: 1_000_000 }),
    (it) => it.close(),
  );
  const identityProviders = createIdentityProviders(env.OIDC_PROVIDERS, outbound.fetch);
  const searchEngine =
    env.MEILI_URL === undefined
      ? null
      : meiliSearchEngine({ url: env.MEILI_URL, apiKey: env.MEILI_MASTER_KEY ?? '', log });

  const cache = await keptCache(env, lifecycle, log);
  const answers = cache && createAnswers(cache, (tier, result) => metrics.cacheRequests.inc({ tier, result }));

  const chain = createChain({
    procedures: procedureTable(handlers),
    authenticate: createAuthenticate({ tokens, live, apiKeys: createApiKeys({ db, lane, log }) }),
    services: {
      db,
      auth,
      accounts,
      factors,
      embedder,
      identityProviders,
      keyring,
      metrics,
      searchEngine,
      answers,
      searchKeepMs: env.SEARCH_CACHE_TTL_MS,
      personKeys,
      signer: createSigner(env.AUDIT_SIGNING_KEY),
      anchors: createAnchorStore(env),
    },
    lane,
    searchLane,
    limiter,
    limits: env.RATE_LIMITS,
    metrics,
    log,
    async onCommit(organizationId) {
      bus()?.hint(wakeSubject);
      bus()?.hint(wakeMailSubject);
      // Whoever wrote sees it in what they ask next, on any node; everybody else when the event comes, at the latest.
      if (organizationId !== null) await answers?.changed(organizationId);
    },
    checkOutput: env.CHECK_OUTPUT,
  });

  const ready = async (): Promise<readonly ReadyLine[]> => [
    { name: 'serving', ok: !lifecycle.closing, detail: lifecycle.closing ? 'stopping' : 'yes' },
    await readyLine('postgres', () => db.ping()),
    // Sessions and limits fall back to PostgreSQL or pass; searches by meaning say so. Neither makes the API unready.
    { ...(await readyLine('redis', () => redis.ping())), ok: true },
    ...(cache === null ? [] : [{ ...(await readyLine('cache', () => cache.ping())), ok: true }]),
    { name: 'nats', ok: true, detail: bus() === undefined ? 'not connected; events wait in the outbox' : 'connected' },
  ];
  const pair = await readTlsPair(env);
  const server = createApiServer({
    chain,
    ready,
    leaving: () => lifecycle.closing,
    jwks: () => tokens.jwks,
    corsOrigins: env.CORS_ORIGINS,
    trustedHops: env.TRUST_PROXY,
    tls: pair,
    strictTransport: pair !== undefined || env.PUBLIC_URL?.startsWith('https:') === true,
  });
  if (pair !== undefined && server instanceof TlsServer) watched.push(watchTlsPair(server, pair, { env, log }));
  lifecycle.add('file watch', watched, (all) => all.forEach((it) => it.stop()));
  server.listen(env.PORT, env.HOST);
  await once(server, 'listening');
  lifecycle.add('http', server, (it) => closeServer(it, env.SHUTDOWN_DEADLINE_MS * 0.75));
  const metricsServer = createMetricsServer({ metrics, ready });
  metricsServer.listen(env.METRICS_PORT, env.HOST);
  await once(metricsServer, 'listening');
  lifecycle.add('metrics', metricsServer, (it) => closeServer(it, env.SHUTDOWN_DEADLINE_MS / 10));

  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : env.PORT;
  const scheme = pair === undefined ? 'http' : 'https';
  const url = `${scheme}://${env.HOST.includes(':') ? `[${env.HOST}]` : env.HOST}:${port}`;
  log.info({ url, metricsPort: env.METRICS_PORT }, 'listening');
  return { url, reload: async () => void (await Promise.all(watched.map((it) => it.look()))) };
}

/** Keys that came from a file are exchanged when the file is. */
function watchKeys(env: ApiEnv, tokens: Tokens, log: Logger): readonly WatchedFiles[] {
  if (env.JWT_PRIVATE_KEYS_FILE === undefined) return [];
  return [
    watchFiles({
      what: 'signing keys',
      paths: [env.JWT_PRIVATE_KEYS_FILE],
      contents: [env.JWT_PRIVATE_KEYS],
      everyMs: env.FILES_RELOAD_MS,
      apply: ([keys]) => tokens.replaceKeys(keys ?? ''),
      log,
    }),
  ];
}

/** The cache server, when one is named; it may be away. */
async function keptCache(env: ApiEnv, lifecycle: Lifecycle, log: Logger): Promise<KeptCache | null> {
  const { CACHE_REDIS_URL: url, CACHE_TIMEOUT_MS: answerMs } = env;
  if (url === undefined) return null;
  return lifecycle.add('cache', await connectCache({ url, name: 'novax-api', answerMs, log }), (it) => it.close());
}

/** Connects to NATS in the background: the API only sends hints, so it serves without. */
function lateBus(env: ApiEnv, lifecycle: Lifecycle, log: Logger): () => EventBus | undefined {
  let bus: EventBus | undefined;
  const giveUp = new AbortController();
  void retry(() => connectBus({ url: env.NATS_URL, namespace: env.NATS_NAMESPACE, log, connectWithinMs: 5_000 }), {
    attempts: Number.POSITIVE_INFINITY,
    baseMs: 500,
    capMs: 10_000,
    signal: giveUp.signal,
    onRetry: (err) => log.warn({ err }, 'no connection to NATS yet; events wait in the outbox'),
  }).then(
    (connected) => {
      if (giveUp.signal.aborted) return connected.close();
      bus = connected;
      return undefined;
    },
    () => undefined,
  );
  lifecycle.add('nats', giveUp, async (it) => {
    it.abort();
    await bus?.close();
  });
  return () => bus;
}
