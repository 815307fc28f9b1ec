/** The client against a server that speaks tRPC's wire format on a real socket. */
import { createServer, type IncomingMessage } from 'node:http';
import { contract } from '@novax/contracts/api/contract';
import { errorTable, type ErrorCode } from '@novax/contracts/errors';
import { batchCallsMax } from '@novax/contracts/limits';
import type { Row } from '@novax/contracts/procedure';
import { afterEach, expect, test } from 'vitest';
import { createNovaxClient, publicCalls, type NovaxClientOptions } from './client.ts';
import { isNovaxError, type NovaxError } from './errors.ts';
import type { Tokens } from './session.ts';

interface Call {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly input: unknown;
}
interface Reply {
  readonly data?: unknown;
  readonly error?: ErrorCode;
  readonly headers?: Record<string, string>;
  /** In place of JSON. */
  readonly raw?: { readonly status: number; readonly text: string };
  /** Never answers. */
  readonly silent?: true;
}
type Answer = (call: Call) => Reply | Promise<Reply>;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const inOneHour = (): string => new Date(Date.now() + 3_600_000).toISOString();
const tokens = (name: string, expiresAt = inOneHour()): Tokens => ({
  accessToken: `access-${name}`,
  refreshToken: `refresh-${name}`,
  expiresAt,
});
const id = '01900000-0000-7000-8000-000000000001';

async function serve(answer: Answer, options: Omit<NovaxClientOptions, 'url'> = {}) {
  const calls: Call[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      // A request without an encoding yields buffers.
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const url = new URL(request.url ?? '', 'http://local');
      const path = url.pathname.replace('/trpc/', '');
      const text = request.method === 'GET' ? (url.searchParams.get('input') ?? '') : Buffer.concat(chunks).toString();
      const call = {
        path,
        method: request.method ?? '',
        headers: request.headers,
        input: text === '' ? undefined : JSON.parse(text),
      };
      calls.push(call);
      const batch = url.searchParams.get('batch') === '1';
      const replies = await Promise.all(path.split(',').map(async (one) => answer({ ...call, path: one })));
      const [first = {}] = replies;
      if (first.silent === true) return;
      if (first.raw !== undefined) return void response.writeHead(first.raw.status, first.headers).end(first.raw.text);
      const bodies = replies.map(({ data, error }) =>
        error === undefined
          ? { result: { data } }
          : {
              error: {
                message: errorTable[error].text,
                code: errorTable[error].rpc,
                data: {
                  code: errorTable[error].trpc,
                  httpStatus: errorTable[error].http,
                  appCode: error,
                  retryable: errorTable[error].retryable,
                  requestId: 'request-1',
                },
              },
            },
      );
      const status = first.error === undefined || batch ? 200 : errorTable[first.error].http;
      response
        .writeHead(status, { 'content-type': 'application/json', ...first.headers })
        .end(JSON.stringify(batch ? bodies : bodies[0]));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { novax: createNovaxClient({ url: `http://127.0.0.1:${port}/`, ...options }), calls };
}

const failure = (promise: Promise<unknown>): Promise<NovaxError> =>
  promise.then(
    () => expect.unreachable('the call succeeded'),
    (error: unknown) => (isNovaxError(error) ? error : expect.unreachable(`not typed: ${String(error)}`)),
  );
const bearer = (call: Call): string | undefined => call.headers.authorization;
const count = (calls: readonly Call[], path: string): number => calls.filter((call) => call.path === path).length;

/** Accepts one access token and exchanges refresh tokens once each, as the API does. */
function oneShotServer(valid: string, next: Tokens): Answer {
  const used = new Set<unknown>();
  let accepted = valid;
  return ({ path, input, headers }) => {
    if (path === 'auth.refresh') {
      // The client's types let it send nothing else.
      const { refreshToken } = input as { refreshToken: string };
      if (used.has(refreshToken)) return { error: 'UNAUTHENTICATED' };
      used.add(refreshToken);
      accepted = next.accessToken;
      return { data: next };
    }
    return headers.authorization === `Bearer ${accepted}` ? { data: { id } } : { error: 'UNAUTHENTICATED' };
  };
}

test('the calls made without a session are exactly the public rows of the contract', () => {
  const features: Record<string, Record<string, Row>> = contract;
  const open = Object.entries(features).flatMap(([feature, rows]) =>
    Object.entries(rows)
      .filter(([, row]) => row.scope === 'public')
      .map(([verb]) => `${feature}.${verb}`),
  );
  expect([...publicCalls].toSorted()).toEqual(open.toSorted());
});

test('single calls have the form the thin path serves: no batch, no trpc-accept, no comma', async () => {
  const { novax, calls } = await serve(() => ({ data: { id } }), { tokens: tokens('a') });
  await novax.documents.get.query({ id });
  await novax.documents.delete.mutate({ id });
  expect(calls.map(({ method, path, input }) => ({ method, path, input }))).toEqual([
    { method: 'GET', path: 'documents.get', input: { id } },
    { method: 'POST', path: 'documents.delete', input: { id } },
  ]);
  for (const call of calls) {
    expect(call.headers['trpc-accept']).toBeUndefined();
    expect(call.headers.accept ?? '').not.toContain('event-stream');
    expect(bearer(call)).toBe('Bearer access-a');
  }
});

test('sign-in carries the session into later calls and tells where to store it', async () => {
  const stored: (Tokens | null)[] = [];
  const user = { id, email: 'a@example.com', username: 'a' };
  const { novax, calls } = await serve(
    ({ path }) => ({ data: path === 'auth.login' ? { user, ...tokens('a') } : { ok: true } }),
    {
      onTokens: (next) => stored.push(next),
    },
  );
  expect(await novax.session.login({ email: 'a@example.com', password: 'p' })).toEqual(user);
  expect(novax.session.tokens()?.accessToken).toBe('access-a');
  await novax.users.me.query({});
  await novax.session.logout();
  expect(novax.session.tokens()).toBeNull();
  expect(calls.map(bearer)).toEqual([undefined, 'Bearer access-a', 'Bearer access-a']);
  expect(stored.map((entry) => entry?.accessToken)).toEqual(['access-a', undefined]);
});

test('sign-in passes the code of a second factor along, and tells when one is missing without touching the session', async () => {
  const user = { id, email: 'a@example.com', username: 'a' };
  const { novax, calls } = await serve(({ input }) =>
    // The client's types let it send nothing else.
    (input as { code?: string }).code === undefined
      ? { error: 'SECOND_FACTOR_REQUIRED' }
      : { data: { user, ...tokens('b') } },
  );
  const input = { email: 'a@example.com', password: 'p' };
  expect(await failure(novax.session.login(input))).toMatchObject({ code: 'SECOND_FACTOR_REQUIRED', retryable: false });
  expect(novax.session.tokens()).toBeNull();
  expect(await novax.session.login({ ...input, code: '123456' })).toEqual(user);
  expect(calls.map((call) => [call.path, call.input])).toEqual([
    ['auth.login', input],
    ['auth.login', { ...input, code: '123456' }],
  ]);
  expect(novax.session.tokens()?.accessToken).toBe('access-b');
});

test('a client with an API key sends it with every call and none with public ones, single and batched', async () => {
  for (const batch of [false, true]) {
    const { novax, calls } = await serve(() => ({ data: { id } }), { apiKey: 'nvx_key', batch });
    await Promise.all([novax.documents.get.query({ id }), novax.documents.archive.mutate({ id })]);
    await novax.auth.oauthProviders.query({});
    expect(calls.filter((call) => call.path !== 'auth.oauthProviders').map(bearer)).toEqual([
      'Bearer nvx_key',
      'Bearer nvx_key',
    ]);
    expect(calls.filter((call) => call.path === 'auth.oauthProviders').map(bearer)).toEqual([undefined]);
  }
});

test('a refused API key is refused once: nothing is refreshed, sent again or told to store', async () => {
  const stored: (Tokens | null)[] = [];
  const { novax, calls } = await serve(() => ({ error: 'UNAUTHENTICATED' }), {
    apiKey: 'nvx_key',
    onTokens: (next) => stored.push(next),
  });
  expect((await failure(novax.documents.get.query({ id }))).code).toBe('UNAUTHENTICATED');
  expect(calls.map((call) => call.path)).toEqual(['documents.get']);
  expect(stored).toEqual([]);
});

test('a client with an API key has retries like any other, and neither signs in nor takes tokens', async () => {
  const { novax, calls } = await serve(failing(1, { error: 'DEPENDENCY_UNAVAILABLE' }), { apiKey: 'nvx_key' });
  await novax.documents.get.query({ id });
  expect(calls.map(bearer)).toEqual(['Bearer nvx_key', 'Bearer nvx_key']);
  await expect(novax.session.login({ email: 'a@example.com', password: 'p' })).rejects.toThrow('cannot sign in');
  expect(calls).toHaveLength(2);
  expect(() => createNovaxClient({ url: 'http://127.0.0.1:1', apiKey: 'nvx_key', tokens: tokens('a') })).toThrow(
    'both',
  );
});

for (const batch of [false, true]) {
  const how = batch ? 'batched' : 'single';
  test(`50 parallel ${how} calls with a token about to end make one refresh and all succeed`, async () => {
    const soon = new Date(Date.now() + 5_000).toISOString();
    const { novax, calls } = await serve(oneShotServer('access-a', tokens('b')), { tokens: tokens('a', soon), batch });
    const answers = await Promise.all(Array.from({ length: 50 }, () => novax.documents.get.query({ id })));
    expect(answers).toHaveLength(50);
    expect(count(calls, 'auth.refresh')).toBe(1);
    expect(new Set(calls.filter((call) => call.path !== 'auth.refresh').map(bearer))).toEqual(
      new Set(['Bearer access-b']),
    );
  });

  test(`50 parallel ${how} calls refused as UNAUTHENTICATED make one refresh and all succeed, writes included`, async () => {
    const { novax, calls } = await serve(oneShotServer('access-b', tokens('b')), { tokens: tokens('a'), batch });
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        index % 2 === 0 ? novax.documents.get.query({ id }) : novax.documents.archive.mutate({ id }),
      ),
    );
    expect(count(calls, 'auth.refresh')).toBe(1);
  });
}

test('a token refused again after its refresh is not refreshed a second time', async () => {
  const { novax, calls } = await serve(
    ({ path }) => (path === 'auth.refresh' ? { data: tokens('b') } : { error: 'UNAUTHENTICATED' }),
    {
      tokens: tokens('a'),
    },
  );
  expect((await failure(novax.users.me.query({}))).code).toBe('UNAUTHENTICATED');
  expect(calls.map((call) => call.path)).toEqual(['users.me', 'auth.refresh', 'users.me']);
});

test('a refused refresh signs out once and rejects every waiting call with the typed error', async () => {
  const stored: (Tokens | null)[] = [];
  const { novax, calls } = await serve(() => ({ error: 'UNAUTHENTICATED' }), {
    tokens: tokens('a'),
    onTokens: (next) => stored.push(next),
  });
  const errors = await Promise.all(Array.from({ length: 20 }, () => failure(novax.users.me.query({}))));
  expect(new Set(errors.map((error) => error.code))).toEqual(new Set(['UNAUTHENTICATED']));
  expect(count(calls, 'auth.refresh')).toBe(1);
  expect(novax.session.tokens()).toBeNull();
  expect(stored).toEqual([null]);
});

test('a server that cannot answer a refresh signs nobody out', async () => {
  const past = new Date(Date.now() - 1000).toISOString();
  const { novax } = await serve(() => ({ error: 'DEPENDENCY_UNAVAILABLE' }), { tokens: tokens('a', past) });
  expect((await failure(novax.users.me.query({}))).code).toBe('DEPENDENCY_UNAVAILABLE');
  expect(novax.session.tokens()?.refreshToken).toBe('refresh-a');
});

test('signing out while a refresh is under way stays signed out', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: refreshing, resolve: began } = Promise.withResolvers<void>();
  const { novax } = await serve(
    async ({ path, headers }) => {
      if (path === 'auth.refresh') {
        began();
        await released;
        return { data: tokens('b') };
      }
      return headers.authorization === undefined ? { error: 'UNAUTHENTICATED' } : { data: { ok: true } };
    },
    { tokens: tokens('a', new Date(Date.now() + 5_000).toISOString()), timeoutMs: 5_000 },
  );
  const reading = novax.users.me.query({});
  await refreshing;
  const leaving = novax.session.logout();
  release();
  await Promise.all([reading, leaving]);
  expect(novax.session.tokens()).toBeNull();
});

test('a token that seems to end as it arrives is used until the server refuses it, so a wrong clock does not refresh forever', async () => {
  const past = new Date(Date.now() - 60_000).toISOString();
  const { novax, calls } = await serve(oneShotServer('none', tokens('b', past)), { tokens: tokens('a', past) });
  await novax.users.me.query({});
  await novax.users.me.query({});
  expect(calls.map((call) => call.path)).toEqual(['auth.refresh', 'users.me', 'users.me']);
});

test('a wrong password is UNAUTHENTICATED and touches no session', async () => {
  const { novax, calls } = await serve(() => ({ error: 'UNAUTHENTICATED' }), { tokens: tokens('a') });
  expect((await failure(novax.session.login({ email: 'a@example.com', password: 'no' }))).code).toBe('UNAUTHENTICATED');
  expect(calls.map((call) => call.path)).toEqual(['auth.login']);
  expect(novax.session.tokens()?.accessToken).toBe('access-a');
});

/** Fails the first `times` calls. */
function failing(times: number, reply: Reply): Answer {
  let left = times;
  return () => (left-- > 0 ? reply : { data: { id } });
}

for (const code of ['DEPENDENCY_UNAVAILABLE', 'TIMEOUT', 'RATE_LIMITED'] as const) {
  test(`a query that met ${code} is tried again`, async () => {
    const { novax, calls } = await serve(failing(2, { error: code }));
    await novax.documents.get.query({ id });
    expect(calls).toHaveLength(3);
  });
}

test('a query is tried four times at most', async () => {
  const { novax, calls } = await serve(() => ({ error: 'DEPENDENCY_UNAVAILABLE' }));
  expect((await failure(novax.documents.get.query({ id }))).retryable).toBe(true);
  expect(calls).toHaveLength(4);
});

for (const code of ['DEPENDENCY_UNAVAILABLE', 'TIMEOUT', 'INTERNAL', 'VERSION_CONFLICT'] as const) {
  test(`a write that met ${code} is never sent twice`, async () => {
    const { novax, calls } = await serve(failing(1, { error: code }));
    expect(await failure(novax.documents.archive.mutate({ id }))).toMatchObject({
      code,
      requestId: 'request-1',
      issues: [],
    });
    expect(calls).toHaveLength(1);
  });
}

test('a write that was RATE_LIMITED, hence not done, is sent again', async () => {
  const { novax, calls } = await serve(failing(1, { error: 'RATE_LIMITED' }));
  await novax.documents.archive.mutate({ id });
  expect(calls).toHaveLength(2);
});

test('Retry-After is waited for', async () => {
  const { novax } = await serve(failing(1, { error: 'RATE_LIMITED', headers: { 'retry-after': '1' } }));
  const started = performance.now();
  await novax.documents.get.query({ id });
  expect(performance.now() - started).toBeGreaterThanOrEqual(990);
});

test('a Retry-After longer than a minute is the caller’s to wait for', async () => {
  const { novax, calls } = await serve(() => ({ error: 'RATE_LIMITED', headers: { 'retry-after': '3600' } }));
  expect(await failure(novax.documents.get.query({ id }))).toMatchObject({
    code: 'RATE_LIMITED',
    retryAfterMs: 3_600_000,
  });
  expect(calls).toHaveLength(1);
});

test('what a proxy answers is typed by its status and tried again when that says later', async () => {
  const { novax, calls } = await serve(
    failing(1, { raw: { status: 503, text: '<html>down</html>' }, headers: { 'retry-after': '0' } }),
  );
  await novax.documents.get.query({ id });
  expect(calls).toHaveLength(2);
  const broken = await serve(() => ({ raw: { status: 500, text: 'oops' } }));
  expect(await failure(broken.novax.documents.get.query({ id }))).toMatchObject({ code: 'INTERNAL', requestId: '' });
});

test('an abort ends a call that waits for Retry-After at once', async () => {
  const controller = new AbortController();
  const { novax, calls } = await serve(() => {
    setImmediate(() => setTimeout(() => controller.abort(), 50));
    return { error: 'RATE_LIMITED', headers: { 'retry-after': '30' } };
  });
  const started = performance.now();
  const error: unknown = await novax.documents.get
    .query({ id }, { signal: controller.signal })
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  expect(isNovaxError(error)).toBe(false);
  expect(performance.now() - started).toBeLessThan(5_000);
  expect(calls).toHaveLength(1);
});

test('an abort ends one call that waits for a refresh, and not the refresh that others wait for', async () => {
  const controller = new AbortController();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { novax, calls } = await serve(
    async ({ path }) => {
      if (path !== 'auth.refresh') return { data: { id } };
      controller.abort();
      await released;
      return { data: tokens('b') };
    },
    { tokens: tokens('a', new Date(0).toISOString()) },
  );
  const given = novax.documents.get.query({ id }, { signal: controller.signal });
  const other = novax.documents.get.query({ id });
  await expect(given).rejects.toThrow();
  release();
  await expect(other).resolves.toEqual({ id });
  expect(count(calls, 'auth.refresh')).toBe(1);
  expect(count(calls, 'documents.get')).toBe(1);
});

test('a call without an answer in time is TIMEOUT and is not repeated', async () => {
  const { novax, calls } = await serve(() => ({ silent: true }), { timeoutMs: 100 });
  expect((await failure(novax.documents.get.query({ id }))).code).toBe('TIMEOUT');
  expect(calls).toHaveLength(1);
});

test('a server that is not there is DEPENDENCY_UNAVAILABLE', async () => {
  const novax = createNovaxClient({ url: 'http://127.0.0.1:1' });
  expect(await failure(novax.documents.archive.mutate({ id }))).toMatchObject({
    code: 'DEPENDENCY_UNAVAILABLE',
    requestId: '',
  });
});

test('batches hold as many calls as the server takes, and each call is retried for itself', async () => {
  let failed = false;
  const { novax, calls } = await serve(
    () => {
      if (failed) return { data: { id } };
      failed = true;
      return { error: 'DEPENDENCY_UNAVAILABLE' };
    },
    { batch: true },
  );
  await Promise.all(Array.from({ length: batchCallsMax + 5 }, () => novax.documents.get.query({ id })));
  expect(calls.map((call) => call.path.split(',').length).toSorted((a, b) => b - a)).toEqual([batchCallsMax, 5, 1]);
});
