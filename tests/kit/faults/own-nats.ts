/** A NATS server of a test's own, which it may kill and rob of its data; synced to disk at every write, as in production. */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunningServers, startServers } from '../../../apps/ops/src/stack/servers.ts';

const base = fileURLToPath(new URL('../../../.novax/test/own-nats', import.meta.url));

export interface OwnNats extends AsyncDisposable {
  /** The same over all its lives. */
  readonly url: string;
  /** Ends it as a power cut would: no chance to write anything. */
  kill(): Promise<void>;
  /** Starts it again with the data it had; resolves when it answers. */
  start(): Promise<void>;
  /** Deletes all it had, while it is down. */
  loseData(): Promise<void>;
  /** Keeps a copy of all it has, while it is down. */
  saveData(): Promise<void>;
  /** Puts the copy in the place of what it has, while it is down: whatever came since is gone. */
  restoreData(): Promise<void>;
}

/** Starts a server. Throws where no server can run without containers. */
export async function ownNats(): Promise<OwnNats> {
  await mkdir(base, { recursive: true });
  const dir = await mkdtemp(join(base, 'n-'));
  const launch = (): Promise<RunningServers> => startServers({ dir, durable: true, driver: 'native', only: ['nats'] });
  const data = join(dir, 'data', 'nats');
  const saved = join(dir, 'saved');
  const lose = (): Promise<void> => rm(data, { recursive: true, force: true });
  let running: RunningServers | undefined = await launch();
  const { NATS_URL: url } = running.endpoints;
  return {
    url,
    async kill() {
      const pid = running?.statuses().find(({ name }) => name === 'nats')?.identity?.pid;
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await running?.stop();
      running = undefined;
    },
    async start() {
      running ??= await launch();
    },
    loseData: lose,
    saveData: () => cp(data, saved, { recursive: true }),
    async restoreData() {
      await lose();
      await cp(saved, data, { recursive: true });
    },
    async [Symbol.asyncDispose]() {
      await running?.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
