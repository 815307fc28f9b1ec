/**
 * The typed refusals of the migrator: every one names the file or version concerned and, where there is one, the mend.
 */
import { DatabaseError } from 'pg';

export type MigrationErrorCode =
  | 'BAD_FILE_NAME'
  | 'BAD_NUMBERING'
  | 'MISSING_DOWN'
  | 'BAD_STATEMENT'
  | 'EDITED_FILE'
  | 'MISSING_FILE'
  | 'UNKNOWN_VERSION'
  | 'DIRTY'
  | 'LOCKED'
  | 'FAILED';

/** Thrown by every function of the migrator; `code` is for programs, `message` for the person at the terminal. */
export class MigrationError extends Error {
  readonly code: MigrationErrorCode;

  constructor(code: MigrationErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'MigrationError';
    this.code = code;
  }
}

/** The five-character SQLSTATE of an error the server sent, or undefined when the error is of another kind. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

/**
 * One line about a database error inside `sql`: the message, its detail, its hint and the line the server pointed at.
 */
export function describeSqlError(error: unknown, sql: string): string {
  if (!(error instanceof DatabaseError)) return String(error);
  const parts = [error.message, `SQLSTATE ${error.code ?? 'unknown'}`];
  const position = Number(error.position ?? 0);
  // The server counts characters from 1, and so does `Array.from`, which splits by code point as the server does.
  const before = Array.from(sql).slice(0, Math.max(0, position - 1));
  if (position > 0) parts.push(`line ${before.filter((character) => character === '\n').length + 1}`);
  if (error.where) parts.push(error.where.replaceAll('\n', ' '));
  if (error.detail) parts.push(error.detail);
  if (error.hint) parts.push(`hint: ${error.hint}`);
  return parts.join('; ');
}
