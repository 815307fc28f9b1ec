/** Checks of the PostgreSQL server: versions, extensions, clock. */
import { connectDatabase, rowOf, rowsOf } from '../database/connect.ts';
import type { Check, Finding } from './check.ts';
import { fail, ok, warn } from './check.ts';

const STATEMENT_MS = 4500;
export const CLOCK_SKEW_MS = 2000;

/** Opens the doctor's kind of connection: everything in it ends before the doctor gives up. */
export const connectBriefly = (url: string) =>
  connectDatabase(url, { name: 'novax-doctor', timeoutMs: 4000, statementMs: STATEMENT_MS });

/** Versions, extensions and clock of the server at `url`. */
export function serverChecks(url: string): Check[] {
  const mend = 'is the server running, and the address right? npx novax status';
  return [
    { name: 'postgresql', mend, run: () => serverVersion(url) },
    { name: 'extensions', mend, run: () => extensions(url) },
    { name: 'clock postgresql', mend, run: () => serverClock(url) },
  ];
}

async function serverVersion(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const { number, text } = await rowOf<{ number: number; text: string }>(
    client,
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as text`,
  );
  return [judgeServerVersion(number, text)];
}

/** By `server_version_num`: major × 10000 + minor. */
export function judgeServerVersion(number: number, text: string): Finding {
  const name = 'postgresql';
  if (number < 160_000) return fail(name, text, 'upgrade to PostgreSQL 17 (16 is the oldest that works)');
  if (number >= 170_000 && number < 170_010)
    return warn(name, text, 'upgrade to 17.10 or newer: earlier releases of 17 have known security holes');
  return ok(name, text);
}

async function extensions(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const rows = await rowsOf<{ name: string; installed: string | null; available: string | null }>(
    client,
    `select w.name, e.extversion as installed, a.default_version as available
       from unnest(array['vector', 'timescaledb', 'pg_stat_statements']) w (name)
       left join pg_extension e on e.extname = w.name left join pg_available_extensions a on a.name = w.name`,
  );
  return rows.map(({ name, installed, available }) => {
    if (name === 'vector') return judgeVector(installed);
    if (installed !== null) return ok(name, installed);
    if (name === 'timescaledb') {
      const found = available === null ? 'not available on this server' : `${available} available, not created`;
      return warn(
        name,
        `${found}; measurements stay in native partitions`,
        'preload timescaledb, then with DATABASE_ADMIN_URL set: novax migrate up',
      );
    }
    return warn(
      name,
      'not created: no statistics of statements',
      `preload ${name}, then with DATABASE_ADMIN_URL set: novax migrate up`,
    );
  });
}

/** pgvector, by its extension version. */
export function judgeVector(version: string | null): Finding {
  const name = 'vector';
  if (version === null)
    return fail(
      name,
      'not created',
      'install pgvector on the server, then with DATABASE_ADMIN_URL set: novax migrate up',
    );
  if (compareVersions(version, '0.8.0') < 0)
    return fail(
      name,
      version,
      'upgrade pgvector to 0.8.0 or newer (iterative scans), then: alter extension vector update',
    );
  if (compareVersions(version, '0.8.4') < 0)
    return warn(
      name,
      `${version}: HNSW indexes are built without parallel workers`,
      'upgrade pgvector to 0.8.4 or newer for faster builds',
    );
  return ok(name, version);
}

/** Negative when `a` is the older of two dotted versions. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let index = 0; index < 3; index++) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

async function serverClock(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const before = Date.now();
  const { ms } = await rowOf<{ ms: number }>(
    client,
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  );
  return [judgeClock('clock postgresql', { theirs: ms, before, after: Date.now() })];
}

/** Compares a server's clock with ours; the time the question took is not held against it. */
export function judgeClock(name: string, times: { theirs: number; before: number; after: number }): Finding {
  const skew =
    times.theirs < times.before
      ? times.theirs - times.before
      : times.theirs > times.after
        ? times.theirs - times.after
        : 0;
  const found = `${Math.round(Math.abs(skew))} ms ${skew < 0 ? 'behind' : 'ahead of'} this host`;
  if (Math.abs(skew) <= CLOCK_SKEW_MS) return ok(name, found);
  return fail(name, found, 'synchronize the clocks (NTP): tokens, locks and schedules compare times of both');
}
