/** One HTTP exchange: bounded in time, and typed even when what answers is not the platform. */
import type { ErrorCode } from '@novax/contracts/errors';
import { retryAfterMs, TransportError } from './errors.ts';

export type Fetch = typeof globalThis.fetch;

/** What proxies and load balancers mean by their own answers. */
const codesByStatus: Readonly<Record<number, ErrorCode>> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  413: 'PAYLOAD_TOO_LARGE',
  429: 'RATE_LIMITED',
  502: 'DEPENDENCY_UNAVAILABLE',
  503: 'DEPENDENCY_UNAVAILABLE',
  504: 'TIMEOUT',
};

interface Init {
  readonly signal?: AbortSignal | null;
}
interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: Headers;
  json(): Promise<unknown>;
}

/**
 * A `fetch` for tRPC's links. Head and body together take at most `timeoutMs`, then TIMEOUT; a connection that fails is DEPENDENCY_UNAVAILABLE;
 * an answer that is not JSON has the code its status stands for. A caller's abort passes through as it is.
 */
export function createTransport(
  fetch: Fetch | undefined,
  timeoutMs: number,
): (url: unknown, init?: unknown) => Promise<Answer> {
  return async (url, init) => {
    // tRPC passes a string and its subset of RequestInit.
    const { signal, ...rest } = (init ?? {}) as Init;
    const controller = new AbortController();
    const abort = (): void => controller.abort(signal?.reason);
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      controller.abort();
    }, timeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    const failure = (cause: unknown, code: ErrorCode): unknown => {
      settle();
      if (signal?.aborted === true) return cause;
      return new TransportError(expired ? 'TIMEOUT' : code, { cause });
    };

    let response: Response;
    try {
      response = await (fetch ?? globalThis.fetch)(String(url), { ...rest, signal: controller.signal });
    } catch (cause) {
      throw failure(cause, 'DEPENDENCY_UNAVAILABLE');
    }
    const { ok, status, headers } = response;
    return {
      ok,
      status,
      headers,
      async json() {
        let text: string;
        try {
          text = await response.text();
        } catch (cause) {
          throw failure(cause, 'DEPENDENCY_UNAVAILABLE');
        }
        settle();
        try {
          return JSON.parse(text);
        } catch (cause) {
          throw new TransportError(codesByStatus[status] ?? 'INTERNAL', { cause, retryAfterMs: retryAfterMs(headers) });
        }
      },
    };
  };
}
