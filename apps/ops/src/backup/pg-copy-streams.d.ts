/** The part of pg-copy-streams that is used here; the package ships no types. */
declare module 'pg-copy-streams' {
  import type { Readable, Writable } from 'node:stream';
  import type { Submittable } from 'pg';

  /** Rows of a `COPY … TO STDOUT`; `rowCount` holds their number once the stream has ended. */
  export function to(sql: string): Readable & Submittable & { rowCount: number };
  /** Receives the rows of a `COPY … FROM STDIN`; `rowCount` holds their number once the stream has finished. */
  export function from(sql: string): Writable & Submittable & { rowCount: number };
}
