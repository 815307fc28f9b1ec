/** Who is calling: sign-up, sign-in, renewal, sign-out, and the check at every call. */
import type { Database } from '@novax/db/tx';
import { sessionByHash } from '@novax/db/queries/auth';
import type { ReadLane } from '@novax/db/read-lane';
import {
  accountByEmail,
  endSession,
  registerPerson,
  renewSession,
  secretHash,
  signIn,
  type OpenedSession,
  type Person,
} from '@novax/domain/auth/sessions';
import type { CachedSession, SessionCache } from '@novax/domain/ports';
import { systemClock } from '@novax/runtime/clock';
import { AppError } from '@novax/runtime/errors';
import { LRUCache } from 'lru-cache';
import type { Caller, RequestFacts, SessionCaller } from '../request.ts';
import type { PasswordPolicy } from './password-policy.ts';
import type { Passwords } from './passwords.ts';
import type { SignInGate } from './sign-in-gate.ts';
import type { Tokens } from './tokens.ts';

/** How long a process may go on believing a session that another has ended, milliseconds. */
const beliefMs = 1_000;

export interface IssuedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresAt: string;
}

export interface Auth {
  register(
    input: { email: string; username: string; password: string },
    request: RequestFacts,
  ): Promise<IssuedTokens & { user: Person }>;
  /** Throws UNAUTHENTICATED, alike and as slowly for unknown people and wrong passwords; RATE_LIMITED after too many of them. */
  login(input: { email: string; password: string }, request: RequestFacts): Promise<IssuedTokens & { user: Person }>;
  refresh(refreshToken: string, request: RequestFacts): Promise<IssuedTokens>;
  logout(caller: SessionCaller, request: RequestFacts): Promise<void>;
  /** For sessions that were ended in the database: no process believes in them longer than a second. Hashes of their secret ids, hex. */
  forgetSessions(sidHashes: readonly string[]): Promise<void>;
  /** The caller of `Authorization: Bearer …`. Throws UNAUTHENTICATED. */
  authenticate(authorization: string | undefined): Promise<Caller>;
}

/** PostgreSQL is the truth about sessions; the cache may be down, and then every check goes there. */
export function createAuth(parts: {
  readonly db: Database;
  readonly lane: ReadLane;
  readonly sessions: SessionCache;
  readonly passwords: Passwords;
  readonly policy: PasswordPolicy;
  readonly gate: SignInGate;
  readonly tokens: Tokens;
}): Auth {
  const { db, lane, sessions, passwords, policy, gate, tokens } = parts;
  const believed = new LRUCache<string, CachedSession>({ max: 10_000, ttl: beliefMs });

  async function issue(userId: string, session: OpenedSession): Promise<IssuedTokens> {
    const { accessToken, expiresAt } = await tokens.sign({ userId, sid: session.sid }, systemClock.now());
    return { accessToken, refreshToken: session.refreshToken, expiresAt: expiresAt.toISOString() };
  }

  async function liveSession(sid: string): Promise<CachedSession> {
    const hash = secretHash(sid);
    const key = hash.toString('hex');
    const near = believed.get(key);
    if (near !== undefined) return near;
    const cached = await sessions.get(key).catch(() => null);
    const found = cached ?? (await storedSession(hash));
    if (cached === null) {
      const kept = await sessions.set(key, found).then(
        () => true,
        () => false,
      );
      // Asked again now that the copy is there: an end before it had nothing to remove, and the copy would outlive it.
      if (kept)
        await storedSession(hash).catch(async (thrown: unknown) => {
          await forget(key);
          throw thrown;
        });
    }
    believed.set(key, found);
    return found;
  }

  async function forget(sidHash: string): Promise<void> {
    believed.delete(sidHash);
    await sessions.remove(sidHash).catch(() => undefined);
  }

  async function storedSession(hash: Buffer): Promise<CachedSession> {
    const [row] = await lane.read({ userId: null, orgId: null }, sessionByHash, [hash]);
    const live =
      row !== undefined &&
      row.revoked_at === null &&
      row.user_status === 'active' &&
      new Date(row.expires_at).getTime() > Date.now();
    if (!live) throw new AppError('UNAUTHENTICATED', { detail: 'the session is over' });
    return { sessionId: row.session_id, userId: row.user_id };
  }

  return {
    async register(input, request) {
      policy.check(input.password, { ...input, field: 'password' });
      const passwordHash = await passwords.hash(input.password);
      const { person, session } = await registerPerson(
        db,
        { email: input.email, username: input.username, passwordHash },
        request,
      );
      await gate.cleared(input.email, request.call);
      return { user: person, ...(await issue(person.id, session)) };
    },
    async login(input, request) {
      await gate.enter(input.email, request.call);
      const account = await accountByEmail(db, input.email);
      const right = await passwords.verify(account?.passwordHash ?? null, input.password);
      if (account === null || !right || account.status !== 'active') {
        throw new AppError('UNAUTHENTICATED', { detail: 'sign-in refused', text: 'E-mail or password is wrong.' });
      }
      const { passwordHash: hash } = account;
      // Too busy to hash it anew is no reason to refuse: the next sign-in does it.
      const newHash = passwords.isCurrent(hash) ? null : await passwords.hash(input.password).catch(() => null);
      const session = await signIn(db, account.id, { ...request, password: { hash, newHash } });
      await gate.right(input.email, request.call);
      return {
        user: { id: account.id, email: account.email, username: account.username },
        ...(await issue(account.id, session)),
      };
    },
    async refresh(refreshToken, request) {
      const renewed = await renewSession(db, refreshToken, request.call).catch(async (thrown: unknown) => {
        // A token used twice has ended its session; no process may go on believing in it.
        await forget(secretHash(refreshToken.split('.')[0] ?? '').toString('hex'));
        throw thrown;
      });
      return issue(renewed.userId, renewed);
    },
    async logout(caller, request) {
      const sidHash = Buffer.from(caller.sidHash, 'hex');
      const session = await storedSession(sidHash);
      await endSession(db, { userId: caller.userId, sidHash, sessionId: session.sessionId }, request.call);
      await forget(caller.sidHash);
    },
    async forgetSessions(sidHashes) {
      await Promise.all(sidHashes.map(forget));
    },
    async authenticate(authorization) {
      const jwt = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(authorization ?? '')?.[1];
      if (jwt === undefined) throw new AppError('UNAUTHENTICATED', { detail: 'no bearer token' });
      const token = await tokens.verify(jwt);
      const session = await liveSession(token.sid);
      if (session.userId !== token.userId)
        throw new AppError('UNAUTHENTICATED', { detail: 'token and session disagree' });
      const sidHash = secretHash(token.sid).toString('hex');
      return { kind: 'session', userId: token.userId, sessionId: session.sessionId, sidHash };
    },
  };
}
