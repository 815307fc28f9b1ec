/** How an operator names the servers of their own network that may be asked for what others chose. */
import { z } from 'zod';

/** `OUTBOUND_ALLOW`: origins like `http://10.0.0.5:8080`, comma-separated; none when absent. */
export const outboundAllowSchema = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )
  .refine(
    // Whatever the parser would mend is a typing error that might allow another server than was meant.
    (origins) =>
      origins.every((origin) => /^https?:[a-z0-9.:[\]/-]+$/.test(origin) && URL.parse(origin)?.origin === origin),
    'must be origins like http://10.0.0.5:8080, separated by commas',
  );
