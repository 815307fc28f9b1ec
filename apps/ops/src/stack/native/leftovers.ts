/** Server processes of a cluster whose postmaster was killed: they hold its shared memory until they notice. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identify, isAlive, signalProcess } from '../../supervisor/pids.ts';
import type { ProcessIdentity } from '../../supervisor/pids.ts';

const PATIENCE_MS = 5000;
const POLL_MS = 20;

/**
 * Makes a cluster startable after a crash. PostgreSQL refuses while the process named in postmaster.pid lives, an id that may belong to
 * anything by now, and while a backend of the old server still holds the shared memory. So: wait for such backends (they end by themselves when
 * the postmaster is gone), kill what stays, then remove the file. Call it only when no supervisor runs this cluster.
 */
export async function clearLeftovers(cluster: string): Promise<void> {
  const file = join(cluster, 'postmaster.pid');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const deadline = Date.now() + PATIENCE_MS;
  let left = serversOf(cluster);
  while (left.length > 0) {
    if (Date.now() > deadline) for (const one of left) signalProcess(one, 'SIGKILL');
    await pause(POLL_MS);
    left = left.filter(isAlive);
  }
  await rm(file, { force: true });
}

/** Processes called postgres that work in this folder, by the folder's identity: inside the sandbox it has another name. */
function serversOf(cluster: string): ProcessIdentity[] {
  const folder = statSync(cluster);
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid)) return [];
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'postgres') return [];
      const cwd = statSync(`/proc/${pid}/cwd/.`);
      const identity = cwd.dev === folder.dev && cwd.ino === folder.ino ? identify(pid) : undefined;
      return identity ? [identity] : [];
    } catch {
      return [];
    }
  });
}
