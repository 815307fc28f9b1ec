/** Errors as each face writes them, from the one table. */
import { errorTable, type ErrorData } from '@novax/contracts/errors';
import type { WireError } from '@novax/contracts/procedure';
import type { AppError } from '@novax/runtime/errors';

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

/** Headers an error adds to its answer. */
export function errorHeaders(error: AppError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (error.retryAfterS !== undefined) headers['retry-after'] = String(error.retryAfterS);
  if (error.code === 'UNAUTHENTICATED') headers['www-authenticate'] = 'Bearer';
  return headers;
}
