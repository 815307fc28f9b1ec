/** Assertions about our own code: a failure is a bug here, never the caller's fault. */

/** Throws when `condition` is false; `message` says which promise was broken. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}

/** The first element, for queries that always answer a row; throws when there is none. */
export function only<T>(rows: readonly T[], what: string): T {
  const [row] = rows;
  if (row === undefined) throw new Error(`invariant broken: ${what} answered no row`);
  return row;
}
