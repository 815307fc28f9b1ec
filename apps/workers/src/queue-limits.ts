/** How each queue runs in this installation: its row, and what the settings change of it. */
import { queueNames, queues, type QueueName, type QueueSettings } from '@novax/contracts/jobs';
import { z } from 'zod';

const change = z
  .strictObject({
    concurrency: z.int().min(1).max(100).optional(),
    max: z.int().min(1).optional(),
    perMs: z.int().min(1).optional(),
  })
  .refine(({ max, perMs }) => (max === undefined) === (perMs === undefined), 'max and perMs belong together');

export const queueLimitsSchema = z
  .string()
  .default('{}')
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue('is not JSON');
      return z.NEVER;
    }
  })
  .pipe(z.partialRecord(z.enum(queueNames), change));
type QueueLimits = z.output<typeof queueLimitsSchema>;

/** One queue's settings with the installation's changes. */
export function queueSettings(name: QueueName, limits: QueueLimits): QueueSettings {
  const { concurrency, max, perMs } = limits[name] ?? {};
  const row = queues[name];
  return {
    ...row,
    concurrency: concurrency ?? row.concurrency,
    limit: max === undefined || perMs === undefined ? row.limit : { max, perMs },
  };
}
