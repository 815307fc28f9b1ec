/** Loopback ports: the usual one, or the next that is free, remembered and said. */
import { createServer } from 'node:net';
import type { StackConfig } from './config.ts';
import type { StackLog } from './driver.ts';

/** Ports a stack takes when nobody else has them. */
export const DEFAULT_PORTS = {
  'api': 3000,
  'api-metrics': 9464,
  'workers-metrics': 9465,
  'postgres': 55432,
  'valkey-queue': 56379,
  'valkey-cache': 56380,
  'nats': 54222,
  'nats-monitor': 58222,
} as const;

/** How many ports are tried upward before giving up. */
const REACH = 200;

/** True when a server of ours could listen there now. */
export function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Chooses a port for each name and records it in `config.ports` (the caller saves). A port used before is kept while it is free.
 * `ephemeral` stacks begin at a port the system hands out, so that they never take the usual ones.
 * Throws when a port in `fixed` (set by the user) is taken.
 */
export async function choosePorts(
  names: readonly string[],
  options: { config: StackConfig; log: StackLog; fixed?: Readonly<Record<string, number>>; ephemeral?: boolean },
): Promise<void> {
  const { config, log, fixed = {}, ephemeral = false } = options;
  const taken = new Set<number>();
  for (const name of names) {
    const wanted = fixed[name];
    if (wanted !== undefined) {
      if (taken.has(wanted) || !(await isPortFree(wanted)))
        throw new Error(`port ${wanted}, asked for by the environment for ${name}, is in use`);
      config.ports[name] = wanted;
    } else {
      const usual = config.ports[name] ?? usualPort(name);
      const start =
        ephemeral && config.ports[name] === undefined ? await systemPort() : (usual ?? (await systemPort()));
      const port = await nextFree(start, taken);
      if (port !== start) log.line(`port ${start} is in use; ${name} takes ${port} from now on`);
      config.ports[name] = port;
    }
    taken.add(config.ports[name] ?? 0);
  }
}

function usualPort(name: string): number | undefined {
  const ports: Readonly<Record<string, number>> = DEFAULT_PORTS;
  return ports[name];
}

async function nextFree(start: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = start; port < Math.min(start + REACH, 65536); port += 1) {
    if (!taken.has(port) && (await isPortFree(port))) return port;
  }
  throw new Error(`no free port between ${start} and ${start + REACH}`);
}

function systemPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
