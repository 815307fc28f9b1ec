/** Sizes and rates that callers can run into; one place, so that documents and code cannot disagree. */

/** Largest request body, bytes. */
export const bodyBytesMax = 1024 * 1024;

/** Largest profile of a person, bytes of JSON. */
export const profileBytesMax = 16 * 1024;

/** Most calls in one tRPC batch; the client splits larger ones. */
export const batchCallsMax = 20;

/** Calls allowed in each sliding window of 60 s, per subject (address before sign-in, user or API key after). */
export const rateLimits = {
  read: 120,
  write: 60,
  signIn: 10,
  /** Every call of one address before anybody is authenticated; ten readers' worth, so that an office can share an address. */
  address: 1_200,
  /** Every call that names an organization, by all of its people and keys together. */
  organization: 6_000,
} as const;
/** Failed sign-ins before the next must wait: 1 s, then 2, 4, … up to `signInWaitMaxMs`. */
export const signInTries = { account: 3, network: 10 } as const;
/** The longest wait between two guesses at one account or from one network, milliseconds. */
export const signInWaitMaxMs = 15 * 60_000;

export type LimitClass = keyof typeof rateLimits;
/** What a row may ask for; `address` stands before all of them, `organization` beside them. */
export type RateClass = Exclude<LimitClass, 'address' | 'organization'>;

/** Sliding window of every rate limit, milliseconds. */
export const rateWindowMs = 60_000;
