/** Where the servers of a test run come from, tried in order: the environment, containers, processes without containers. */
import { join } from 'node:path';
import { startServers } from '../../apps/ops/src/stack/servers.ts';
import { tryLock } from '../../apps/ops/src/supervisor/lock.ts';
import { lockPath } from '../../apps/ops/src/supervisor/state.ts';
import { containerServers, whyNoContainers } from './containers.ts';
import { variables, type Servers } from './servers.ts';

export interface ChosenServers {
  readonly urls: Servers;
  /** One line: what is used, and why. */
  readonly reason: string;
  /** Ends what was started for this run; nothing when the environment named the servers. */
  readonly stop: () => Promise<void>;
}

/** Answers running servers. Throws when the environment names only some of them, or when none can be had. */
export async function chooseServers(options: {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder of the state of servers that run without containers. */
  readonly dir: string;
}): Promise<ChosenServers> {
  const named = namedServers(options.env);
  if (named !== undefined) return { urls: named, reason: 'those that NOVAX_TEST_… names', stop: async () => undefined };
  const noContainers = await whyNoContainers();
  if (noContainers === undefined) {
    const { urls, stop } = await containerServers();
    return { urls, reason: 'containers, because an engine answers and the images are there', stop };
  }
  // Never by DATABASE_URL or another setting of a real installation: a test run must not touch one.
  const running = await startServers({
    dir: await freeSlot(options.dir),
    durable: false,
    driver: 'native',
    only: ['postgres', 'valkey-queue', 'valkey-cache', 'nats'],
    log: { line: (text) => void process.stdout.write(`${text}\n`), progress: () => undefined },
  });
  const { endpoints } = running;
  const urls = {
    pgAdminUrl: endpoints.DATABASE_ADMIN_URL ?? '',
    queueRedisUrl: endpoints.QUEUE_REDIS_URL,
    cacheRedisUrl: endpoints.CACHE_REDIS_URL,
    natsUrl: endpoints.NATS_URL,
  };
  return { urls, reason: `processes without containers, because ${noContainers}`, stop: () => running.stop() };
}

/** A folder under `dir` that no living run uses; taking the first one lets a run end what a killed one left there. */
async function freeSlot(dir: string): Promise<string> {
  for (let slot = 1; ; slot += 1) {
    const path = join(dir, String(slot));
    const attempt = await tryLock(lockPath(path));
    if (!attempt.held) continue;
    await attempt.lock.release();
    return path;
  }
}

function namedServers(env: Readonly<Record<string, string | undefined>>): Servers | undefined {
  const missing = Object.values(variables).filter((name) => !env[name]);
  if (missing.length === Object.keys(variables).length) return undefined;
  if (missing.length > 0)
    throw new Error(`the environment names some test servers but not all; set also ${missing.join(', ')}`);
  const url = (name: keyof typeof variables): string => env[variables[name]] ?? '';
  return {
    pgAdminUrl: url('pgAdminUrl'),
    queueRedisUrl: url('queueRedisUrl'),
    cacheRedisUrl: url('cacheRedisUrl'),
    natsUrl: url('natsUrl'),
  };
}
