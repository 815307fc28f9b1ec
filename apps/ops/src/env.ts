/** The environment of the `novax` command and of its supervisor, read here and nowhere else. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface OpsEnv {
  /** The checkout that this file belongs to. */
  checkout: string;
  /** State folder of the local stack. */
  dir: string;
  env: Readonly<Record<string, string | undefined>>;
}

/** Reads the environment once. `NOVAX_DIR` moves the state folder, for a second stack beside the usual one. */
export function readEnv(): OpsEnv {
  const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
  const env = { ...process.env };
  return { checkout, dir: env['NOVAX_DIR'] ?? join(checkout, '.novax'), env };
}
