/** What a stack remembers between starts: its ports and secrets, in `<dir>/config.json`, readable by its owner only. */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { createSecrets } from './secrets.ts';

const Config = z.object({
  version: z.literal(1),
  ports: z.record(z.string(), z.int().min(1).max(65535)),
  secrets: z.object({
    /** By login role. */
    database: z.object({
      novax_admin: z.string().min(1),
      novax_api: z.string().min(1),
      novax_worker: z.string().min(1),
      novax_ai: z.string().min(1),
      novax_migrator: z.string().min(1),
      novax_readonly: z.string().min(1),
      novax_backup: z.string().min(1),
    }),
    queueRedis: z.string().min(1),
    cacheRedis: z.string().min(1),
    nats: z.string().min(1),
    meiliMasterKey: z.string().min(16),
    s3AccessKeyId: z.string().min(3),
    s3SecretAccessKey: z.string().min(8),
    jwtPrivateKeys: z.string().min(1),
    keyEncryptionKey: z.string().min(1),
    auditSigningKey: z.string().min(1),
  }),
});

export type StackConfig = z.infer<typeof Config>;

export const configPath = (dir: string): string => join(dir, 'config.json');

/** The stack's configuration; made with fresh secrets the first time. Throws, naming the file, when it cannot be understood. */
export async function loadConfig(dir: string): Promise<StackConfig> {
  const existing = await readConfig(dir);
  if (existing) return existing;
  const config: StackConfig = { version: 1, ports: {}, secrets: createSecrets() };
  await saveConfig(dir, config);
  return config;
}

/** The stack's configuration, or undefined when there is none yet. Throws, naming the file, when it cannot be understood. */
export async function readConfig(dir: string): Promise<StackConfig | undefined> {
  let text: string;
  try {
    text = await readFile(configPath(dir), 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    return Config.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${configPath(dir)} cannot be understood; restore it, or start afresh with "npx novax reset"`, {
      cause,
    });
  }
}

/** Replaces the file in one step, mode 600. */
export async function saveConfig(dir: string, config: StackConfig): Promise<void> {
  await writeJsonAtomically(configPath(dir), config, 0o600);
}

/** Writes JSON so that a reader sees the old document or the new one, whole, whatever happens. */
export async function writeJsonAtomically(path: string, value: unknown, mode = 0o644): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(partial, `${JSON.stringify(value, null, 2)}\n`, { mode });
  await chmod(partial, mode);
  await rename(partial, path);
}

/** True for the error of a file that does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
