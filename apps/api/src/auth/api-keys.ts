/** Programs that call with an API key: the check at every call, believed for a second, and the note of when a key was used. */
import { actions } from '@novax/contracts/permissions';
import { apiKeyByHash, touchApiKey } from '@novax/db/queries/api-keys';
import type { ReadLane } from '@novax/db/read-lane';
import type { Database } from '@novax/db/tx';
import { isKeyText } from '@novax/domain/api-keys/key-text';
import { secretHash } from '@novax/domain/auth/sessions';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { LRUCache } from 'lru-cache';
import type { ApiKeyCaller } from '../request.ts';

/** How long a process may go on believing a key that has ended, milliseconds, counted from before it was read. */
const beliefMs = 1_000;
/** How often a key's use is noted, milliseconds; the database holds the same minute against other processes. */
const noteMs = 60_000;

export interface ApiKeys {
  /**
   * The caller of a key. Throws UNAUTHENTICATED, alike for a text that is no key, an unknown key, one that was revoked or has expired, and one whose
   * maker is suspended, no longer a member, or whose organization is not active.
   */
  authenticate(key: string): Promise<ApiKeyCaller>;
}

interface Believed {
  readonly caller: ApiKeyCaller;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

/** PostgreSQL is the truth about keys; what it said of a live one is kept in this process alone. */
export function createApiKeys(parts: {
  readonly db: Database;
  readonly lane: ReadLane;
  readonly log: Logger;
}): ApiKeys {
  const { db, lane, log } = parts;
  const believed = new LRUCache<string, Believed>({ max: 10_000, ttl: beliefMs });
  const noted = new LRUCache<string, true>({ max: 10_000, ttl: noteMs });

  /** Beside the call: nobody waits for it and its failure costs a time in a list. */
  function note({ apiKeyId, userId }: ApiKeyCaller): void {
    if (noted.has(apiKeyId)) return;
    noted.set(apiKeyId, true);
    db.person(userId, (tx) => tx.sql(touchApiKey, [apiKeyId])).catch((err: unknown) => {
      noted.delete(apiKeyId);
      log.warn({ err, apiKeyId }, 'the use of an API key could not be noted');
    });
  }

  async function stored(hash: Buffer): Promise<Believed> {
    const [row] = await lane.read({ userId: null, orgId: null }, apiKeyByHash, [hash]);
    if (row === undefined || row.status !== 'active' || row.user_status !== 'active') throw refused();
    const caller: ApiKeyCaller = {
      kind: 'apiKey',
      userId: row.user_id,
      apiKeyId: row.api_key_id,
      orgId: row.org_id,
      scopes: new Set(actions.filter((action) => row.scopes.includes(action))),
    };
    return { caller, endsAt: row.expires_at === null ? Infinity : new Date(row.expires_at).getTime() };
  }

  return {
    async authenticate(key) {
      if (!isKeyText(key)) throw refused();
      const hash = secretHash(key);
      const name = hash.toString('hex');
      const start = performance.now();
      const near = believed.get(name);
      const found = near ?? (await stored(hash));
      if (found.endsAt <= Date.now()) throw refused();
      if (near === undefined) believed.set(name, found, { start });
      note(found.caller);
      return found.caller;
    },
  };
}

function refused(): AppError {
  return new AppError('UNAUTHENTICATED', { detail: 'api key refused' });
}
