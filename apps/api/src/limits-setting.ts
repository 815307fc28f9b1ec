/** The setting RATE_LIMITS: calls a minute by class, and by procedure where one needs a limit of its own. */
import { contract } from '@novax/contracts/api/contract';
import { rateLimits } from '@novax/contracts/limits';
import { z } from 'zod';

/** The limits as delivered under those of a JSON object such as `{"read":240,"documents.create":30}`; refuses unknown names, naming the known ones. */
export const limitsSchema = z
  .string()
  .default('{}')
  .transform((text, context): Readonly<Record<string, number>> => {
    const problem = (message: string): never => {
      context.addIssue(message);
      return z.NEVER;
    };
    const parsed = z.record(z.string(), z.int().min(1)).safeParse(jsonOf(text));
    if (!parsed.success)
      return problem('must be JSON like {"read":120,"write":60,"documents.create":30}, whole numbers from 1');
    const classes = Object.keys(rateLimits);
    const procedures = Object.entries(contract).flatMap(([feature, rows]) =>
      Object.keys(rows).map((verb) => `${feature}.${verb}`),
    );
    const known = new Set([...classes, ...procedures]);
    const unknown = Object.keys(parsed.data).filter((name) => !known.has(name));
    if (unknown.length > 0)
      return problem(
        `unknown: ${unknown.join(', ')}. Known are the classes ${classes.join(', ')} and the procedures ${procedures.join(', ')}`,
      );
    return { ...rateLimits, ...parsed.data };
  });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
