/** What a handler may use, by the way its row meets the database. */
import type { contract } from '@novax/contracts/api/contract';
import type { HandlersOf } from '@novax/contracts/procedure';
import type { PersonKeys } from '@novax/db/person-keys';
import type { Database, TenantTx } from '@novax/db/tx';
import type { Answers } from '@novax/domain/answers';
import type { BlobStore, Embedder, IdentityProviders, SearchEngine } from '@novax/domain/ports';
import type { Reader } from '@novax/domain/reader';
import type { Keyring } from '@novax/runtime/keyring';
import type { Metrics } from '@novax/runtime/metrics';
import type { Accounts } from './auth/accounts.ts';
import type { Signer } from '@novax/runtime/signing';
import type { Auth } from './auth/auth.ts';
import type { Factors } from './auth/factors.ts';
import type { Caller, RequestFacts } from './request.ts';

/** Things that every handler may use; `db` is for handlers without a transaction of their own. */
export interface Services {
  readonly db: Database;
  readonly auth: Auth;
  readonly factors: Factors;
  readonly accounts: Accounts;
  readonly embedder: Embedder;
  readonly identityProviders: IdentityProviders;
  readonly keyring: Keyring;
  readonly metrics: Metrics;
  /** Null where none is configured; the database answers then. */
  readonly searchEngine: SearchEngine | null;
  /** Null where no cache server is named; everything is found anew then. */
  readonly answers: Answers | null;
  /** Longest a search's answer is kept, milliseconds. */
  readonly searchKeepMs: number;
  /** Opens what is personal in the audit trail. */
  readonly personKeys: PersonKeys;
  /** Checks the seals of the audit trail. */
  readonly signer: Signer;
  /** Where their heads are anchored; null where no place is named. */
  readonly anchors: BlobStore | null;
}

export interface WriteContext {
  readonly tx: TenantTx;
  readonly services: Services;
}
export interface ReadContext {
  readonly reader: Reader;
  readonly services: Services;
}
export interface OpenContext {
  readonly services: Services;
  readonly request: RequestFacts;
  /** Null for public calls. */
  readonly caller: Caller | null;
  /** A lane under the caller's scope; nobody's when there is no caller. */
  readonly reader: Reader;
  /** The same, for what may take as long as a search. */
  readonly searcher: Reader;
}

export type Handlers = HandlersOf<typeof contract, { write: WriteContext; read: ReadContext; none: OpenContext }>;
