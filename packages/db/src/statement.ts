/** Named statements: SQL written once, prepared once per connection, typed at this edge. */

/** A statement and the type of its rows. Values are bound, never spliced. */
export interface Statement<Row> {
  /** Name of the prepared statement and label of its metric. */
  readonly name: string;
  readonly text: string;
  /** Optional: planner settings for this statement alone, in its own transaction. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Carries the row type; never set. */
  readonly row?: Row;
}

/** Declares a statement whose rows have the shape `Row` (column names as selected). */
export function statement<Row>(
  name: string,
  text: string,
  settings?: Readonly<Record<string, string>>,
): Statement<Row> {
  return { name, text: text.trim(), ...(settings === undefined ? {} : { settings }) };
}

/** What PostgreSQL accepts as a bound value here; arrays go as PostgreSQL array text through the driver's rules. */
export type Value = string | number | boolean | null | Date | Uint8Array | readonly string[];
