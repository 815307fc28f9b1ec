/** Servers without containers: Debian packages in a folder, run under bubblewrap as an ordinary user. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessSpec } from '../../supervisor/process-spec.ts';
import { loadConfig, saveConfig } from '../config.ts';
import type { Detection, PlannedStack, ServiceName, StackContext, StackDriver } from '../driver.ts';
import { loopbackEndpoints, portOf } from '../endpoints.ts';
import { choosePorts } from '../ports.ts';
import { natsProcess } from './nats.ts';
import { postgresProcess } from './postgres.ts';
import { ensureRoot, isRootReady, removeRoot, rootPath } from './root.ts';
import { runProgram } from './run-program.ts';
import type { Sandbox } from './sandbox.ts';
import { findProgram, PASSWD, sandboxArgs } from './sandbox.ts';
import { valkeyProcess } from './valkey.ts';

const TOOLS = { mmdebstrap: 'mmdebstrap', bwrap: 'bubblewrap' } as const;
const SERVERS = ['postgres', 'valkey-queue', 'valkey-cache', 'nats'] as const;

export const nativeDriver: StackDriver = { name: 'native', detect, prepare, plan, reset };

async function detect(context: StackContext): Promise<Detection> {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    return {
      possible: false,
      reason: `the native stack needs Linux on x64 or arm64, this is ${process.platform} on ${process.arch}`,
    };
  }
  const missing = await missingPackages(context);
  if (missing.length === 0) return { possible: true, reason: 'bubblewrap and mmdebstrap are installed' };
  if (findProgram('apt-get', context.env['PATH']) === undefined) {
    return {
      possible: false,
      reason: `the native stack needs ${missing.join(' and ')}, and this is no Debian-like system`,
    };
  }
  if (process.getuid?.() === 0)
    return { possible: true, reason: `${missing.join(' and ')} will be installed by apt-get` };
  return {
    possible: false,
    reason: `the native stack needs ${missing.join(' and ')}`,
    command: `sudo apt-get install -y ${missing.join(' ')} uidmap`,
  };
}

/** Tools that are not there; a root that exists already needs no mmdebstrap. */
async function missingPackages(context: StackContext): Promise<string[]> {
  const needed: (keyof typeof TOOLS)[] = (await isRootReady(context)) ? ['bwrap'] : ['mmdebstrap', 'bwrap'];
  return needed.filter((tool) => findProgram(tool, context.env['PATH']) === undefined).map((tool) => TOOLS[tool]);
}

async function prepare(context: StackContext): Promise<void> {
  const missing = await missingPackages(context);
  if (missing.length > 0) await installPackages(context, missing);
  await ensureRoot(context);
}

async function installPackages(context: StackContext, packages: readonly string[]): Promise<void> {
  const command = `apt-get update && apt-get install -y ${packages.join(' ')}`;
  if (process.getuid?.() !== 0)
    throw new Error(`the servers need ${packages.join(' and ')}; install with: sudo sh -c '${command}'`);
  const env = { ...context.env, DEBIAN_FRONTEND: 'noninteractive' };
  context.log.progress(`installing ${packages.join(' and ')}`);
  await runProgram('apt-get', ['update', '-q'], { signal: context.signal, env });
  await runProgram('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...packages], {
    signal: context.signal,
    env,
  });
}

async function plan(context: StackContext): Promise<PlannedStack> {
  const { dir, durable, signal } = context;
  const wanted = SERVERS.filter((name) => context.only?.includes(name) ?? true);
  const config = await loadConfig(dir);
  const ports = wanted.flatMap((name): string[] => (name === 'nats' ? ['nats', 'nats-monitor'] : [name]));
  await choosePorts(ports, { config, log: context.log, ephemeral: !durable });
  await saveConfig(dir, config);
  const endpoints = loopbackEndpoints(config, dir);
  await mkdir(join(dir, 'data', 'storage'), { recursive: true });

  const bwrap = findProgram('bwrap', context.env['PATH']);
  if (bwrap === undefined) throw new Error('bubblewrap is not installed');
  const port = (name: string): number => portOf(config.ports, name);
  const processes: ProcessSpec[] = [];
  for (const name of wanted) {
    const sandbox = await makeSandbox(context, { bwrap, name });
    if (processes.length === 0) await proveSandbox(sandbox, signal);
    if (name === 'postgres') {
      const adminPassword = config.secrets.database.novax_admin;
      processes.push(
        postgresProcess({
          sandbox,
          port: port(name),
          adminUrl: endpoints.DATABASE_ADMIN_URL ?? '',
          adminPassword,
          durable,
          signal,
        }),
      );
    } else if (name === 'nats') {
      const monitorUrl = `http://127.0.0.1:${port('nats-monitor')}`;
      processes.push(
        natsProcess({
          sandbox,
          port: port(name),
          monitorPort: port('nats-monitor'),
          url: endpoints.NATS_URL,
          monitorUrl,
          durable,
        }),
      );
    } else {
      const queue = name === 'valkey-queue';
      const password = queue ? config.secrets.queueRedis : config.secrets.cacheRedis;
      processes.push(
        valkeyProcess({
          name,
          sandbox,
          port: port(name),
          url: queue ? endpoints.QUEUE_REDIS_URL : endpoints.CACHE_REDIS_URL,
          password,
          durable,
        }),
      );
    }
  }
  return { endpoints, processes, steps: [], services: async () => [], stop: async () => undefined };
}

async function makeSandbox(context: StackContext, server: { bwrap: string; name: ServiceName }): Promise<Sandbox> {
  const data = join(context.dir, 'data', server.name);
  const run = join(context.dir, 'run', server.name);
  await mkdir(data, { recursive: true, mode: 0o700 });
  await mkdir(run, { recursive: true, mode: 0o700 });
  await writeFile(join(run, 'passwd'), PASSWD);
  return { bwrap: server.bwrap, root: rootPath(context), data, run };
}

/** Some containers and hardened kernels forbid user namespaces; better said here, once, than by four servers. */
async function proveSandbox(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  try {
    await runProgram(sandbox.bwrap, sandboxArgs(sandbox, ['/bin/true']), { signal });
  } catch (cause) {
    throw new Error(
      'bubblewrap cannot make a user namespace here; allow it (sysctl kernel.unprivileged_userns_clone=1) or use NOVAX_STACK=docker',
      { cause },
    );
  }
}

async function reset(context: StackContext, options: { all: boolean }): Promise<string[]> {
  const deleted: string[] = [];
  for (const folder of ['data', 'run']) {
    const path = join(context.dir, folder);
    if (!existsSync(path)) continue;
    await rm(path, { recursive: true, force: true });
    deleted.push(path);
  }
  const root = rootPath(context);
  if (options.all && context.env['NOVAX_NATIVE_ROOT'] === undefined && existsSync(root)) {
    await removeRoot(context, root);
    deleted.push(root);
  }
  return deleted;
}
