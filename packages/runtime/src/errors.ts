/** The one error class of the platform: a code of the table, private detail for the log, and public facts for the caller. */
import { errorTable, type ErrorCode, type InputIssue } from '@novax/contracts/errors';

export interface AppErrorOptions {
  /** For the log only; never leaves the process. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** Public: what is wrong with the input. */
  readonly issues?: readonly InputIssue[];
  /** Public: seconds to wait before trying again. */
  readonly retryAfterS?: number;
  /** Public text in place of the table's. */
  readonly text?: string;
}

/** Thrown for every failure that has a meaning to the caller; anything else is INTERNAL. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly text: string;
  readonly issues: readonly InputIssue[] | undefined;
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.detail ?? errorTable[code].text, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.text = options.text ?? errorTable[code].text;
    this.issues = options.issues;
    this.retryAfterS = options.retryAfterS;
  }
}

/** Anything thrown, as an `AppError`; what has no meaning of its own becomes INTERNAL with its cause kept for the log. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  return new AppError('INTERNAL', { cause: thrown, detail: thrown instanceof Error ? thrown.message : String(thrown) });
}
