/** The one shape in which a failed call reaches its caller. */
import type { AppRouter } from '@novax/contracts/api/contract';
import { errorTable, isErrorCode, type ErrorCode, type InputIssue } from '@novax/contracts/errors';
import { TRPCClientError } from '@trpc/client';

/** tRPC's client error with the facts of the platform's error table beside it. */
export type NovaxError = TRPCClientError<AppRouter> & {
  readonly code: ErrorCode;
  /** True when the same call may succeed later without a change. */
  readonly retryable: boolean;
  /** Finds the call in the server's log; empty when no answer came. */
  readonly requestId: string;
  /** What is wrong with the input; empty unless `code` is VALIDATION_FAILED. */
  readonly issues: readonly InputIssue[];
  /** Milliseconds the server asked to wait; undefined when it did not. */
  readonly retryAfterMs: number | undefined;
};

/** A call that got no answer in the platform's own format: no connection, no time left, or a proxy's page. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, options: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined } = {}) {
    super(errorTable[code].text, { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** True for every failure of a call but one its caller aborted. */
export function isNovaxError(error: unknown): error is NovaxError {
  return error instanceof TRPCClientError && 'code' in error && isErrorCode(error.code);
}

/** The same error object with the table's facts added; what carries no code of the table is INTERNAL. */
export function toNovaxError(thrown: unknown): NovaxError {
  if (isNovaxError(thrown)) return thrown;
  const error: TRPCClientError<AppRouter> = TRPCClientError.from(
    thrown instanceof Error ? thrown : new Error(String(thrown)),
  );
  const transport = error.cause instanceof TransportError ? error.cause : undefined;
  // The types trust the server; a proxy or an older server may have sent another shape.
  const data: Partial<NonNullable<typeof error.data>> = error.data ?? {};
  const code = isErrorCode(data.appCode) ? data.appCode : (transport?.code ?? 'INTERNAL');
  return Object.assign(error, {
    code,
    retryable: data.retryable ?? errorTable[code].retryable,
    requestId: data.requestId ?? '',
    issues: data.issues ?? [],
    retryAfterMs: transport?.retryAfterMs ?? retryAfterMs(headersOf(error)),
  });
}

interface ReadableHeaders {
  get(name: string): string | null;
}

/** Milliseconds named by a `Retry-After` header, as seconds or as a date (RFC 9110 §10.2.3); undefined without one. */
export function retryAfterMs(headers: ReadableHeaders | undefined): number | undefined {
  const text = headers?.get('retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

function headersOf(error: TRPCClientError<AppRouter>): ReadableHeaders | undefined {
  // tRPC puts the response it was given under this name; ours has headers.
  const response = error.meta?.['response'] as { readonly headers?: ReadableHeaders } | undefined;
  return response?.headers;
}
