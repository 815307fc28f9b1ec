/** Keeps a session's tokens fresh: refreshed before they end, once for everybody, and dropped when the server says so. */
import { errorTable } from '@novax/contracts/errors';
import { isNovaxError } from './errors.ts';

/** What sign-in answers and what a later start can go on with. */
export interface Tokens {
  readonly accessToken: string;
  /** Good for one use. */
  readonly refreshToken: string;
  /** ISO 8601 instant at which the access token ends. */
  readonly expiresAt: string;
}

/** An access token this close to its end is refreshed before it is used. */
export const skewMs = 30_000;

export interface KeeperOptions {
  readonly tokens: Tokens | null;
  /** Exchanges a refresh token; rejects with a `NovaxError`. */
  readonly refresh: (refreshToken: string) => Promise<Tokens>;
  /** Told of every change, so that tokens can be stored; null when the session is over. */
  readonly onTokens: (tokens: Tokens | null) => void;
}

export interface TokenKeeper {
  tokens(): Tokens | null;
  set(next: Tokens | null): void;
  /** A token to send now, refreshed if need be; null when nobody is signed in. Rejects when the refresh failed. */
  accessToken(): Promise<string | null>;
  /** Notes that the server refused a token; true when another try can send a better one. */
  refuse(token: string | null): boolean;
}

/**
 * Refresh tokens work once, so at most one exchange of a token is ever under way and all calls share its outcome.
 * A refusal (4xx) ends the session; a server that could not answer does not, so that an outage signs nobody out.
 */
export function createTokenKeeper(options: KeeperOptions): TokenKeeper {
  let held = options.tokens;
  let freshUntil = held === null ? 0 : Date.parse(held.expiresAt) - skewMs;
  let refused: string | null = null;
  let exchange: { readonly of: Tokens; readonly done: Promise<string | null> } | null = null;

  function set(next: Tokens | null): void {
    held = next;
    refused = null;
    if (next !== null) {
      const until = Date.parse(next.expiresAt) - skewMs;
      // A token that seems to end as it arrives means that this clock is wrong: then only the server's refusal counts.
      freshUntil = until > Date.now() ? until : Infinity;
    }
    options.onTokens(next);
  }

  async function renew(old: Tokens): Promise<string | null> {
    try {
      const { accessToken, refreshToken, expiresAt } = await options.refresh(old.refreshToken);
      // Whoever signed in or out meanwhile has the last word.
      if (held === old) set({ accessToken, refreshToken, expiresAt });
      return held?.accessToken ?? null;
    } catch (error) {
      if (held === old && isNovaxError(error) && errorTable[error.code].http < 500 && !error.retryable) set(null);
      throw error;
    } finally {
      if (exchange?.of === old) exchange = null;
    }
  }

  return {
    tokens: () => held,
    set,
    async accessToken() {
      if (held === null) return null;
      const current = held;
      const good = current.accessToken !== refused;
      if (good && Date.now() < freshUntil) return current.accessToken;
      if (exchange?.of !== current) exchange = { of: current, done: renew(current) };
      try {
        return await exchange.done;
      } catch (error) {
        // Still signed in: the refresh was early and could not be answered, and the old token has time left.
        if (good && held === current && Date.now() < Date.parse(current.expiresAt)) return current.accessToken;
        throw error;
      }
    },
    refuse(token) {
      if (token === null || held === null) return false;
      if (held.accessToken === token) refused = token;
      return true;
    },
  };
}
