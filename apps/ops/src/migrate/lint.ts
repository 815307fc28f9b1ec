/** Both lints of the schema: squawk over the files, and the rules about the catalogue of a database. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lintSchema } from '@novax/db/schema-lint/lint';
import type { Finding } from '@novax/db/schema-lint/lint';
import { loadMigrations } from '@novax/db/migrations/files';
import { connectDatabase } from '../database/connect.ts';

export type FileLint =
  | { state: 'clean' | 'findings'; files: number; output: string }
  | { state: 'not installed'; files: number; output: string };

/** Numbering, pairs and transaction rules (throws `MigrationError`), then squawk over the up files; says so where squawk is not installed. */
export async function lintFiles(checkout: string, dir: string, signal: AbortSignal): Promise<FileLint> {
  await loadMigrations(dir);
  const files = (await readdir(dir))
    .filter((name) => name.endsWith('.up.sql'))
    .sort()
    .map((name) => join(dir, name));
  const squawk = join(checkout, 'node_modules', 'squawk-cli', 'js', 'bin', 'squawk');
  if (!existsSync(squawk))
    return { state: 'not installed', files: files.length, output: 'squawk is a development dependency: npm install' };
  const args = [
    squawk,
    '--config',
    join(checkout, '.squawk.toml'),
    '--pg-version',
    '17',
    '--assume-in-transaction',
    ...files,
  ];
  const { code, output } = await run(args, checkout, signal);
  return { state: code === 0 ? 'clean' : 'findings', files: files.length, output };
}

/** Breaches of the schema's conventions in the database of `url`; [] on a good one. */
export async function lintDatabase(url: string): Promise<Finding[]> {
  await using client = await connectDatabase(url, { name: 'novax-lint', statementMs: 30_000 });
  // Awaited here: the connection ends with this scope.
  return await lintSchema(client);
}

function run(
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'], signal });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output: output.trim() }));
  });
}
