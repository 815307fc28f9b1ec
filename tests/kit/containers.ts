/** The product's own images under testcontainers, for machines with a container engine. */
import { randomBytes } from 'node:crypto';
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from 'testcontainers';
import type { Servers } from './servers.ts';

const images = { postgres: 'novax-postgres:17', valkey: 'novax-valkey:8', nats: 'novax-nats:2' } as const;

/** Why containers cannot be used here, in a few words; undefined when they can. A missing image would be pulled from a registry, so it rules them out. */
export async function whyNoContainers(): Promise<string | undefined> {
  // The reaper is an image of its own, which is not ours to have; the run stops its containers itself.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  let runtime;
  try {
    runtime = await getContainerRuntimeClient();
  } catch {
    return 'no container engine answers';
  }
  const found = await Promise.all(
    Object.values(images).map(async (image) => ((await has(runtime, image)) ? [] : [image])),
  );
  const missing = found.flat();
  return missing.length === 0 ? undefined : `the engine has no image ${missing.join(', ')}`;
}

async function has(runtime: Awaited<ReturnType<typeof getContainerRuntimeClient>>, image: string): Promise<boolean> {
  try {
    await runtime.container.dockerode.getImage(image).inspect();
    return true;
  } catch {
    return false;
  }
}

/** Starts the four servers without durability; `stop` ends and removes them. */
export async function containerServers(): Promise<{ urls: Servers; stop: () => Promise<void> }> {
  const password = randomBytes(16).toString('hex');
  const started: StartedTestContainer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((container) => container.stop({ remove: true, removeVolumes: true })));
  };
  const start = async (container: GenericContainer): Promise<StartedTestContainer> => {
    const running = await container.withEnvironment({ NOVAX_DURABLE: 'off' }).start();
    started.push(running);
    return running;
  };
  try {
    const [postgres, queue, cache, nats] = await Promise.all([
      start(
        new GenericContainer(images.postgres)
          .withEnvironment({ NOVAX_ADMIN_PASSWORD: password })
          .withExposedPorts(5432)
          .withSharedMemorySize(256 * 1024 * 1024)
          .withWaitStrategy(Wait.forHealthCheck())
          .withStartupTimeout(120_000),
      ),
      start(valkey(password, 'queue')),
      start(valkey(password, 'cache')),
      start(
        new GenericContainer(images.nats)
          .withEnvironment({ NATS_PASSWORD: password })
          .withExposedPorts(4222, 8222)
          .withWaitStrategy(Wait.forHttp('/healthz', 8222)),
      ),
    ]);
    const at = (container: StartedTestContainer, port: number): string =>
      `${container.getHost()}:${container.getMappedPort(port)}`;
    return {
      stop,
      urls: {
        pgAdminUrl: `postgresql://novax_admin:${password}@${at(postgres, 5432)}/postgres`,
        queueRedisUrl: `redis://default:${password}@${at(queue, 6379)}`,
        cacheRedisUrl: `redis://default:${password}@${at(cache, 6379)}`,
        natsUrl: `nats://novax:${password}@${at(nats, 4222)}`,
      },
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

function valkey(password: string, role: 'queue' | 'cache'): GenericContainer {
  return new GenericContainer(images.valkey)
    .withEnvironment({ VALKEY_PASSWORD: password })
    .withCommand([role])
    .withExposedPorts(6379)
    .withWaitStrategy(Wait.forSuccessfulCommand('novax-valkey check'));
}
