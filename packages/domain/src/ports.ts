/** What the product needs from other servers, as interfaces; adapters implement them, and a fake of each passes the same conformance suite. */
import type { AiContext, AiSummary } from '@novax/contracts/ai-metadata';
import type { Envelope } from '@novax/contracts/events/envelope';
import type { DeadJob, JobName, JobPayload, JobRequest, JobTerms, QueueName } from '@novax/contracts/jobs';

/** Length of every stored vector; shorter models are padded with zeros, which leaves cosine similarity unchanged. */
export const vectorDims = 1536;

/** Turns text into vectors. Vectors of different `modelId`s are never compared. */
export interface Embedder {
  /** Key in `embedding_models`, for example `local-use-lite-en-1`. */
  readonly modelId: string;
  /** Length of the model's own vectors, before padding. */
  readonly dims: number;
  /** How much of a document the model is worth asking about: characters it takes in at once, and pieces of one document. */
  readonly window: { readonly chars: number; readonly piecesMax: number };
  /** One vector of `vectorDims` numbers, Euclidean norm 1, per text, in order. Throws DEPENDENCY_UNAVAILABLE or TIMEOUT, and the reason of an aborted signal. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<readonly Float32Array[]>;
  close(): Promise<void>;
}

export interface SummaryRequest {
  readonly title: string;
  readonly content: string;
  readonly instructions: AiContext['ai_instructions'] | null;
}

/** Reads a document and says what it is about. */
export interface Summarizer {
  readonly modelId: string;
  /** Everything of `AiSummary` but the time, which the caller's clock gives. Throws DEPENDENCY_UNAVAILABLE or TIMEOUT, and the reason of an aborted signal. */
  summarize(request: SummaryRequest, signal?: AbortSignal): Promise<Omit<AiSummary, 'generated_at'>>;
}

/** Outcome of one publish; the message is stored by the stream only when `ok`. */
export type PublishResult =
  | { readonly id: string; readonly ok: true; readonly streamSeq: number; readonly duplicate: boolean }
  /** `poison`: the event itself is at fault (its size, its name), so that the stream would refuse it tomorrow too. */
  | { readonly id: string; readonly ok: false; readonly error: string; readonly poison: boolean };

export interface EventConsumer {
  /** Durable name; also the label of its lag metric. */
  readonly name: string;
  /** Subjects it receives, for example `novax.events.document.>`. */
  readonly subjects: readonly string[];
  /** Resolves when the event's effect is safe; a rejection makes the stream deliver it again later, at most five times. */
  handle(event: Envelope): Promise<void>;
}

/** The domain event stream: at least once, in publish order per subject. */
export interface EventBus {
  /** Makes or repairs the streams; safe to call at every start. */
  ensureStreams(): Promise<void>;
  /** Publishes all at once, each with its event id as message id, and waits for every acknowledgement. Never throws for one message. `replay` names a sending of events sent before: stored once more per name, and marked. */
  publish(events: readonly Envelope[], options?: { readonly replay?: string }): Promise<readonly PublishResult[]>;
  /** Starts a durable consumer. The answer stops it, after the event in hand. */
  consume(consumer: EventConsumer): Promise<() => Promise<void>>;
  /** Messages each durable consumer has not acknowledged. */
  lag(consumer: string): Promise<number>;
  /** A best-effort hint without acknowledgement; losing it costs latency only. */
  hint(subject: string): void;
  /** Calls `listener` at each hint. The answer stops it. */
  onHint(subject: string, listener: () => void): () => void;
  /** Throws when the stream cannot be reached. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface JobRun<N extends JobName = JobName> {
  readonly id: string;
  readonly name: N;
  readonly payload: JobPayload<N>;
  /** 1 for the first try. */
  readonly attempt: number;
}

/** Adds background jobs. Jobs are hints: the database says what is owed. */
export interface JobQueue {
  /** Adding an id that is still queued does nothing. Payloads are parsed here, and again at pickup. Organizations take turns: one with a long line holds up nobody else's. */
  add(requests: readonly JobRequest[]): Promise<void>;
  /** Repeats a job every `everyMs`, first at once. Calling again with the same key replaces a schedule that differs, puts a lost one back, and changes nothing otherwise. */
  schedule(key: string, everyMs: number, request: Omit<JobRequest, 'id'>): Promise<void>;
  /** Waiting, running, delayed and failed jobs per queue. */
  counts(): Promise<Readonly<Record<QueueName, { waiting: number; active: number; delayed: number; failed: number }>>>;
  /** Milliseconds that the oldest job ready to be taken has waited, per queue, 0 without one; `held` while a pause or a rate limit is the reason. */
  ages(): Promise<Readonly<Record<QueueName, { readonly oldestMs: number; readonly held: boolean }>>>;
  /** Throws when the server cannot be reached or may evict jobs. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface JobWorker {
  /** Starts taking jobs; the answer stops after the jobs in hand. The signal is aborted when a try has used up its time, which then has failed, or the patience of who stops; such a job waits for another worker, and no try is counted. */
  run(
    options: JobTerms & {
      readonly queue: QueueName;
      readonly handle: (job: JobRun, signal: AbortSignal) => Promise<void>;
      /** Called once when a job has used up its attempts or cannot be parsed; the job is then removed from the queue. */
      readonly onDead: (job: DeadJob, error: Error) => Promise<void>;
    },
  ): Promise<(patienceMs?: number) => Promise<void>>;
  /** Milliseconds since this process last took a job of the queue, or had no room for one; 0 for a queue it does not run. `restart` takes its jobs over new connections and finishes those in hand. */
  idleMs(queue: QueueName): number;
  restart(queue: QueueName): Promise<void>;
}

/** A document as a search engine holds it. */
export interface SearchDocument {
  readonly id: string;
  readonly organizationId: string;
  readonly projectId: string;
  readonly title: string;
  readonly content: string;
  readonly status: string;
  /** Milliseconds since the epoch. */
  readonly updatedAt: number;
}

export interface SearchEngineHit {
  readonly id: string;
  readonly score: number;
  readonly snippet: string;
}

/** A full-text engine outside the database. Its index is disposable: rebuilt from the tables at any time. */
export interface SearchEngine {
  readonly name: string;
  ensureIndex(): Promise<void>;
  upsert(documents: readonly SearchDocument[]): Promise<void>;
  remove(ids: readonly string[]): Promise<void>;
  /** Hits of one organization only; the caller re-checks them in the database. Throws DEPENDENCY_UNAVAILABLE. */
  query(request: {
    readonly organizationId: string;
    readonly q: string;
    readonly projectId: string | null;
    readonly limit: number;
  }): Promise<readonly SearchEngineHit[]>;
  ping(): Promise<void>;
}

/** Files by key. Keys begin with the organization's id, or with the name of what belongs to none. */
export interface BlobStore {
  put(key: string, body: Uint8Array | NodeJS.ReadableStream, contentType: string): Promise<void>;
  /** Like `put`, and nobody can remove or replace it before `until` where the store can promise that; false where it cannot. */
  putHeld(
    key: string,
    body: Uint8Array,
    held: { readonly contentType: string; readonly until: Date },
  ): Promise<boolean>;
  /** Throws NOT_FOUND. */
  get(key: string): Promise<NodeJS.ReadableStream>;
  exists(key: string): Promise<boolean>;
  /** Does nothing when the key is absent. */
  remove(key: string): Promise<void>;
  /** Every key under a prefix, in no particular order. */
  list(prefix: string): AsyncIterable<string>;
  ping(): Promise<void>;
}

/** The signed-in session as the cache holds it. */
export interface CachedSession {
  readonly sessionId: string;
  readonly userId: string;
}

/** Sessions by the hash of their id; a copy of what PostgreSQL holds. Every method may throw when the server is down. */
export interface SessionCache {
  /** Slides the time to live (3600 s) on a hit. */
  get(sidHash: string): Promise<CachedSession | null>;
  set(sidHash: string, session: CachedSession): Promise<void>;
  remove(sidHash: string): Promise<void>;
}

export interface MailMessage {
  /** One address. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** `<…@…>`; the same for every copy of one mail, so that a repeat can be recognised. */
  readonly messageId: string;
}

/** Hands mails on. */
export interface Mailer {
  /** Resolves once the mail is somebody else's to deliver. Throws DEPENDENCY_UNAVAILABLE, within `mailTimeoutMs`; the mail may have gone out all the same. */
  send(message: MailMessage): Promise<void>;
  close(): Promise<void>;
}

/** Longest that handing on one mail may take, milliseconds. */
export const mailTimeoutMs = 45_000;

/** Who tries to sign in, and from where. */
export interface SignInTry {
  /** Hex hash of the normalized address, whether it is anybody's or not. */
  readonly account: string;
  /** What one subscriber is given; see `networkOf`. */
  readonly network: string;
}

export interface SignInDecision {
  readonly admitted: boolean;
  /** Milliseconds until a refused try would be admitted; 0 when admitted. */
  readonly retryAfterMs: number;
}

/**
 * Makes guessing passwords slow. Tries that failed are counted per account and per network, and past the free ones each doubles the wait
 * before the next. A network from which the account signed in lately has a count of its own, so that strangers cannot hold its owner up.
 * Every method throws DEPENDENCY_UNAVAILABLE when the server is down; the caller must refuse then.
 */
export interface LoginGuard {
  /** Counts a try as failed before it is looked at, so that a thousand at once gain nothing; a refused one counts for nothing. */
  begin(attempt: SignInTry): Promise<SignInDecision>;
  /** The try was right: takes its count back and knows the network from now on. */
  succeeded(attempt: SignInTry): Promise<void>;
  /** The account's holder was proved otherwise, as by a mailed secret: forgets what was counted against the account and knows the network. */
  cleared(attempt: SignInTry): Promise<void>;
}

/** What one sign-in with a provider must bring back; each 32 random bytes, base64url. */
export interface FlowSecrets {
  readonly state: string;
  readonly nonce: string;
  /** PKCE code verifier (RFC 7636). */
  readonly verifier: string;
}

/** What an identity provider says of the person it has just signed in. */
export interface ProvidedIdentity {
  /** Stable and unique at the provider. */
  readonly subject: string;
  readonly email: string | null;
  /** True only when the provider says so of that very address. */
  readonly emailVerified: boolean;
  readonly preferredUsername: string | null;
}

/** OpenID Connect providers that people can sign in with. */
export interface IdentityProviders {
  readonly list: readonly { readonly id: string; readonly name: string }[];
  /** Where to send the person. Throws NOT_FOUND for an unknown provider, DEPENDENCY_UNAVAILABLE or TIMEOUT when it does not answer. */
  authorizationUrl(provider: string, secrets: FlowSecrets): Promise<string>;
  /**
   * Who came back with `callbackUrl`. Throws UNAUTHENTICATED for anything but an answer of that provider to the flow of these secrets,
   * DEPENDENCY_UNAVAILABLE or TIMEOUT when it does not answer.
   */
  identify(provider: string, callbackUrl: string, secrets: FlowSecrets): Promise<ProvidedIdentity>;
}
