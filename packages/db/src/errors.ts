/** What PostgreSQL's error codes mean to a caller. */
import type { ErrorCode } from '@novax/contracts/errors';
import { AppError } from '@novax/runtime/errors';

/** SQLSTATE of a server error, or the system code of a lost connection; undefined for anything else. */
export function sqlState(thrown: unknown): string | undefined {
  for (let error: unknown = thrown, depth = 0; error instanceof Error && depth < 4; error = error.cause, depth++) {
    if ('code' in error && typeof error.code === 'string') return error.code;
  }
  return undefined;
}

/** Name of the constraint a server error tells of, if any. */
export function constraintOf(thrown: unknown): string | undefined {
  for (let error: unknown = thrown, depth = 0; error instanceof Error && depth < 4; error = error.cause, depth++) {
    if ('constraint' in error && typeof error.constraint === 'string') return error.constraint;
  }
  return undefined;
}

/** True for failures that the same transaction may survive when it is run again: serialization, deadlock, lock wait, a row that moved partition. */
export function isTransient(thrown: unknown): boolean {
  const code = sqlState(thrown);
  return code === '40001' || code === '40P01' || code === '55P03';
}

/** Rules of the schema that say more to a caller than the class of their failure. */
const byConstraint: Readonly<Record<string, { readonly code: ErrorCode; readonly text: string }>> = {
  ck_organizations_owner_is_member: {
    code: 'CONFLICT',
    text: 'The owner has to hand the organization over first.',
  },
};

const byState: Readonly<Record<string, ErrorCode>> = {
  '23505': 'ALREADY_EXISTS',
  '23503': 'NOT_FOUND',
  '23514': 'VALIDATION_FAILED',
  '22P02': 'VALIDATION_FAILED',
  '22007': 'VALIDATION_FAILED',
  '22008': 'VALIDATION_FAILED',
  '22001': 'VALIDATION_FAILED',
  '22021': 'VALIDATION_FAILED',
  '42501': 'FORBIDDEN',
  '40001': 'CONFLICT',
  '40P01': 'CONFLICT',
  '55P03': 'TIMEOUT',
  '57014': 'TIMEOUT',
  '53300': 'DEPENDENCY_UNAVAILABLE',
  'ECONNREFUSED': 'DEPENDENCY_UNAVAILABLE',
  'ECONNRESET': 'DEPENDENCY_UNAVAILABLE',
  'EPIPE': 'DEPENDENCY_UNAVAILABLE',
  'ETIMEDOUT': 'DEPENDENCY_UNAVAILABLE',
};

/** A database failure as an `AppError`; `AppError`s pass through, the unknown becomes INTERNAL with its cause kept. */
export function toDatabaseError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const state = sqlState(thrown);
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  const rule = byConstraint[constraintOf(thrown) ?? ''];
  if (rule !== undefined) return new AppError(rule.code, { cause: thrown, detail, text: rule.text });
  if (state !== undefined) {
    const code =
      byState[state] ?? (state.startsWith('08') || state.startsWith('57P') ? 'DEPENDENCY_UNAVAILABLE' : undefined);
    if (code !== undefined) return new AppError(code, { cause: thrown, detail: `${state}: ${detail}` });
  }
  if (/Connection terminated|timeout exceeded when trying to connect/i.test(detail)) {
    return new AppError('DEPENDENCY_UNAVAILABLE', { cause: thrown, detail });
  }
  return new AppError('INTERNAL', { cause: thrown, detail });
}
