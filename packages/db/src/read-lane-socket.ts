/** One PostgreSQL connection driven at protocol level: the pipelined half of the read lane. */
import pg from 'pg';
import { instant } from './queries/instant.ts';
import { scopeValues, type Scope } from './scope.ts';
import type { Statement, Value } from './statement.ts';

const scopeStatement = {
  name: 'novax_scope',
  text: `select set_config('app.current_user_id', $1, true), set_config('app.current_org_id', $2, true), set_config('statement_timeout', $3, true)`,
};

/** Settings a statement asks for, as one JSON object of names and values. */
const settingsStatement = {
  name: 'novax_settings',
  text: 'select set_config(key, value, true) from jsonb_each_text($1::jsonb)',
};

/** Silence beyond the server's own time limit after which the connection counts as dead, milliseconds. */
const silenceMs = 3_000;

/** The connection died with work in flight. */
class Broken extends Error {
  override readonly name = 'LaneSocketBroken';
}

interface Column {
  readonly name: string;
  readonly parse: (text: string) => unknown;
}

/** One Sync's worth of messages and what became of it. */
interface Unit {
  readonly columns: () => readonly Column[];
  /** Results to pass over before the rows that matter: the scope's own, and the settings' where a statement has some. */
  readonly skip: number;
  readonly rows: Record<string, unknown>[];
  completed: number;
  error: Error | undefined;
  readonly onColumns?: (columns: readonly Column[]) => void;
  readonly settle: (error: Error | undefined, rows: Record<string, unknown>[]) => void;
}

interface Field {
  readonly name: string;
  readonly dataTypeID: number;
}

/** Owns a connected `pg.Client`'s connection: its invariant is that answers arrive in the order units were sent. */
export class LaneSocket {
  static readonly Broken = Broken;
  readonly #client: pg.Client;
  readonly #timeoutMs: number;
  readonly #units: Unit[] = [];
  /** Index of the unit being answered; shifting an array per answer would be quadratic. */
  #head = 0;
  readonly #prepared = new Map<string, { columns: readonly Column[] }>();
  #broken = false;
  #corked = false;
  /** Started anew by every sign of life; without it one silent connection would hold up every read for ever. */
  readonly #watchdog: NodeJS.Timeout;

  private constructor(client: pg.Client, timeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.#watchdog = setTimeout(() => {
      if (this.inFlight > 0) this.#break(new Error('the server is silent'));
    }, timeoutMs + silenceMs).unref();
  }

  /** Connects and takes the connection over from the client, which afterwards is only used to end it. */
  static async connect(client: pg.Client, timeoutMs: number): Promise<LaneSocket> {
    const socket = new LaneSocket(client, timeoutMs);
    client.on('error', (error) => socket.#break(error));
    client.on('end', () => socket.#break(new Error('connection ended')));
    await client.connect();
    const connection = client.connection;
    for (const event of [
      'errorMessage',
      'readyForQuery',
      'rowDescription',
      'dataRow',
      'commandComplete',
      'parseComplete',
      'emptyQuery',
      'portalSuspended',
    ]) {
      connection.removeAllListeners(event);
    }
    connection.on('errorMessage', (error: Error) => {
      const unit = socket.#current();
      if (unit === undefined) socket.#break(error);
      else unit.error ??= error;
    });
    connection.on('rowDescription', (message: { fields: readonly Field[] }) => {
      socket.#current()?.onColumns?.(message.fields.map(toColumn));
    });
    connection.on('dataRow', (message: { fields: readonly (string | null)[] }) => socket.#dataRow(message.fields));
    connection.on('commandComplete', () => {
      const unit = socket.#current();
      if (unit !== undefined) unit.completed += 1;
    });
    connection.on('readyForQuery', () => socket.#ready());
    socket.#prepare(scopeStatement.name, scopeStatement.text);
    socket.#prepare(settingsStatement.name, settingsStatement.text);
    return socket;
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** Units sent and not yet answered. */
  get inFlight(): number {
    return this.#units.length - this.#head;
  }

  /** One scoped read. Rejects with the server's error, or `Broken` when the connection died. */
  read(scope: Scope, statement: Statement<unknown>, values: readonly Value[]): Promise<Record<string, unknown>[]> {
    return new Promise((resolve, reject) => {
      if (this.#broken) return reject(new Broken('connection is gone'));
      const prepared = this.#prepared.get(statement.name) ?? this.#prepare(statement.name, statement.text);
      this.#send({
        columns: () => prepared.columns,
        skip: statement.settings === undefined ? 1 : 2,
        rows: [],
        completed: 0,
        error: undefined,
        settle: (error, rows) => {
          if (error === undefined) return resolve(rows);
          // A changed table or a lost preparation: prepare afresh at the next call.
          if (isStalePlan(error)) this.#prepared.delete(statement.name);
          // Our own two are prepared at connecting only: without them the connection is of no use.
          if (isStalePlan(error) && error.message.includes('"novax_')) this.#break(error);
          reject(error);
        },
      });
      const connection = this.#client.connection;
      const [user, org] = scopeValues(scope);
      connection.bind(
        { portal: '', statement: scopeStatement.name, values: [user, org, String(this.#timeoutMs)] },
        false,
      );
      connection.execute({ portal: '', rows: '0' }, false);
      if (statement.settings !== undefined) {
        connection.bind(
          { portal: '', statement: settingsStatement.name, values: [JSON.stringify(statement.settings)] },
          false,
        );
        connection.execute({ portal: '', rows: '0' }, false);
      }
      connection.bind({ portal: '', statement: statement.name, values: values.map(toWire) }, false);
      connection.execute({ portal: '', rows: '0' }, false);
      connection.sync();
    });
  }

  /** Ends the connection after what is in flight; resolves when it is closed. */
  async close(): Promise<void> {
    if (this.#broken) return;
    await new Promise<void>((resolve) => {
      if (this.inFlight === 0) return resolve();
      this.#send({ columns: () => [], skip: 0, rows: [], completed: 0, error: undefined, settle: () => resolve() });
      this.#client.connection.sync();
    });
    this.#broken = true;
    clearTimeout(this.#watchdog);
    await this.#client.end();
  }

  /** Prepares in a Sync of its own, so that an error in a read before it cannot make the server skip it. */
  #prepare(name: string, text: string): { columns: readonly Column[] } {
    const entry: { columns: readonly Column[] } = { columns: [] };
    this.#prepared.set(name, entry);
    this.#send({
      columns: () => [],
      skip: 0,
      rows: [],
      completed: 0,
      error: undefined,
      onColumns: (columns) => (entry.columns = columns),
      settle: (error) => {
        if (error !== undefined) this.#prepared.delete(name);
      },
    });
    const connection = this.#client.connection;
    // Closing first makes a second preparation under the same name harmless.
    connection.close({ type: 'S', name }, false);
    connection.parse({ name, text, types: [] }, false);
    connection.describe({ type: 'S', name }, false);
    connection.sync();
    return entry;
  }

  /** Queues the unit and gathers everything written in this turn of the event loop into one packet. */
  #send(unit: Unit): void {
    this.#units.push(unit);
    if (this.inFlight === 1) this.#watchdog.refresh();
    if (this.#corked) return;
    this.#corked = true;
    const { stream } = this.#client.connection;
    stream.cork();
    queueMicrotask(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  #current(): Unit | undefined {
    return this.#units[this.#head];
  }

  #dataRow(fields: readonly (string | null)[]): void {
    const unit = this.#current();
    if (unit === undefined || unit.completed < unit.skip) return;
    const row: Record<string, unknown> = {};
    const columns = unit.columns();
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index];
      const text = fields[index];
      if (column !== undefined) row[column.name] = text === null || text === undefined ? null : column.parse(text);
    }
    unit.rows.push(row);
  }

  #ready(): void {
    const unit = this.#current();
    if (unit === undefined) return;
    this.#watchdog.refresh();
    this.#head += 1;
    if (this.#head === this.#units.length) {
      this.#units.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#units.splice(0, this.#head);
      this.#head = 0;
    }
    unit.settle(unit.error, unit.rows);
  }

  #break(error: Error): void {
    if (this.#broken) return;
    this.#broken = true;
    clearTimeout(this.#watchdog);
    const waiting = this.#units.splice(this.#head);
    this.#units.length = 0;
    this.#head = 0;
    for (const unit of waiting) unit.settle(new Broken(error.message, { cause: error }), []);
    this.#client.end().catch(() => undefined);
    // A silent server never answers the farewell either.
    this.#client.connection.stream.destroy();
  }
}

/** Instants stay text in ISO 8601, as the contract wants them; everything else as the driver parses it. */
function toColumn(field: Field): Column {
  const timestamptz = 1184;
  if (field.dataTypeID === timestamptz) return { name: field.name, parse: instant };
  // The driver's table of parsers is typed per known oid; any oid answers a parser.
  return { name: field.name, parse: pg.types.getTypeParser(field.dataTypeID, 'text') as (text: string) => unknown };
}

function toWire(value: Value): string | null | Buffer {
  if (value === null) return null;
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return `{${value.map((item: string) => `"${item.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
  return String(value);
}

/** True when a prepared statement has to be prepared afresh: its result type changed, or the server forgot it. */
export function isStalePlan(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === '0A000' || code === '26000';
}
