/** Runs one line of the `novax` command inside the test, its output captured. */
import { fileURLToPath } from 'node:url';
import { LOGIN_ROLES } from '@novax/db/bootstrap';
import { runProgram } from '../../apps/ops/src/cli/program.ts';
import type { TestDatabase } from '../kit/database.ts';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** `dir` is a state folder in which no stack runs, so that addresses come from `env` alone. */
export async function novax(
  line: string,
  env: Readonly<Record<string, string | undefined>>,
  dir = '/nonexistent/novax',
): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const code = await runProgram(line.split(' '), {
    checkout: CHECKOUT,
    dir,
    env,
    version: '0.0.0',
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}

/** The addresses of every login role in a test database, as a deployment would set them. */
export function addressesOf(database: Pick<TestDatabase, 'url'>): Record<string, string> {
  const names = {
    novax_api: 'DATABASE_URL',
    novax_worker: 'DATABASE_WORKER_URL',
    novax_ai: 'DATABASE_AI_URL',
    novax_migrator: 'DATABASE_MIGRATOR_URL',
    novax_readonly: 'DATABASE_READONLY_URL',
    novax_backup: 'DATABASE_BACKUP_URL',
  };
  return Object.fromEntries(LOGIN_ROLES.map((role) => [names[role], database.url(role)]));
}
