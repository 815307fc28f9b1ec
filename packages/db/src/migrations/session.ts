/**
 * The migrator's connection: acts as the owner role, holds golang-migrate's advisory lock, and retries what waits too
 * long for a lock.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { Client, escapeIdentifier } from 'pg';
import { MigrationError, sqlState } from './errors.ts';

/** How long to wait for locks; all in milliseconds. */
export interface LockPolicy {
  /** `lock_timeout` of every statement in a transactional file. */
  timeoutMs: number;
  /** How often one file is tried before giving up. */
  attempts: number;
  /** Pause before the second attempt; doubles each time, half of it random. */
  backoffMs: number;
  backoffCapMs: number;
  /** How long to wait for another migrator to finish. */
  otherMigratorMs: number;
}

export const DEFAULT_LOCK_POLICY: LockPolicy = {
  timeoutMs: 1_000,
  attempts: 10,
  backoffMs: 500,
  backoffCapMs: 10_000,
  otherMigratorMs: 600_000,
};

const OWNER_ROLE = 'novax_owner';

export interface MigratorSession extends AsyncDisposable {
  client: Client;
  pid: number;
  /** The owner role when it exists and the login may take it, else the login role itself. */
  role: string;
}

/**
 * Connects without a statement timeout; every statement runs as the owner role where the login is allowed to take it.
 */
export async function openSession(url: string): Promise<MigratorSession> {
  const client = await connect(url);
  try {
    const { rows } = await client.query<{ role: string; pid: number }>(
      `select pg_backend_pid() as pid, coalesce(
         (select rolname from pg_roles where rolname = $1 and pg_has_role(session_user, oid, 'SET')), session_user) as role`,
      [OWNER_ROLE],
    );
    const { role, pid } = rows[0] ?? { role: '', pid: 0 };
    // The login role may carry timeouts of its own; a migration's are the runner's business.
    await client.query(
      'set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0; set client_min_messages = warning',
    );
    await client.query(`set role ${escapeIdentifier(role)}`);
    return { client, pid, role, [Symbol.asyncDispose]: () => client.end() };
  } catch (error) {
    await client.end();
    throw error;
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({
    connectionString: url,
    application_name: 'novax-migrate',
    connectionTimeoutMillis: 10_000,
  });
  // A connection lost between two statements surfaces in the next one; unhandled, the event would end the process
  // first.
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** The key golang-migrate's postgres driver locks for `<database>`, so that the two tools exclude each other. */
export function advisoryLockKey(database: string): number {
  const sum = crc32(['public', 'schema_migrations', `/${database}`].join('\0'));
  return Number((BigInt(sum) * 1_486_364_155n) & 0xffff_ffffn);
}

/**
 * Holds the migrators' lock on this session until disposed. Polls instead of waiting in the server: a waiting statement
 * holds a snapshot, and the CREATE INDEX CONCURRENTLY of the lock's holder would wait for that snapshot for ever.
 * Throws `LOCKED` when it takes too long.
 */
export async function lockOutOthers(
  session: MigratorSession,
  policy: LockPolicy,
  signal?: AbortSignal,
): Promise<AsyncDisposable> {
  const { client } = session;
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  const key = advisoryLockKey(rows[0]?.name ?? '');
  const deadline = performance.now() + policy.otherMigratorMs;
  for (;;) {
    const attempt = await client.query<{ ok: boolean }>('select pg_try_advisory_lock($1) as ok', [key]);
    if (attempt.rows[0]?.ok) break;
    if (performance.now() > deadline)
      throw new MigrationError('LOCKED', `another migrator holds the lock: ${await lockHolders(client, key)}`);
    await delay(50 + Math.random() * 100, undefined, { signal });
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await client.query('select pg_advisory_unlock($1)', [key]);
    },
  };
}

async function lockHolders(client: Client, key: number): Promise<string> {
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory' and granted and objsubid = 1 and classid = 0 and objid = $1
       and database = (select oid from pg_database where datname = current_database())`,
    [key],
  );
  return describeBackends(
    client,
    rows.map((row) => row.pid),
  );
}

/**
 * Runs `attempt` until it gets its locks: a lock timeout (55P03) or a deadlock (40P01) is tried again after a growing,
 * jittered pause, so that a queue behind the migration drains in between. Throws `LOCKED` naming who was in the way, as
 * far as the role may see it.
 */
export async function withLockRetry(
  session: MigratorSession,
  options: {
    url: string;
    file: string;
    policy: LockPolicy;
    log: (line: string) => void;
    signal: AbortSignal | undefined;
  },
  attempt: () => Promise<void>,
): Promise<void> {
  const { policy, file, log, signal } = options;
  for (let tried = 1; ; tried++) {
    // The first attempt nearly always succeeds, so nobody watches it unless it is the only one.
    const watch = tried > 1 || policy.attempts === 1 ? watchBlockers(options.url, session.pid) : undefined;
    try {
      await attempt();
      await watch?.stop();
      return;
    } catch (error) {
      const blockers = await watch?.stop();
      const state = sqlState(error);
      if (state !== '55P03' && state !== '40P01') throw error;
      const why = `${file}: ${state === '55P03' ? `no lock within ${policy.timeoutMs} ms` : 'deadlock'}${blockers ? `, held by ${blockers}` : ''}`;
      if (tried >= policy.attempts)
        throw new MigrationError('LOCKED', `${why}; gave up after ${tried} attempts`, error);
      const pause = Math.min(policy.backoffCapMs, policy.backoffMs * 2 ** (tried - 1)) * (0.5 + Math.random() / 2);
      log(`${why}; attempt ${tried + 1} of ${policy.attempts} in ${Math.round(pause)} ms`);
      await delay(pause, undefined, { signal });
    }
  }
}

/**
 * Runs a statement of the session. An abort cancels it in the server and rejects with the signal's reason; a statement that ended first counts.
 */
export async function cancellable(
  session: MigratorSession,
  options: { url: string; signal: AbortSignal | undefined },
  statement: () => Promise<unknown>,
): Promise<void> {
  const { url, signal } = options;
  signal?.throwIfAborted();
  const ended = new AbortController();
  let cancelling: Promise<void> | undefined;
  const cancel = (): void => void (cancelling = cancelBackend(url, session.pid, ended.signal));
  signal?.addEventListener('abort', cancel);
  try {
    await statement();
  } catch (error) {
    if (sqlState(error) === '57014') signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', cancel);
    ended.abort();
    // No cancel is on its way any more: one that comes late would hit the next statement.
    await cancelling;
  }
}

/** Asks until `ended`: a cancel that comes between two statements does nothing. Where it cannot, the statement goes on to its end. */
async function cancelBackend(url: string, pid: number, ended: AbortSignal): Promise<void> {
  try {
    const client = await connect(url);
    try {
      while (!ended.aborted) {
        await client.query('select pg_cancel_backend($1)', [pid]);
        await delay(100, undefined, { signal: ended }).catch(() => {});
      }
    } finally {
      await client.end();
    }
  } catch {
    // No connection, or no right to it.
  }
}

/**
 * Watches from a second connection who blocks `pid`; `stop` returns the last ones seen. Never fails: it only explains.
 */
function watchBlockers(url: string, pid: number): { stop: () => Promise<string> } {
  const stopped = new AbortController();
  const watching = (async () => {
    let seen = '';
    try {
      const client = await connect(url);
      try {
        while (!stopped.signal.aborted) {
          const { rows } = await client.query<{ pids: number[] }>('select pg_blocking_pids($1) as pids', [pid]);
          const pids = rows[0]?.pids ?? [];
          if (pids.length > 0) seen = await describeBackends(client, pids);
          await delay(100, undefined, { signal: stopped.signal }).catch(() => {});
        }
      } finally {
        await client.end();
      }
    } catch {
      return seen;
    }
    return seen;
  })();
  return {
    stop: () => {
      stopped.abort();
      return watching;
    },
  };
}

async function describeBackends(client: Client, pids: number[]): Promise<string> {
  const { rows } = await client.query<{ line: string }>(
    `select format('pid %s (%s)', pid, concat_ws(', ', usename, nullif(application_name, ''), state, 'transaction open for ' ||
            date_trunc('second', clock_timestamp() - xact_start), nullif(left(query, 80), ''))) as line
       from pg_stat_activity where pid = any($1)`,
    [pids],
  );
  return rows.map((row) => row.line).join(', ') || `pid ${pids.join(', ')}`;
}
