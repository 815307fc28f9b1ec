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

export interface StreamWatch {
  /** To be called before publishing, with the shards held. True when it made events pending, which then come before those claimed so far. */
  check(connection: LockedConnection, shards: readonly number[]): Promise<boolean>;
  /** Moves events that the stream of the last check acknowledged; answers how many, which is none when that stream is no more. */
  mark(connection: LockedConnection, stored: readonly { id: string; created: string; seq: number }[]): Promise<number>;
  /** Notes how far everyone is, which bounds what would come again. */
  note(connection: LockedConnection): Promise<void>;
}

/** A watch for one locked connection: the next one looks at everything afresh. */
export function watchStream(bus: KeptBus, log: Logger): StreamWatch {
  let stream = { name: '', identity: '' };
  let highest = 0;
  let watched = '';

  /** Notes a stream not seen before; answers how many events of the one before it are pending again. */
  async function meet(connection: LockedConnection, met: { name: string; identity: string }): Promise<number> {
    const values = [met.name, met.identity];
    await connection.sql(noteStream, values);
    await connection.sql(noteOtherStream, values);
    const [row] = await connection.sql(refillStream, values);
    return Number(row?.count ?? 0);
  }

  return {
    async check(connection, shards) {
      const held = `{${shards.join(',')}}`;
      let state = await bus.streamState();
      let refilled = 0;
      if (state.identity !== stream.identity) {
        refilled = await meet(connection, state);
        stream = { name: state.name, identity: state.identity };
        highest = 0;
        watched = '';
        if (refilled > 0)
          log.warn({ ...stream, refilled }, 'the event stream is another one; what it lacks goes out again');
      }
      if (held !== watched) {
        const [row] = await connection.sql(highestPublished, [stream.name, held]);
        highest = Math.max(highest, Number(row?.seq ?? 0));
        watched = held;
        // Asked after the table, or a sequence given out in between would pass for a lost one.
        state = await bus.streamState();
      }
      if (state.identity === stream.identity && state.lastSeq < highest) {
        const [row] = await connection.sql(refillTail, [stream.name, held, state.lastSeq]);
        log.warn({ ...stream, refilled: row?.count }, 'the event stream lost its end; that goes out again');
        refilled += Number(row?.count ?? 0);
        highest = state.lastSeq;
      }
      return refilled > 0;
    },
    async mark(connection, stored) {
      const marked = await connection.sql(markPublished, [JSON.stringify(stored), stream.name, stream.identity]);
      if (marked.length > 0) for (const { seq } of stored) highest = Math.max(highest, seq);
      return marked.length;
    },
    async note(connection) {
      const consumed = await bus.consumedUpTo();
      if (consumed !== null) await connection.sql(noteConsumed, [stream.name, stream.identity, consumed]);
    },
  };
}
