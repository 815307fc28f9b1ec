/** Where a command finds its servers: the environment, or the local stack that runs beside it. */
import { anchorStoreSettings } from '@novax/adapters/blobs';
import { readEnv } from '@novax/runtime/env';
import { z } from 'zod';
import { CommandFailure } from '../cli/command.ts';
import type { CommandContext } from '../cli/command.ts';
import { readEndpoints } from '../stack/endpoints.ts';
import { currentState } from '../supervisor/attach.ts';

const text = z.string().optional();
const url = z.url().optional();
const milliseconds = z.string().regex(/^\d+$/, 'must be a whole number of milliseconds').optional();
const schema = z.object({
  DATABASE_URL: url,
  DATABASE_WORKER_URL: url,
  DATABASE_AI_URL: url,
  DATABASE_MIGRATOR_URL: url,
  DATABASE_READONLY_URL: url,
  DATABASE_BACKUP_URL: url,
  DATABASE_ADMIN_URL: url,
  QUEUE_REDIS_URL: url,
  CACHE_REDIS_URL: url,
  NATS_URL: text,
  NATS_CREDS_FILE: text,
  NATS_NAMESPACE: text,
  EVENT_DEDUPE_WINDOW_MS: milliseconds,
  EVENT_ACK_WAIT_MS: milliseconds,
  EVENT_MAX_AGE_MS: milliseconds,
  QUEUE_PREFIX: text,
  MEILI_URL: text,
  MEILI_MASTER_KEY: text,
  EMBEDDING_PROVIDER: text,
  EMBEDDING_MODEL: text,
  ...anchorStoreSettings,
  STORAGE_DRIVER: text,
  BACKUP_STORAGE_DRIVER: text,
  AUDIT_SIGNING_KEY: text,
  BACKUP_DIR: text,
  PUBLIC_URL: url,
  NOVAX_HYPERTABLES: text,
});

export type SettingName = keyof z.output<typeof schema>;
export const SETTING_NAMES: readonly SettingName[] = schema.keyof().options;
export const DATABASE_URLS = SETTING_NAMES.filter((name) => name.startsWith('DATABASE_'));

export interface Settings {
  /** `none`: neither an address in the environment nor a local stack that runs. */
  source: 'environment' | 'local stack' | 'none';
  values: Readonly<Partial<Record<SettingName, string>>>;
}

/**
 * Settings of this run; `NAME_FILE` is read for `NAME`. One DATABASE_*_URL in the environment means that all addresses come from there:
 * filling gaps from the local stack would mix two deployments. Throws `EnvError` naming every setting that is malformed.
 */
export async function readSettings({ env, dir }: Pick<CommandContext, 'env' | 'dir'>): Promise<Settings> {
  const given = withoutUndefined(readEnv(schema, env));
  if (DATABASE_URLS.some((name) => given[name] !== undefined)) return { source: 'environment', values: given };
  const current = await currentState(dir);
  const endpoints = current?.alive === true ? await readEndpoints(dir) : undefined;
  if (!endpoints) return { source: 'none', values: given };
  const local = readEnv(schema, {
    ...endpoints,
    DATABASE_ADMIN_URL: inDatabaseOf(endpoints.DATABASE_ADMIN_URL, endpoints.DATABASE_MIGRATOR_URL),
  });
  return { source: 'local stack', values: { ...given, ...withoutUndefined(local) } };
}

/** The first of `names` that is set. Throws `CommandFailure` saying what to set or start when none is. */
export function need(settings: Settings, ...names: readonly [SettingName, ...SettingName[]]): string {
  for (const name of names) {
    const value = settings.values[name];
    if (value !== undefined) return value;
  }
  if (settings.source === 'none') {
    throw new CommandFailure('nothing is running here, and the environment names no database', {
      hint: `start with: npx novax up   or set ${names.join(' or ')}`,
    });
  }
  throw new CommandFailure(`${names.join(' or ')} is not set`, {
    hint: `it comes from the ${settings.source}; NAME_FILE is read too`,
  });
}

/** The administrator's URL, pointed at the database that `url` names. */
function inDatabaseOf(admin: string | undefined, url: string): string | undefined {
  if (admin === undefined) return undefined;
  const target = new URL(admin);
  target.pathname = new URL(url).pathname;
  return target.href;
}

function withoutUndefined(values: z.output<typeof schema>): Partial<Record<SettingName, string>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
