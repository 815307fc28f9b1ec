/** A lock file that names its holder, so that a lock left by a dead process is recognized and taken over. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identify, isAlive } from './pids.ts';
import type { ProcessIdentity } from './pids.ts';

export interface Lock {
  release(): Promise<void>;
}

/** Either the lock, or who holds it. `mended` says that a dead process's lock was removed on the way. */
export type LockAttempt = { held: true; lock: Lock; mended: boolean } | { held: false; holder: ProcessIdentity };

const RETRIES = 200;
const RETRY_MS = 5;
const WAIT_MS = 250;

/**
 * Tries once. Exactly one of several processes that try at the same time gets it. A stale lock is replaced, never removed, and only by
 * whoever holds the second lock that belongs to this very stale file: between removing and taking, a third process could take it too.
 */
export async function tryLock(path: string): Promise<LockAttempt> {
  const self = identify(process.pid);
  if (!self) throw new Error('this process cannot be identified');
  await mkdir(dirname(path), { recursive: true });
  const content = JSON.stringify({ ...self, ticket: randomUUID() });
  const ticket = `${path}.${randomUUID()}.ticket`;
  await writeFile(ticket, content, { mode: 0o600 });
  const won = (mended: boolean): LockAttempt => ({
    held: true,
    mended,
    lock: { release: () => releaseIfOurs(path, content) },
  });
  try {
    for (let attempt = 0; attempt < RETRIES; attempt += 1) {
      if (await linked(ticket, path)) return won(false);
      const found = await fileIdentity(path);
      const holder = await readHolder(path);
      if (holder && isAlive(holder)) return { held: false, holder };
      if (found !== undefined && (await replaceStale({ path, ticket, found }))) return won(true);
      await pause(RETRY_MS);
    }
    throw new Error(`${path} changes too often to be taken`);
  } finally {
    await rm(ticket, { force: true });
  }
}

/** Runs `work` under the lock, waiting for whoever holds it; says so once. */
export async function withLock<T>(
  path: string,
  context: { signal: AbortSignal; log: { line(text: string): void } },
  work: () => Promise<T>,
): Promise<T> {
  let said = false;
  for (;;) {
    const attempt = await tryLock(path);
    if (attempt.held) {
      try {
        return await work();
      } finally {
        await attempt.lock.release();
      }
    }
    if (!said) context.log.line(`process ${attempt.holder.pid} is doing this already; waiting for it`);
    said = true;
    await pause(WAIT_MS, undefined, { signal: context.signal });
  }
}

/** Who is named in the lock file; undefined when there is none or it cannot be read. */
export async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('start' in value)) return undefined;
    return typeof value.pid === 'number' && typeof value.start === 'string'
      ? { pid: value.pid, start: value.start }
      : undefined;
  } catch {
    return undefined;
  }
}

async function linked(ticket: string, path: string): Promise<boolean> {
  try {
    await link(ticket, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** True when our ticket took the place of the stale file. Nobody else may touch that file: its holder is dead and we hold the right to mend it. */
async function replaceStale(stale: { path: string; ticket: string; found: string }): Promise<boolean> {
  const right = await tryLock(`${stale.path}.mend-${stale.found}`);
  if (!right.held) return false;
  try {
    if ((await fileIdentity(stale.path)) !== stale.found) return false;
    await rename(stale.ticket, stale.path);
    return true;
  } finally {
    await right.lock.release();
  }
}

/** Differs for every file that ever stood at this path while the one before it still existed. */
async function fileIdentity(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return `${ino}-${mtimeNs}`;
  } catch {
    return undefined;
  }
}

async function releaseIfOurs(path: string, content: string): Promise<void> {
  const current = await readFile(path, 'utf8').catch(() => '');
  if (current === content) await rm(path, { force: true });
}
