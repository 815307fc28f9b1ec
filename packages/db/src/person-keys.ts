/** A data key per person, under which what is personal in the audit trail is sealed: destroying the key erases it everywhere at once. */
import { randomBytes } from 'node:crypto';
import { openWith, sealWith, type Keyring } from '@novax/runtime/keyring';
import { only } from '@novax/runtime/invariant';
import { statement, type Statement, type Value } from './statement.ts';

/** How statements are sent: a transaction's `sql` or a lane's `read`. */
export type Ask = <Row>(statement: Statement<Row>, values: readonly Value[]) => Promise<readonly Row[]>;

/** Sealing within one transaction. */
export interface PersonSealer {
  /** Base64 of the text sealed under the person's key, which is made at its first need; null when the key was destroyed. */
  seal(personId: string, text: string): Promise<string | null>;
  /** To be called after the commit: only then do keys made in it exist for others. */
  committed(): void;
}

export interface PersonKeys {
  sealer(ask: Ask): PersonSealer;
  /** Opens what was sealed under the keys of these people; null where a key was destroyed or the text is no sealed one. */
  opener(ask: Ask, personIds: readonly string[]): Promise<(personId: string, sealed: string) => string | null>;
}

/** How long a process may go on using a key that another has destroyed, milliseconds. */
const believedMs = 60_000;
const believedMax = 10_000;

/** Keys wrapped under the installation's own ring; null stands for a destroyed one. */
export function createPersonKeys(keyring: Keyring, now: () => number = Date.now): PersonKeys {
  const believed = new Map<string, { readonly key: Buffer | null; readonly until: number }>();

  function recall(personId: string): Buffer | null | undefined {
    const found = believed.get(personId);
    if (found === undefined || found.until <= now()) return undefined;
    return found.key;
  }

  function remember(personId: string, key: Buffer | null): void {
    // Oldest first, as a Map keeps its entries.
    believed.delete(personId);
    if (believed.size >= believedMax) for (const oldest of believed.keys()) if (believed.delete(oldest)) break;
    believed.set(personId, { key, until: now() + believedMs });
  }

  function unwrap(personId: string, row: WrappedKey): Buffer | null {
    if (row.wrapped_key === null) return null;
    return keyring.open({ ciphertext: Buffer.from(row.wrapped_key, 'hex'), keyId: row.key_id }, wrapContext(personId));
  }

  async function load(ask: Ask, personIds: readonly string[]): Promise<Map<string, Buffer | null>> {
    const known = new Map<string, Buffer | null>();
    const missing: string[] = [];
    for (const id of new Set(personIds)) {
      const key = recall(id);
      if (key === undefined) missing.push(id);
      else known.set(id, key);
    }
    if (missing.length === 0) return known;
    for (const row of await ask(keysOf, [`{${missing.join(',')}}`])) known.set(row.user_id, unwrap(row.user_id, row));
    return known;
  }

  return {
    sealer(ask) {
      /** Keys of this transaction: others must not use one before it is certain to stay. */
      const own = new Map<string, Buffer | null>();
      const keyOf = async (personId: string): Promise<Buffer | null> => {
        const near = own.has(personId) ? own.get(personId) : recall(personId);
        if (near !== undefined) return near;
        const stored = (await load(ask, [personId])).get(personId);
        const key = stored === undefined ? await make(ask, personId) : stored;
        own.set(personId, key);
        return key;
      };
      const make = async (over: Ask, personId: string): Promise<Buffer | null> => {
        const wrapped = keyring.seal(randomBytes(32), wrapContext(personId));
        const rows = await over(addKey, [personId, wrapped.ciphertext.toString('hex'), wrapped.keyId]);
        return unwrap(personId, only(rows, 'add_person_key'));
      };
      return {
        async seal(personId, text) {
          const key = await keyOf(personId);
          return key === null ? null : sealWith(key, Buffer.from(text), sealContext(personId)).toString('base64');
        },
        committed: () => own.forEach((key, personId) => remember(personId, key)),
      };
    },
    async opener(ask, personIds) {
      const keys = await load(ask, personIds);
      for (const [personId, key] of keys) if (recall(personId) === undefined) remember(personId, key);
      return (personId, sealed) => {
        const key = keys.get(personId);
        if (key === undefined || key === null) return null;
        return openWith(key, Buffer.from(sealed, 'base64'), sealContext(personId)).toString();
      };
    },
  };
}

const wrapContext = (personId: string): string => `person-key:${personId}`;
const sealContext = (personId: string): string => `audit:${personId}`;

interface WrappedKey {
  /** Hex. */
  readonly wrapped_key: string | null;
  readonly key_id: string;
}

const keysOf = statement<WrappedKey & { readonly user_id: string }>(
  'person_keys_of',
  `select user_id, encode(wrapped_key, 'hex') as wrapped_key, key_id from private.person_keys_of($1::uuid[])`,
);

/** Values: person, wrapped key in hex, key id. */
const addKey = statement<WrappedKey>(
  'add_person_key',
  `select encode(wrapped_key, 'hex') as wrapped_key, key_id from private.add_person_key($1::uuid, decode($2, 'hex'), $3)`,
);
