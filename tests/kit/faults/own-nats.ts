/** A NATS server of a test's own, which it may kill and rob of its data; synced to disk at every write, as in production. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
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
}

/** Starts a server. Throws where no server can run without containers. */
export async function ownNats(): Promise<OwnNats> {
  await mkdir(base, { recursive: true });
  const dir = await mkdtemp(join(base, 'n-'));
  const launch = (): Promise<RunningServers> => startServers({ dir, durable: true, driver: 'native', only: ['nats'] });
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
    loseData: () => rm(join(dir, 'data', 'nats'), { recursive: true, force: true }),
    async [Symbol.asyncDispose]() {
      await running?.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
