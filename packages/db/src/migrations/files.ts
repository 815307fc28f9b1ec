/** Reads a folder of golang-migrate pairs and refuses, before anything runs, whatever would go wrong later. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MigrationError } from './errors.ts';
import { controlsTransaction, forbidsTransaction, statementOutlines } from './statements.ts';

/** One side (up or down) of a migration, ready to run. */
export interface MigrationScript {
  file: string;
  sql: string;
  /** False for a file whose only statement is a CONCURRENTLY one. */
  transactional: boolean;
  statements: number;
}

export interface Migration {
  version: number;
  name: string;
  up: MigrationScript;
  down: MigrationScript;
  /** SHA-256 of the up file with Unix line ends, in hex. */
  sha256: string;
}

const FILE_NAME = /^(\d{6})_([a-z0-9]+(?:_[a-z0-9]+)*)\.(up|down)\.sql$/;
const GENERATED = new Set(['schema.sql']);

/**
 * All migrations of `dir` in order, numbered 1, 2, 3 … without gap. Throws a `MigrationError`: `BAD_FILE_NAME`,
 * `BAD_NUMBERING`, `MISSING_DOWN` (or a missing up) and `BAD_STATEMENT` (a CONCURRENTLY statement that is not alone, or
 * transaction control).
 */
export async function loadMigrations(dir: string): Promise<Migration[]> {
  const names = (await readdir(dir)).filter((name) => /\.sql$/i.test(name) && !GENERATED.has(name)).sort();
  const pairs = new Map<number, { name: string; up?: string; down?: string }>();
  for (const file of names) {
    const [, digits, name, side] = FILE_NAME.exec(file) ?? [];
    if (digits === undefined || name === undefined || (side !== 'up' && side !== 'down')) {
      throw new MigrationError('BAD_FILE_NAME', `${file}: a migration is named 000001_snake_case.up.sql or .down.sql`);
    }
    const version = Number(digits);
    const pair = pairs.get(version) ?? { name };
    if (pair.name !== name) {
      throw new MigrationError(
        'BAD_NUMBERING',
        `number ${digits} is used twice: ${digits}_${pair.name} and ${digits}_${name}`,
      );
    }
    pairs.set(version, { ...pair, [side]: file });
  }
  const migrations: Migration[] = [];
  for (const [version, { name, up, down }] of [...pairs].sort(([a], [b]) => a - b)) {
    const expected = migrations.length + 1;
    const stem = `${String(version).padStart(6, '0')}_${name}`;
    if (version !== expected) {
      throw new MigrationError(
        'BAD_NUMBERING',
        `${stem}: expected number ${String(expected).padStart(6, '0')}; numbers go 1, 2, 3 without a gap`,
      );
    }
    if (up === undefined) throw new MigrationError('BAD_NUMBERING', `${stem}.up.sql is missing beside its down file`);
    if (down === undefined)
      throw new MigrationError('MISSING_DOWN', `${stem}.down.sql is missing: every migration has a tested way back`);
    const upScript = await loadScript(dir, up);
    migrations.push({ version, name, up: upScript, down: await loadScript(dir, down), sha256: checksum(upScript.sql) });
  }
  return migrations;
}

function checksum(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}

async function loadScript(dir: string, file: string): Promise<MigrationScript> {
  // A checkout may turn line ends; the checksum and what runs must not depend on it.
  const sql = (await readFile(join(dir, file), 'utf8')).replaceAll('\r\n', '\n');
  const outlines = statementOutlines(sql);
  const control = outlines.find(controlsTransaction);
  if (control !== undefined) {
    throw new MigrationError(
      'BAD_STATEMENT',
      `${file}: "${control.slice(0, 40)}": the runner opens and ends the transaction of a file`,
    );
  }
  const concurrent = outlines.filter(forbidsTransaction);
  if (concurrent.length > 0 && outlines.length > 1) {
    throw new MigrationError(
      'BAD_STATEMENT',
      `${file}: a CONCURRENTLY statement must be the only statement of its file`,
    );
  }
  return { file, sql, transactional: concurrent.length === 0, statements: outlines.length };
}
