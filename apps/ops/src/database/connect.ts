/** Connections of the commands to PostgreSQL: one client, closed with its scope, whose failures say which address failed. */
import pg from 'pg';
import { CommandFailure } from '../cli/command.ts';
import { redactUrl } from '../stack/endpoints.ts';

export type Connection = pg.Client & AsyncDisposable;

/**
 * Connects within `timeoutMs` (10 s unless told), after which every statement is bounded by `statementMs` when given. Throws `CommandFailure`
 * naming the address without its password.
 */
export async function connectDatabase(
  url: string,
  options: { name: string; timeoutMs?: number; statementMs?: number },
): Promise<Connection> {
  const client = new pg.Client({
    connectionString: url,
    application_name: options.name,
    connectionTimeoutMillis: options.timeoutMs ?? 10_000,
    ...(options.statementMs === undefined
      ? {}
      : { statement_timeout: options.statementMs, query_timeout: options.statementMs + 500 }),
  });
  // A connection lost between two statements surfaces in the next one; unhandled, the event would end the process first.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    await client.end().catch(() => undefined);
    throw new CommandFailure(
      `cannot connect to ${redactUrl(url)} as ${decodeURIComponent(new URL(url).username)}: ${reasonOf(cause)}`,
      { cause },
    );
  }
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end().catch(() => undefined) });
}

/** Runs one query and answers its rows; the row type is the caller's claim about its own SQL. */
export async function rowsOf<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { rows } = await client.query<Row>(sql, [...values]);
  return rows;
}

/** The one row of a query that always has one. */
export async function rowOf<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const [row] = await rowsOf<Row>(client, sql, values);
  if (row === undefined) throw new Error(`no row from: ${sql.slice(0, 80)}`);
  return row;
}

/** An error's words; a refused connection on a name with two addresses has none of its own. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
