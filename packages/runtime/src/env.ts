/** Reads a process's settings once: one schema, all problems reported together, `NAME_FILE` for secrets. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseCrash } from './crash.ts';

/** Says every setting that is missing or wrong; its message is meant for a person. */
export class EnvError extends Error {
  override readonly name = 'EnvError';
}

/** Parses `source` (usually `process.env`) by `schema`; for `NAME` absent and `NAME_FILE` present reads the file. Throws `EnvError`. */
export function readEnv<S extends z.ZodObject>(
  schema: S,
  source: Readonly<Record<string, string | undefined>>,
): z.output<S> {
  const problems: string[] = [];
  const values: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const direct = source[name];
    const file = source[`${name}_FILE`];
    if (direct !== undefined && direct !== '') values[name] = direct;
    else if (file !== undefined && file !== '') {
      try {
        values[name] = readFileSync(file, 'utf8').trim();
      } catch (cause) {
        problems.push(`${name}_FILE: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    }
  }
  const parsed = schema.safeParse(values);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(`${issue.path.join('.')}: ${issue.message}`);
  }
  if (problems.length > 0 || !parsed.success) throw new EnvError(`settings are wrong:\n  ${problems.join('\n  ')}`);
  return parsed.data;
}

/** A TCP port from text. */
export const portSchema = z.coerce.number().int().min(0).max(65_535);

const secret = /(SECRET|PASSWORD|KEY|TOKEN|CREDS|OIDC)/;

/** The settings as they may be shown: secrets replaced, passwords in URLs blanked. */
export function redactEnv(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, secret.test(name) ? '[redacted]' : redactUrl(String(value))]),
  );
}

/** Blanks the password of a URL; other text comes back as it is. */
export function redactUrl(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/[^:@/]*):[^@/]*@/i, '$1:***@');
}

/** `NOVAX_CRASH_AT`: where the process shall die, for tests; see `crash.ts`. */
export const crashSchema = z
  .string()
  .refine((text) => {
    try {
      return parseCrash(text) !== undefined;
    } catch {
      return false;
    }
  }, 'names no crash point')
  .optional();
