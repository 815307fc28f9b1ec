/** The servers a test run may use, as the global setup or the environment names them. */
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    pgAdminUrl: string;
    queueRedisUrl: string;
    cacheRedisUrl: string;
    natsUrl: string;
  }
}

/** Environment variables that name the servers. */
export const variables = {
  pgAdminUrl: 'NOVAX_TEST_PG_ADMIN_URL',
  queueRedisUrl: 'NOVAX_TEST_QUEUE_REDIS_URL',
  cacheRedisUrl: 'NOVAX_TEST_CACHE_REDIS_URL',
  natsUrl: 'NOVAX_TEST_NATS_URL',
} as const;

export type Servers = Readonly<Record<keyof typeof variables, string>>;

/** URLs of the test servers; reading one that nobody named throws. */
export function servers(): Servers {
  return {
    get pgAdminUrl() {
      return urlOf('pgAdminUrl');
    },
    get queueRedisUrl() {
      return urlOf('queueRedisUrl');
    },
    get cacheRedisUrl() {
      return urlOf('cacheRedisUrl');
    },
    get natsUrl() {
      return urlOf('natsUrl');
    },
  };
}

function urlOf(key: keyof typeof variables): string {
  const provided: string | undefined = inject(key);
  const url = provided ?? process.env[variables[key]];
  if (!url) throw new Error(`no test server: neither the global setup nor ${variables[key]} names one`);
  return url;
}
