/**
 * The read lane: hot reads as `Bind set_config` + `Bind query` + one Sync, many in flight on one socket.
 * All messages up to a Sync are one implicit transaction, so when the scope cannot be set the read is skipped: it fails closed.
 * For bounded, indexed reads only: a slow statement holds up everything behind it on its socket.
 */
import { AppError } from '@novax/runtime/errors';
import pg from 'pg';
import { toDatabaseError } from './errors.ts';
import { LaneSocket, isStalePlan } from './read-lane-socket.ts';
import type { Scope } from './scope.ts';
import type { Statement, Value } from './statement.ts';

export interface ReadLaneOptions {
  readonly url: string;
  /** Sockets to keep; beyond two throughput falls, because less goes out per flush. */
  readonly sockets?: number;
  /** Longest a statement may run, milliseconds. */
  readonly statementTimeoutMs?: number;
  /** Reads waiting on one socket before a caller is refused. */
  readonly inFlightMax?: number;
  readonly onQuery?: (statement: string, seconds: number) => void;
}

export interface ReadLane {
  /** Rows of a read under the caller's scope. Throws DEPENDENCY_UNAVAILABLE, TIMEOUT or what the database said. */
  read<Row>(scope: Scope, statement: Statement<Row>, values: readonly Value[]): Promise<readonly Row[]>;
  close(): Promise<void>;
}

/** Opens a lane; sockets connect at their first read and again after they break. */
export function openReadLane(options: ReadLaneOptions): ReadLane {
  const count = options.sockets ?? 2;
  const inFlightMax = options.inFlightMax ?? 500;
  const sockets: (Promise<LaneSocket> | undefined)[] = Array.from({ length: count });
  const live: (LaneSocket | undefined)[] = Array.from({ length: count });
  let closed = false;

  /** The connected socket with the least in flight; an unconnected slot counts as empty. */
  function pick(): number {
    let best = 0;
    for (let index = 1; index < count; index++) {
      if ((live[index]?.inFlight ?? 0) < (live[best]?.inFlight ?? 0)) best = index;
    }
    return best;
  }

  function socket(index: number): Promise<LaneSocket> {
    const existing = live[index];
    if (existing !== undefined && existing.broken) {
      sockets[index] = undefined;
      live[index] = undefined;
    }
    sockets[index] ??= LaneSocket.connect(
      new pg.Client({
        connectionString: options.url,
        connectionTimeoutMillis: 2_000,
        application_name: 'novax-read-lane',
      }),
      options.statementTimeoutMs ?? 2_000,
    ).then(
      (opened) => (live[index] = opened),
      (thrown: unknown) => {
        sockets[index] = undefined;
        throw new AppError('DEPENDENCY_UNAVAILABLE', { cause: thrown, detail: 'read lane cannot reach PostgreSQL' });
      },
    );
    return sockets[index];
  }

  async function once<Row>(scope: Scope, statement: Statement<Row>, values: readonly Value[]): Promise<readonly Row[]> {
    const lane = await socket(pick());
    if (lane.inFlight >= inFlightMax)
      throw new AppError('DEPENDENCY_UNAVAILABLE', { detail: 'read lane is full', retryAfterS: 1 });
    const started = performance.now();
    const rows = await lane.read(scope, statement, values);
    options.onQuery?.(statement.name, (performance.now() - started) / 1000);
    // The driver types rows as unknown records; the statement's declaration is the typed edge.
    return rows as readonly Row[];
  }

  return {
    async read(scope, statement, values) {
      if (closed) throw new AppError('DEPENDENCY_UNAVAILABLE', { detail: 'read lane is closed' });
      try {
        return await once(scope, statement, values);
      } catch (thrown) {
        // A read changes nothing, so one more try is safe when the socket broke under it or its statement went stale.
        if (thrown instanceof LaneSocket.Broken || isStalePlan(thrown))
          return await once(scope, statement, values).catch(rethrow);
        return rethrow(thrown);
      }
    },
    async close() {
      closed = true;
      await Promise.all(sockets.map(async (opening) => (await opening?.catch(() => undefined))?.close()));
    },
  };
}

function rethrow(thrown: unknown): never {
  if (thrown instanceof LaneSocket.Broken) throw new AppError('DEPENDENCY_UNAVAILABLE', { cause: thrown });
  throw toDatabaseError(thrown);
}
