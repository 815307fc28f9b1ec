/** Errors as each face writes them, from the one table. */
import { errorTable, type ErrorData } from '@novax/contracts/errors';
import type { WireError } from '@novax/contracts/procedure';
import type { AppError } from '@novax/runtime/errors';
import type { RequestFacts } from './request.ts';

/** What both faces tell about an error, and nothing else: the public text, never the detail. */
export function errorData(error: AppError, requestId: string): ErrorData {
  return {
    appCode: error.code,
    retryable: errorTable[error.code].retryable,
    requestId,
    ...(error.issues === undefined ? {} : { issues: error.issues }),
  };
}

/** tRPC's error shape. */
export function trpcError(error: AppError, requestId: string, path: string | undefined): WireError {
  const row = errorTable[error.code];
  return {
    message: error.text,
    code: row.rpc,
    data: {
      code: row.trpc,
      httpStatus: row.http,
      ...(path === undefined ? {} : { path }),
      ...errorData(error, requestId),
    },
  };
}

/** RFC 9457 problem details. */
export function problem(error: AppError, requestId: string): Record<string, unknown> {
  const { appCode, ...rest } = errorData(error, requestId);
  return { type: 'about:blank', title: error.text, status: errorTable[error.code].http, code: appCode, ...rest };
}

/**
 * Headers of every answer to a call: the request's id, the tightest limit it met, and what its error adds.
 * `RateLimit-Limit`, `-Remaining` and `-Reset` are those of draft-ietf-httpapi-ratelimit-headers-06. Reset is the draft's "seconds until the
 * quota resets", which it lets a sliding window restore in part: here until one call more has room, so on a refusal it equals `Retry-After`.
 */
export function answerHeaders({ call, rate }: RequestFacts, error?: AppError): Record<string, string> {
  const headers: Record<string, string> = { 'x-request-id': call.requestId };
  if (rate.tightest !== null) {
    headers['ratelimit-limit'] = String(rate.tightest.limit);
    headers['ratelimit-remaining'] = String(rate.tightest.remaining);
    headers['ratelimit-reset'] = String(Math.ceil(rate.tightest.resetMs / 1000));
  }
  if (error?.retryAfterS !== undefined) headers['retry-after'] = String(error.retryAfterS);
  if (error?.code === 'UNAUTHENTICATED') headers['www-authenticate'] = 'Bearer';
  return headers;
}
