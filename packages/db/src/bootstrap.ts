/**
 * Prepares a cluster as its superuser: the database, what bootstrap.sql makes in it, and the passwords of the login
 * roles.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Client, DatabaseError, escapeIdentifier, escapeLiteral } from 'pg';

/** The roles that processes and people sign in with; every other role is NOLOGIN. */
export const LOGIN_ROLES = [
  'novax_api',
  'novax_worker',
  'novax_ai',
  'novax_migrator',
  'novax_readonly',
  'novax_backup',
] as const;
export type LoginRole = (typeof LOGIN_ROLES)[number];

export interface BootstrapOptions {
  /** A superuser's URL; its database part is ignored. */
  adminUrl: string;
  database: string;
  passwords: Partial<Record<LoginRole, string>>;
  /** Idempotent SQL run as superuser inside the database (roles, extensions, settings). */
  sqlFile: string;
}

/**
 * Creates the database when missing, runs `sqlFile` in it and sets the passwords that differ. Idempotent, and safe to
 * run from several processes at once. Passwords leave this process only as SCRAM verifiers, so no server log or
 * statistics view can show one.
 */
export async function bootstrapCluster(options: BootstrapOptions): Promise<void> {
  const sql = await readFile(options.sqlFile, 'utf8');
  await using maintenance = await connect(withDatabase(options.adminUrl, 'postgres'));
  // Roles are shared by the whole cluster: two bootstraps at once would fail on each other's half-made rows.
  await maintenance.client.query(`select pg_advisory_lock(hashtext('novax-bootstrap'))`);
  await createDatabase(maintenance.client, options.database);
  await using inside = await connect(withDatabase(options.adminUrl, options.database));
  await inside.client.query(sql);
  for (const role of LOGIN_ROLES) {
    const password = options.passwords[role];
    if (password !== undefined) await setPassword(maintenance.client, role, password);
  }
}

/** The same URL pointing at another database of the cluster. */
export function withDatabase(url: string, database: string): string {
  const target = new URL(url);
  target.pathname = `/${encodeURIComponent(database)}`;
  return target.href;
}

async function connect(url: string): Promise<AsyncDisposable & { client: Client }> {
  const client = new Client({
    connectionString: url,
    application_name: 'novax-bootstrap',
    connectionTimeoutMillis: 10_000,
  });
  // A connection lost between two statements surfaces in the next one; unhandled, the event would end the process
  // first.
  client.on('error', () => {});
  await client.connect();
  await client.query('set statement_timeout = 0; set lock_timeout = 0; set client_min_messages = warning');
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/**
 * UTF8, from template0, with the C.UTF-8 collation: it orders by code point and never changes with the operating
 * system's C library or ICU, so an upgraded or copied cluster cannot hold an index sorted by yesterday's rules. Sorting
 * for a person's eye names its ICU collation in the query.
 */
async function createDatabase(client: Client, database: string): Promise<void> {
  const existing = await client.query('select 1 from pg_database where datname = $1', [database]);
  if (existing.rowCount !== 0) return;
  const locales = [
    // Built into the server since PostgreSQL 17; the libc part still serves the text-search parser.
    "locale_provider builtin builtin_locale 'C.UTF-8' locale 'C.UTF-8'",
    "locale_provider libc locale 'C.UTF-8'",
    "locale 'C'",
  ];
  for (const [index, locale] of locales.entries()) {
    try {
      await client.query(`create database ${escapeIdentifier(database)} template template0 encoding 'UTF8' ${locale}`);
      return;
    } catch (error) {
      // 22023, 42601, 42809: this server does not know the provider, or this system not the locale.
      const unknown = error instanceof DatabaseError && ['22023', '42601', '42809'].includes(error.code ?? '');
      if (!unknown || index === locales.length - 1) throw error;
    }
  }
}

async function setPassword(client: Client, role: LoginRole, password: string): Promise<void> {
  const { rows } = await client.query<{ verifier: string | null }>(
    'select rolpassword as verifier from pg_authid where rolname = $1',
    [role],
  );
  const stored = rows[0]?.verifier;
  if (stored && matches(stored, password)) return;
  await client.query(
    `alter role ${escapeIdentifier(role)} password ${escapeLiteral(scramVerifier(password, randomBytes(16), 4096))}`,
  );
}

/**
 * PostgreSQL's stored form of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5802, RFC
 * 7677).
 */
function scramVerifier(password: string, salt: Buffer, iterations: number): string {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${hmac('Server Key').toString('base64')}`;
}

function matches(stored: string, password: string): boolean {
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$/.exec(stored) ?? [];
  if (iterations === undefined || salt === undefined) return false;
  const expected = Buffer.from(scramVerifier(password, Buffer.from(salt, 'base64'), Number(iterations)));
  const actual = Buffer.from(stored);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
