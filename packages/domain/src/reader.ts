/** A read lane bound to one caller: what every query function takes. */
import type { Statement, Value } from '@novax/db/statement';

export interface Reader {
  /** The person reading. */
  readonly userId: string;
  /** Rows the caller may see. */
  read<Row>(statement: Statement<Row>, values: readonly Value[]): Promise<readonly Row[]>;
}
