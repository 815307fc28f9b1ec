/** The servers of a test run: those the environment names, else containers, else the same servers without containers. */
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { chooseServers } from './kit/choose-servers.ts';
import { prepareTemplates } from './kit/database.ts';

const stateDir = fileURLToPath(new URL('../.novax/test', import.meta.url));

/** Starts the servers once for all files, builds the databases that files clone, and answers how to stop what was started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const began = performance.now();
  const servers = await chooseServers({ env: process.env, dir: stateDir });
  try {
    await prepareTemplates(servers.urls.pgAdminUrl);
  } catch (thrown) {
    await servers.stop();
    throw thrown;
  }
  for (const name of ['pgAdminUrl', 'queueRedisUrl', 'cacheRedisUrl', 'natsUrl'] as const)
    project.provide(name, servers.urls[name]);
  process.stdout.write(
    `test servers: ${servers.reason}; ready in ${((performance.now() - began) / 1000).toFixed(1)} s\n`,
  );
  return servers.stop;
}
