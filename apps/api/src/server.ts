/** The HTTP server: thin path first, then probes, then Express with the other faces. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { contract } from '@novax/contracts/api/contract';
import { errorTable } from '@novax/contracts/errors';
import type { ReadyLine } from '@novax/runtime/ready';
import { AppError, toAppError } from '@novax/runtime/errors';
import express from 'express';
import { drain } from './faces/body.ts';
import { requestFacts } from './faces/facts.ts';
import { openApiDocument } from './faces/openapi.ts';
import { docsPage, docsPolicy } from './faces/docs.ts';
import { linkPage, linkPaths, linkPolicy } from './faces/link-pages.ts';
import { createRestFace } from './faces/rest.ts';
import { createThinPath, write } from './faces/thin.ts';
import { createTrpcFace } from './faces/trpc.ts';
import type { Chain } from './invoke.ts';
import { responseClass } from './last-answers.ts';
import { tlsOptions, type TlsPair } from './tls.ts';
import { answerHeaders, problem } from './wire.ts';

export interface ServerOptions {
  readonly chain: Chain;
  readonly ready: () => Promise<readonly ReadyLine[]>;
  /** True once this process is on its way out: every answer from then on closes its connection. */
  readonly leaving: () => boolean;
  /** JWKS of the access tokens' public keys, as they are now. */
  readonly jwks: () => unknown;
  readonly corsOrigins: readonly string[];
  readonly trustedHops: number;
  /** Undefined where somebody else ends TLS. */
  readonly tls: TlsPair | undefined;
  /** True when people reach this server by TLS, whoever ends it. */
  readonly strictTransport: boolean;
}

/** Two years, as lists of browsers want it (ASVS 5.0 3.4.1 wants one). */
const strictTransport = { 'strict-transport-security': 'max-age=63072000; includeSubDomains' };

/** Others may keep the public keys this long; a key that is to sign is published that much earlier. */
const jwksCache = 'public, max-age=300';

/** Security headers of every answer (ASVS 5.0 3.4). */
const fixedHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  // Data is no page: nothing in it runs, loads, or may be framed. The one page there is has a policy of its own.
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  // Answers hold tokens and tenants' data (RFC 6749 5.1).
  'cache-control': 'no-store',
} as const;

/** Builds the server; the caller listens and closes. */
export function createApiServer(options: ServerOptions): Server | TlsServer {
  const { chain, trustedHops } = options;
  const thin = createThinPath(chain, trustedHops);

  const app = express();
  const Response = responseClass(options.leaving);
  // Express gives every response a prototype of its own.
  Object.assign(app.response, { writeHead: Response.prototype.writeHead });
  app.disable('x-powered-by');
  // The etag costs more than the whole thin path, and answers differ per caller.
  app.disable('etag');
  app.use('/trpc', createTrpcFace(chain, contract, trustedHops));
  app.use('/api/v1', createRestFace(chain, trustedHops));
  app.get('/openapi.json', (_request, response) => void response.json(openApiDocument()));
  app.get('/docs', (_request, response) => {
    response.setHeader('content-security-policy', docsPolicy());
    response.type('html').send(docsPage());
  });
  app.get([...linkPaths], (request, response) => {
    response.setHeader('content-security-policy', linkPolicy());
    response.type('html').send(linkPage(request.path));
  });
  app.get('/.well-known/jwks.json', (_request, response) => {
    response.setHeader('cache-control', jwksCache);
    response.json(options.jwks());
  });
  app.use((_request, response) => {
    write(response, {
      status: 404,
      body: { title: 'There is nothing here; see /docs.', status: 404, code: 'NOT_FOUND' },
      headers: { 'content-type': 'application/problem+json' },
    });
  });

  // The time limits below are looked at this often; every 30 s, the default, would let a slow caller stay three times as long.
  const settings = { connectionsCheckingInterval: 2_000, ServerResponse: Response };
  const headers = Object.entries(options.strictTransport ? { ...fixedHeaders, ...strictTransport } : fixedHeaders);
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    for (const [name, value] of headers) response.setHeader(name, value);
    if (!methods.has(request.method ?? '')) return refuseMethod(request, response, trustedHops);
    if (allowOrigin(request, response, options.corsOrigins)) return;
    if (thin(request, response)) return;
    if (request.url === '/') return void response.writeHead(302, { location: '/docs' }).end();
    if (request.url === '/healthz') return write(response, { status: 200, body: { ok: true } });
    if (request.url === '/readyz') return void answerReady(response, options.ready);
    // Express has the call signature of a request listener; what none of its handlers took ends in the third parameter, not on its own error page.
    (app as (request: IncomingMessage, response: ServerResponse, unhandled: (thrown: unknown) => void) => void)(
      request,
      response,
      (thrown) => answerUnhandled({ request, response }, { thrown, trustedHops }),
    );
  };
  const server =
    options.tls === undefined
      ? createServer(settings, listener)
      : createTlsServer({ ...settings, ...tlsOptions(options.tls) }, listener);
  // Longer than a load balancer's idle time, so that the balancer is the one to close.
  server.keepAliveTimeout = 65_000;
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  return server;
}

/** No face answers any other; some of what stands behind them cannot even be handed one. */
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

function refuseMethod(request: IncomingMessage, response: ServerResponse, trustedHops: number): void {
  const error = new AppError('METHOD_NOT_SUPPORTED', { detail: `${request.method} is nobody's` });
  answerUnhandled({ request, response }, { thrown: error, trustedHops });
  drain(request);
}

/** What Express throws itself is a path that cannot be decoded; anything else is ours. */
function answerUnhandled(
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  failure: { readonly thrown: unknown; readonly trustedHops: number },
): void {
  const { thrown, trustedHops } = failure;
  const error = thrown instanceof URIError ? new AppError('VALIDATION_FAILED', { cause: thrown }) : toAppError(thrown);
  const facts = requestFacts(exchange.request, 'rest', trustedHops);
  const headers = { 'content-type': 'application/problem+json', ...answerHeaders(facts, error) };
  write(exchange.response, {
    status: errorTable[error.code].http,
    body: problem(error, facts.call.requestId),
    headers,
  });
}

async function answerReady(response: ServerResponse, ready: ServerOptions['ready']): Promise<void> {
  const lines = await ready();
  const ok = lines.every((line) => line.ok);
  write(response, { status: ok ? 200 : 503, body: { ok, dependencies: lines } });
}

/** Answers a preflight (true) or marks the answer as readable by an allowed origin. */
function allowOrigin(request: IncomingMessage, response: ServerResponse, allowed: readonly string[]): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return false;
  response.setHeader('vary', 'Origin');
  if (!allowed.includes(origin)) return false;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader(
    'access-control-expose-headers',
    'x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset',
  );
  if (request.method !== 'OPTIONS') return false;
  response.writeHead(204, {
    'access-control-allow-methods': 'GET, POST, PATCH, PUT, DELETE',
    'access-control-allow-headers': 'authorization, content-type, traceparent, x-request-id',
    'access-control-max-age': '600',
  });
  response.end();
  return true;
}
