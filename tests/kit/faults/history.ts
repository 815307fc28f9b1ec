/**
 * What clients and consumers of one test run saw, in order: an append-only history, in the manner of Jepsen's.
 * A write is invoked, then ends `ok` (it committed), `fail` (it certainly did not) or `info` (nobody knows: the answer was lost). An effect is what a
 * consumer did for an event, read afterwards from where it left its traces.
 */

/** One write's event: the thing it changed, and the version it made of it. */
export interface Change {
  /** Names the event everywhere. */
  readonly eventId: string;
  readonly aggregate: string;
  /** Rises by one with every change of the aggregate. */
  readonly version: number;
}

export type Moment =
  | ({ readonly type: 'invoke' | 'ok' | 'fail' | 'info' } & Change)
  /** `consumer` applied the event; listed in the order in which it did. */
  | ({ readonly type: 'effect'; readonly consumer: string } & Change)
  /** `consumer` noted the event and did nothing, because it had applied a newer one of the aggregate. */
  | ({ readonly type: 'overtaken'; readonly consumer: string } & Change);
