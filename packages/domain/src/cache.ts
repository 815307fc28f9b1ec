/** The cache server as a port. What lies there may be lost, late or wrong at any time: no answer may depend on it, and no write may wait for it. */

/** Why it was no help: it failed just now, or it is left alone for a while because it did. */
export type CacheTrouble = 'error' | 'skipped';

/** Texts that may be forgotten, and one counter per organization that tells which of them are still good. No method rejects, or takes longer than a moment. */
export interface CacheStore {
  /**
   * The organization's generation. One that the server lost is replaced by a number that was never used before, so that what was kept under
   * an earlier one cannot come back.
   */
  generation(organizationId: string): Promise<number | CacheTrouble>;
  /** The text under a key; null for none, and for what is no text. */
  read(key: string): Promise<{ readonly text: string | null } | CacheTrouble>;
  /** Keeps a text for `ttlMs` in place of whatever is there. */
  write(key: string, text: string, ttlMs: number): Promise<void>;
  /**
   * Begins a new generation. Where the server was no help, this process does it as soon as there is one again, and reads no generation of
   * that organization before.
   */
  bump(organizationId: string): Promise<void>;
}
