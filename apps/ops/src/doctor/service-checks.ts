/** Checks of the servers beside the database: both Redis servers, NATS, and the processes themselves. */
import { readFile } from 'node:fs/promises';
import { inspectBus } from '@novax/adapters/bus-inspect';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { createLogger } from '@novax/runtime/log';
import { checkHttp } from '../stack/health.ts';
import type { Check, Finding } from './check.ts';
import { fail, ok, warn } from './check.ts';
import { judgeClock } from './server-checks.ts';

const RUNNING = 'is the server running, and the address right? npx novax status';

/** Policy, append-only file and clock of one server. */
export function redisCheck(role: 'queue' | 'cache', url: string): Check {
  return { name: `${role} server`, mend: RUNNING, run: () => redis(role, url) };
}

async function redis(role: 'queue' | 'cache', url: string): Promise<Finding[]> {
  const name = `${role} server`;
  const wanted = role === 'queue' ? 'noeviction' : 'allkeys-lru';
  const connection = await connectRedis({
    url,
    log: createLogger({ name: 'novax-doctor', level: 'silent' }),
    name: 'novax-doctor',
    mode: 'fail-fast',
    connectWithinMs: 3000,
  });
  try {
    const info = await connection.info();
    const field = (key: string): string => new RegExp(`^${key}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? 'unknown';
    const version = `${info.includes('valkey_version:') ? `Valkey ${field('valkey_version')}` : `Redis ${field('redis_version')}`}`;
    const policy = field('maxmemory_policy');
    const findings: Finding[] = [
      policy === wanted
        ? ok(name, `${version}, ${policy}`)
        : fail(
            name,
            `${version}, maxmemory-policy ${policy}`,
            `config set maxmemory-policy ${wanted}: ${role === 'queue' ? 'it would drop jobs and sessions when memory is full' : 'it would refuse writes when memory is full'}`,
          ),
    ];
    if (role === 'queue' && field('aof_enabled') !== '1')
      findings.push(
        fail(
          `${name} log`,
          'appendonly is off: a restart loses jobs',
          'config set appendonly yes, and in its configuration file',
        ),
      );
    if (role === 'queue' && field('aof_last_write_status') === 'err')
      findings.push(fail(`${name} log`, 'its last write failed', 'free space on its disk'));
    const before = Date.now();
    const [seconds, micros] = await connection.time();
    findings.push(
      judgeClock(`clock ${name}`, {
        theirs: Number(seconds) * 1000 + Number(micros) / 1000,
        before,
        after: Date.now(),
      }),
    );
    return findings;
  } finally {
    await closeRedis(connection);
  }
}

/** JetStream, its streams and its consumers. */
export function busCheck(url: string, credentialsFile: string | undefined): Check {
  return {
    name: 'nats',
    mend: 'is the server running with JetStream (-js), and the address right? npx novax status',
    run: () => bus(url, credentialsFile),
  };
}

async function bus(url: string, credentialsFile: string | undefined): Promise<Finding[]> {
  const { serverVersion, streams, consumers } = await inspectBus({
    url,
    ...(credentialsFile === undefined ? {} : { credentials: await readFile(credentialsFile, 'utf8') }),
  });
  const restart = 'start the workers: they make and mend it';
  return [
    ok('nats', `${serverVersion}, JetStream enabled`),
    ...streams.map(({ name, present, differences, messages }) =>
      !present
        ? warn(`stream ${name}`, 'does not exist yet', restart)
        : differences.length > 0
          ? warn(`stream ${name}`, `differs in ${differences.join(', ')}`, restart)
          : ok(`stream ${name}`, `${messages} messages`),
    ),
    ...consumers.map(({ name, differences, pending }) =>
      differences.length > 0
        ? warn(`consumer ${name}`, `differs in ${differences.join(', ')}`, restart)
        : ok(`consumer ${name}`, `${pending} pending`),
    ),
  ];
}

/** Whether a process calls itself ready. */
export function readinessCheck(name: string, url: string): Check {
  const mend = `see: npx novax logs ${name}`;
  return {
    name,
    mend,
    run: async () => {
      await checkHttp(`${url}/readyz`);
      return [ok(name, `ready at ${url}`)];
    },
  };
}
