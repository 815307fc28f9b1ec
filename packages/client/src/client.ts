/** The typed client: every procedure of the contract, with a session that keeps itself alive, or an API key, and retries that cannot do harm. */
import type { AppRouter } from '@novax/contracts/api/contract';
import { batchCallsMax } from '@novax/contracts/limits';
import {
  createTRPCClientProxy,
  httpBatchLink,
  httpLink,
  splitLink,
  TRPCUntypedClient,
  type Operation,
  type TRPCClient,
  type TRPCRequestOptions,
} from '@trpc/client';
import { toNovaxError } from './errors.ts';
import { retryDelayMs, untilAborted, wait } from './retry.ts';
import { createTokenKeeper, type TokenKeeper, type Tokens } from './session.ts';
import { createTransport, type Fetch } from './transport.ts';

export interface NovaxClientOptions {
  /** Where the API is, for example `https://api.example.com`. */
  readonly url: string;
  /** Optional: tokens of an earlier start, to go on with. */
  readonly tokens?: Tokens | null;
  /** Optional: sent in place of a session, as it is, with every call; for programs, never for browsers. Such a client cannot sign in. */
  readonly apiKey?: string;
  /** Optional: in place of the global `fetch`. */
  readonly fetch?: Fetch;
  /** Optional: told of every change of the tokens, null at the end of the session; the place to store them. */
  readonly onTokens?: (tokens: Tokens | null) => void;
  /** Optional: milliseconds each try may take, 30 000 when absent. */
  readonly timeoutMs?: number;
  /** Optional: true sends the calls of one tick together. Single calls take the server's fastest path, so the default is false. */
  readonly batch?: boolean;
}

type Procedures = TRPCClient<AppRouter>;
type InputOf<V extends 'login' | 'register'> = Parameters<Procedures['auth'][V]['mutate']>[0];
/** The signed-in person, as sign-in answers it. */
export type SignedInUser = Awaited<ReturnType<Procedures['auth']['login']['mutate']>>['user'];

export interface NovaxSession {
  /** Signs in; later calls carry the session. SECOND_FACTOR_REQUIRED asks for the same once more with `code`. */
  login(input: InputOf<'login'>): Promise<SignedInUser>;
  /** Creates a user and signs them in. */
  register(input: InputOf<'register'>): Promise<SignedInUser>;
  /** Ends the session on the server; the tokens are dropped here even when the server cannot be reached, which rejects. */
  logout(): Promise<void>;
  /** The tokens as they are now, null when nobody is signed in. */
  tokens(): Tokens | null;
}

/** `novax.documents.create.mutate(…)`, `novax.search.query.query(…)`, …, and `novax.session`. */
export type NovaxClient = Procedures & { readonly session: NovaxSession };

/** Calls made without a session, whose UNAUTHENTICATED is about their input; alone in their requests, because a batch may be waiting for one of them. */
export const publicCalls: ReadonlySet<string> = new Set([
  'auth.register',
  'auth.login',
  'auth.refresh',
  'auth.verifyEmail',
  'auth.requestPasswordReset',
  'auth.resetPassword',
  'auth.oauthProviders',
  'auth.oauthStart',
  'auth.oauthCallback',
]);

/** Facts of one try that its link notes for the retry. */
interface Attempt extends Record<string, unknown> {
  token: string | null;
  refreshFailed: boolean;
}

/** tRPC's client with the policy around each call; what wraps it (TanStack Query, …) gets the policy too. */
class PersistentClient extends TRPCUntypedClient<AppRouter> {
  readonly #keeper: TokenKeeper;

  constructor(keeper: TokenKeeper, links: ConstructorParameters<typeof TRPCUntypedClient<AppRouter>>[0]['links']) {
    super({ links });
    this.#keeper = keeper;
  }

  override query(path: string, input?: unknown, options?: TRPCRequestOptions): Promise<unknown> {
    return this.#persist({ kind: 'query', path, signal: options?.signal }, (context) =>
      super.query(path, input, { ...options, context: { ...options?.context, attempt: context } }),
    );
  }

  override mutation(path: string, input?: unknown, options?: TRPCRequestOptions): Promise<unknown> {
    return this.#persist({ kind: 'mutation', path, signal: options?.signal }, (context) =>
      super.mutation(path, input, { ...options, context: { ...options?.context, attempt: context } }),
    );
  }

  async #persist(
    call: { readonly kind: 'query' | 'mutation'; readonly path: string; readonly signal: AbortSignal | undefined },
    send: (attempt: Attempt) => Promise<unknown>,
  ): Promise<unknown> {
    let renewed = false;
    for (let tries = 1; ; tries += 1) {
      const attempt: Attempt = { token: null, refreshFailed: false };
      try {
        return await untilAborted(send(attempt), call.signal);
      } catch (thrown) {
        if (call.signal?.aborted === true) throw thrown;
        const error = toNovaxError(thrown);
        if (
          error.code === 'UNAUTHENTICATED' &&
          !renewed &&
          !attempt.refreshFailed &&
          this.#keeper.refuse(attempt.token)
        ) {
          renewed = true;
          continue;
        }
        const delayMs = attempt.refreshFailed ? undefined : retryDelayMs(call.kind, error, tries);
        if (delayMs === undefined) throw error;
        await wait(delayMs, call.signal);
      }
    }
  }
}

/**
 * Makes a client. Safe in browsers, React Native and Node: it needs `fetch` and `AbortController`, nothing else. One client per session.
 * Calls reject with a `NovaxError` (see `isNovaxError`), or with tRPC's own error when their signal was aborted.
 * Throws for an API key beside tokens: a call can be made as one of the two.
 */
export function createNovaxClient(options: NovaxClientOptions): NovaxClient {
  const { apiKey } = options;
  if (apiKey !== undefined && (options.tokens ?? null) !== null)
    throw new Error('give the client an API key or the tokens of a session, not both');
  const url = `${options.url.replace(/\/+$/, '')}/trpc`;
  const http = { url, fetch: createTransport(options.fetch, options.timeoutMs ?? 30_000) };
  const keeper = createTokenKeeper({
    tokens: options.tokens ?? null,
    refresh: (refreshToken) => procedures.auth.refresh.mutate({ refreshToken }),
    onTokens: options.onTokens ?? (() => undefined),
  });
  const credentials = apiKey === undefined ? keeper : { accessToken: () => Promise.resolve(apiKey) };

  const alone = httpLink<AppRouter>({ ...http, headers: ({ op }) => authorization(credentials, [op]) });
  const together = httpBatchLink<AppRouter>({
    ...http,
    maxItems: batchCallsMax,
    maxURLLength: 8_000,
    headers: ({ opList }) => authorization(credentials, opList),
  });
  const link =
    options.batch === true
      ? splitLink<AppRouter>({ condition: (op) => publicCalls.has(op.path), true: alone, false: together })
      : alone;
  const procedures: Procedures = createTRPCClientProxy<AppRouter>(new PersistentClient(keeper, [link]));

  async function enter(enterBy: () => Promise<Tokens & { readonly user: SignedInUser }>): Promise<SignedInUser> {
    // Later calls would still be the key's.
    if (apiKey !== undefined) throw new Error('a client with an API key cannot sign in; make another one');
    const { user, accessToken, refreshToken, expiresAt } = await enterBy();
    keeper.set({ accessToken, refreshToken, expiresAt });
    return user;
  }

  const session: NovaxSession = {
    login: (input) => enter(() => procedures.auth.login.mutate(input)),
    register: (input) => enter(() => procedures.auth.register.mutate(input)),
    async logout() {
      try {
        await procedures.auth.logout.mutate({});
      } catch (error) {
        // A session that is over already is what was asked for.
        if (toNovaxError(error).code !== 'UNAUTHENTICATED') throw error;
      } finally {
        if (keeper.tokens() !== null) keeper.set(null);
      }
    },
    tokens: () => keeper.tokens(),
  };

  // tRPC's proxy makes its members up on access, so it cannot be spread; every name but one is its own.
  return new Proxy(procedures, {
    get: (target, name) => (name === 'session' ? session : Reflect.get(target, name)),
  }) as NovaxClient;
}

/** The header of a request that carries these calls, and a note of the token in each. */
async function authorization(
  credentials: Pick<TokenKeeper, 'accessToken'>,
  calls: readonly Operation[],
): Promise<Record<string, string>> {
  if (calls.every((call) => publicCalls.has(call.path))) return {};
  // `PersistentClient` puts it there.
  const attempts = calls.map((call) => call.context['attempt'] as Attempt);
  try {
    const token = await credentials.accessToken();
    for (const attempt of attempts) attempt.token = token;
    return token === null ? {} : { authorization: `Bearer ${token}` };
  } catch (error) {
    for (const attempt of attempts) attempt.refreshFailed = true;
    throw error;
  }
}
