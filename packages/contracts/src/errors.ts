/** THE error table: every code the platform answers with, on every face, and what a caller may do about it. */

interface ErrorRow {
  /** HTTP status of the REST face and of tRPC's `error.data.httpStatus`. */
  readonly http: number;
  /** tRPC's own code (`error.data.code`), from its closed list. */
  readonly trpc: string;
  /** JSON-RPC number tRPC sends as `error.code`. */
  readonly rpc: number;
  /** True when the same call may succeed later without a change. */
  readonly retryable: boolean;
  /** The sentence a caller may read; private detail stays in the log. */
  readonly text: string;
}

export const errorTable = {
  UNAUTHENTICATED: {
    http: 401,
    trpc: 'UNAUTHORIZED',
    rpc: -32001,
    retryable: false,
    text: 'Sign in, or send a valid access token.',
  },
  SECOND_FACTOR_REQUIRED: {
    http: 401,
    trpc: 'UNAUTHORIZED',
    rpc: -32001,
    retryable: false,
    text: 'Send the code of your second factor, or a recovery code, along.',
  },
  FORBIDDEN: { http: 403, trpc: 'FORBIDDEN', rpc: -32003, retryable: false, text: 'Your role does not allow this.' },
  NOT_FOUND: {
    http: 404,
    trpc: 'NOT_FOUND',
    rpc: -32004,
    retryable: false,
    text: 'There is nothing here by that name or id.',
  },
  METHOD_NOT_SUPPORTED: {
    http: 405,
    trpc: 'METHOD_NOT_SUPPORTED',
    rpc: -32005,
    retryable: false,
    text: 'This path does not answer that method.',
  },
  VALIDATION_FAILED: { http: 400, trpc: 'BAD_REQUEST', rpc: -32600, retryable: false, text: 'The input is not valid.' },
  VERSION_CONFLICT: {
    http: 409,
    trpc: 'CONFLICT',
    rpc: -32009,
    retryable: false,
    text: 'Somebody changed this since you read it; read it again and repeat your change.',
  },
  ALREADY_EXISTS: { http: 409, trpc: 'CONFLICT', rpc: -32009, retryable: false, text: 'That name is taken.' },
  CONFLICT: {
    http: 409,
    trpc: 'CONFLICT',
    rpc: -32009,
    retryable: false,
    text: 'The thing is not in a state that allows this.',
  },
  RATE_LIMITED: {
    http: 429,
    trpc: 'TOO_MANY_REQUESTS',
    rpc: -32029,
    retryable: true,
    text: 'Too many calls; wait and try again.',
  },
  PAYLOAD_TOO_LARGE: {
    http: 413,
    trpc: 'PAYLOAD_TOO_LARGE',
    rpc: -32013,
    retryable: false,
    text: 'The request body is too large.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    http: 415,
    trpc: 'UNSUPPORTED_MEDIA_TYPE',
    rpc: -32015,
    retryable: false,
    text: 'Send JSON.',
  },
  DEPENDENCY_UNAVAILABLE: {
    http: 503,
    trpc: 'SERVICE_UNAVAILABLE',
    rpc: -32603,
    retryable: true,
    text: 'A service this call needs is not reachable; try again shortly.',
  },
  TIMEOUT: {
    http: 504,
    trpc: 'GATEWAY_TIMEOUT',
    rpc: -32603,
    retryable: true,
    text: 'The call took too long and was given up.',
  },
  INTERNAL: {
    http: 500,
    trpc: 'INTERNAL_SERVER_ERROR',
    rpc: -32603,
    retryable: false,
    text: 'Something went wrong on our side; quote the request id.',
  },
} as const satisfies Record<string, ErrorRow>;

/** A code of the table. Codes are added, never renamed. */
export type ErrorCode = keyof typeof errorTable;

/** One complaint about the input: where it is and what is wrong with it. */
export interface InputIssue {
  /** Dotted path into the input, `''` for the whole. */
  readonly path: string;
  readonly message: string;
}

/** What tRPC's `error.data` holds besides its own fields, and problem+json holds at its top level. */
export interface ErrorData {
  readonly appCode: ErrorCode;
  readonly retryable: boolean;
  readonly requestId: string;
  /** Optional: only VALIDATION_FAILED lists issues. */
  readonly issues?: readonly InputIssue[];
}

/** True when `value` is a code of the table. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorTable, value);
}
