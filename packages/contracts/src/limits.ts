/** Sizes and rates that callers can run into; one place, so that documents and code cannot disagree. */

/** Largest request body, bytes. */
export const bodyBytesMax = 1024 * 1024;

/** Most calls in one tRPC batch; the client splits larger ones. */
export const batchCallsMax = 20;

/** Calls allowed in each sliding window of 60 s, per subject (address before sign-in, user after). */
export const rateLimits = {
  read: 120,
  write: 60,
  signIn: 10,
} as const;
export type RateClass = keyof typeof rateLimits;

/** Sliding window of every rate limit, milliseconds. */
export const rateWindowMs = 60_000;
