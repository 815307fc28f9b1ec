/**
 * Notices that the event stream has less than the outbox believes, and makes what it lacks pending again.
 * A stream that was lost and made anew has another identity; one that lost its end has a last sequence below what it once acknowledged. Of an old stream
 * everything that some consumer may not have had comes again: that is all after the sequence noted as consumed by everyone, which is seconds old.
 */
import type { KeptBus } from '@novax/adapters/bus';
import type { LockedConnection } from '@novax/db/locked-connection';
import {
  highestPublished,
  markPublished,
  noteConsumed,
  noteOtherStream,
  noteStream,
  refillStream,
  refillTail,
} from '@novax/db/queries/relay';
import type { Logger } from '@novax/runtime/log';

/** Milliseconds for which a look at the stream counts as now. */
const freshMs = 10;

export interface StreamWatch {
  /**
   * To be called before publishing, with the shards held. Throws when the stream is not what this watch knew, having made pending what it lacks: that is older
   * than what is on its way, which must be let go, and claimed anew under a new watch.
   */
  check(connection: LockedConnection, shards: readonly number[]): Promise<void>;
  /** Moves events that the stream of this watch acknowledged; answers how many, which is none when that stream is no more. */
  mark(connection: LockedConnection, stored: readonly { id: string; created: string; seq: number }[]): Promise<number>;
  /** Notes how far everyone is, which bounds what would come again. */
  note(connection: LockedConnection): Promise<void>;
}

/** A watch over one stream, for as long as that is the stream. */
export function watchStream(bus: KeptBus, log: Logger): StreamWatch {
  let stream: { readonly name: string; readonly identity: string } | undefined;
  /** The highest sequence this stream is known to have given. */
  let highest = 0;
  let watched = '';
  let checkedAt = -Infinity;

  const changed = (change: string, refilled = 0): Error => {
    log.warn({ ...stream, refilled }, `${change}; what it lacks goes out again`);
    return new Error(change);
  };
  /** Notes a stream not seen before; answers how many events of the one before it are pending again. */
  const meet = async (connection: LockedConnection, met: { name: string; identity: string }): Promise<number> => {
    const values = [met.name, met.identity];
    await connection.sql(noteStream, values);
    await connection.sql(noteOtherStream, values);
    const [row] = await connection.sql(refillStream, values);
    return Number(row?.count ?? 0);
  };

  return {
    async check(connection, shards) {
      const held = `{${shards.join(',')}}`;
      if (held === watched && performance.now() - checkedAt < freshMs) return;
      checkedAt = performance.now();
      if (stream === undefined) {
        const { name, identity } = await bus.streamState();
        const refilled = await meet(connection, { name, identity });
        stream = { name, identity };
        if (refilled > 0) throw changed('the event stream is another one', refilled);
      }
      if (held !== watched) {
        const [row] = await connection.sql(highestPublished, [stream.name, held]);
        highest = Math.max(highest, Number(row?.seq ?? 0));
        watched = held;
      }
      // Known before the stream is asked: a sequence that it gives out meanwhile would pass for a lost one.
      const known = highest;
      const state = await bus.streamState();
      if (state.identity !== stream.identity) throw changed('the event stream is another one');
      if (state.lastSeq < known) {
        const [row] = await connection.sql(refillTail, [stream.name, held, state.lastSeq]);
        throw changed('the event stream lost its end', Number(row?.count ?? 0));
      }
    },
    async mark(connection, stored) {
      if (stream === undefined) return 0;
      const { name, identity } = stream;
      const [marked] = await connection.sql(markPublished, [JSON.stringify(stored), name, identity]);
      const count = marked?.count ?? 0;
      if (count > 0) for (const { seq } of stored) highest = Math.max(highest, seq);
      return count;
    },
    async note(connection) {
      const consumed = await bus.consumedUpTo();
      if (consumed !== null && stream !== undefined)
        await connection.sql(noteConsumed, [stream.name, stream.identity, consumed]);
    },
  };
}
