/** Checks of the servers beside the database: both Redis servers, NATS, and the processes themselves. */
import type { BusAddress } from '@novax/adapters/bus-brief';
import { inspectBus } from '@novax/adapters/bus-inspect';
import { deadLetterConsumer } from '@novax/contracts/events/envelope';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { createLogger } from '@novax/runtime/log';
import { checkHttp } from '../stack/health.ts';
import { busAddress } from '../database/bus-address.ts';
import type { Settings } from '../database/settings.ts';
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
export function busCheck(values: Settings['values']): Check[] {
  const { NATS_URL: url } = values;
  if (url === undefined) return [];
  return [
    {
      name: 'nats',
      mend: 'is the server running with JetStream (-js), and the address right? npx novax status',
      run: async () => bus(await busAddress(url, values)),
    },
  ];
}

/** More than this waits when a consumer is away or cannot keep up; a dead letter not yet copied is shown nowhere else. */
const lagWarn = (consumer: string): number => (consumer === deadLetterConsumer ? 100 : 10_000);

async function bus(address: BusAddress): Promise<Finding[]> {
  const { serverVersion, streams, consumers, strangers } = await inspectBus(address);
  const repair = 'novax doctor --repair';
  const late = 'are the workers running, and healthy? npx novax status';
  return [
    ok('nats', `${serverVersion}, JetStream enabled`),
    ...streams.map(({ name, present, differences, messages }) =>
      !present
        ? warn(`stream ${name}`, 'does not exist yet', `${repair}, or start the workers`)
        : differences.length > 0
          ? warn(`stream ${name}`, `differs in ${differences.join(', ')}`, repair)
          : ok(`stream ${name}`, `${messages} messages`),
    ),
    ...consumers.map(({ name, present, differences, pending }) =>
      !present
        ? warn(`consumer ${name}`, 'does not exist yet', `${repair}, or start the workers`)
        : differences.length > 0
          ? warn(`consumer ${name}`, `differs in ${differences.join(', ')}`, repair)
          : pending > lagWarn(name)
            ? warn(`consumer ${name}`, `${pending} pending`, late)
            : ok(`consumer ${name}`, `${pending} pending`),
    ),
    ...strangers.map(({ name, pending }) => ok(`consumer ${name}`, `${pending} pending; not one of this release's`)),
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
