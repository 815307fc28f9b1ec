/** POSTs JSON to a model server, bounded in time, with patience for busy servers. */
import { AppError } from '@novax/runtime/errors';
import { backoffMs } from '@novax/runtime/retry';
import { pause } from '@novax/runtime/clock';

export interface JsonServer {
  /** For example `https://host/v1`; a path is appended to it. */
  readonly baseUrl: string;
  readonly apiKey?: string;
  /** Milliseconds for one call with all its tries. */
  readonly timeoutMs: number;
  /** Ends the call early, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

const triesMax = 4;

/** The parsed answer. Tries again on 429 and 5xx, as `Retry-After` says where it does. Throws DEPENDENCY_UNAVAILABLE or TIMEOUT, and the reason of an aborted signal. */
export async function postJson(server: JsonServer, path: string, body: unknown): Promise<unknown> {
  const deadline = Date.now() + server.timeoutMs;
  for (let tries = 1; ; tries++) {
    const response = await once(server, { path, body }, deadline);
    if (response.ok) return parsed(server, response);
    const worthIt = response.status === 429 || response.status >= 500;
    const waitMs = retryAfterMs(response.headers.get('retry-after')) ?? backoffMs(tries, { baseMs: 500, capMs: 8000 });
    const answer = (await response.text().catch(() => '')).slice(0, 500);
    if (!worthIt || tries >= triesMax || Date.now() + waitMs >= deadline) {
      throw new AppError('DEPENDENCY_UNAVAILABLE', { detail: `model server answered ${response.status}: ${answer}` });
    }
    await pause(waitMs, server.signal);
  }
}

async function once(
  server: JsonServer,
  { path, body }: { path: string; body: unknown },
  deadline: number,
): Promise<Response> {
  try {
    server.signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(Math.max(1, deadline - Date.now()));
    return await fetch(`${server.baseUrl.replace(/\/+$/, '')}/${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(server.apiKey ? { authorization: `Bearer ${server.apiKey}` } : {}),
      },
      body: JSON.stringify(body),
      signal: server.signal === undefined ? timeout : AbortSignal.any([timeout, server.signal]),
      redirect: 'error',
    });
  } catch (cause) {
    throw lost(server, cause);
  }
}

async function parsed(server: JsonServer, response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    throw lost(server, cause);
  }
}

function lost({ signal }: JsonServer, cause: unknown): AppError {
  signal?.throwIfAborted();
  if (cause instanceof Error && cause.name === 'TimeoutError')
    return new AppError('TIMEOUT', { cause, detail: 'model server took too long' });
  return new AppError('DEPENDENCY_UNAVAILABLE', {
    cause,
    detail: `model server: ${cause instanceof Error ? cause.message : String(cause)}`,
  });
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3). */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
