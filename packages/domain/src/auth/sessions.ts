/** Accounts and sessions: what sign-up, sign-in, renewal and sign-out do to the database. */
import { createHash, randomBytes } from 'node:crypto';
import type { CallInfo } from '@novax/db/actor';
import { constraintOf } from '@novax/db/errors';
import {
  auditPerson,
  createRefreshToken,
  createSession,
  emitPerson,
  loginLookup,
  registerUser as registerStatement,
  revokeSessionByHash,
  rotateRefreshToken,
  sessionByHash,
} from '@novax/db/queries/auth';
import { queueMail } from '@novax/db/queries/mails';
import { confirmPassword } from '@novax/db/queries/passwords';
import type { Database, SqlTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';

const dayMs = 24 * 60 * 60 * 1000;
/** A session ends this long after its last renewal … */
export const sessionIdleMs = 30 * dayMs;
/** … and this long after sign-in, whatever happens. */
export const sessionAbsoluteMs = 90 * dayMs;

/** A fresh session: both secrets leave the platform here and are stored only as hashes. */
export interface OpenedSession {
  /** The session's secret id, carried by the access token as `sid`. */
  readonly sid: string;
  /** `<sid>.<secret>`: one use. */
  readonly refreshToken: string;
}

export interface Person {
  readonly id: string;
  readonly email: string;
  readonly username: string;
}

export interface Origin {
  readonly call: CallInfo;
  readonly userAgent: string | null;
}

/** SHA-256 of a secret, as stored. */
export function secretHash(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** Creates an account, signs it in and owes it a link to confirm its address, all or nothing. Throws ALREADY_EXISTS naming the field. */
export async function registerPerson(
  db: Database,
  input: { readonly email: string; readonly username: string; readonly passwordHash: string },
  origin: Origin,
): Promise<{ person: Person; session: OpenedSession }> {
  const person: Person = { id: newId(), email: input.email, username: input.username };
  try {
    return await db.person(person.id, async (tx) => {
      const { id, email, username } = person;
      await tx.sql(registerStatement, [
        id,
        email,
        email.toLowerCase(),
        username,
        username.toLowerCase(),
        input.passwordHash,
      ]);
      await auditPerson(tx, {
        userId: id,
        action: 'create',
        entityType: 'users',
        entityId: id,
        after: { username },
        call: origin.call,
      });
      const session = await openSession(tx, id, origin);
      await queueMail(tx, { kind: 'verify-email', email, userId: id, requestId: origin.call.requestId });
      await emitPerson(tx, { type: 'user.registered', userId: id, payload: { userId: id }, call: origin.call });
      return { person, session };
    });
  } catch (thrown) {
    const field = takenFields[constraintOf(thrown) ?? ''];
    if (field === undefined) throw thrown;
    throw new AppError('ALREADY_EXISTS', {
      cause: thrown,
      issues: [{ path: field, message: 'is taken' }],
      text: `That ${field} is taken.`,
    });
  }
}

const takenFields: Readonly<Record<string, 'email' | 'username'>> = {
  idx_users_email_normalized: 'email',
  idx_users_username_normalized: 'username',
};

export interface Account extends Person {
  readonly passwordHash: string;
  readonly status: 'active' | 'suspended';
}

/** The account behind an e-mail, with its password's hash; null when there is none. */
export async function accountByEmail(db: Database, email: string): Promise<Account | null> {
  const [row] = await db.person(null, (tx) => tx.sql(loginLookup, [email.toLowerCase()]));
  if (row === undefined) return null;
  return {
    id: row.user_id,
    email: row.email,
    username: row.username,
    passwordHash: row.password_hash,
    status: row.status,
  };
}

/** A password that was verified against the hash the account had then. */
export interface VerifiedPassword {
  readonly hash: string;
  /** The same password hashed as it is done now; null when the stored hash is as good. */
  readonly newHash: string | null;
}

/** Signs in a person who was verified. Throws UNAUTHENTICATED when the password that proved it has been replaced meanwhile. */
export function signIn(
  db: Database,
  userId: string,
  origin: Origin & { readonly password?: VerifiedPassword },
): Promise<OpenedSession> {
  return db.person(userId, async (tx) => {
    const { password } = origin;
    if (password !== undefined) {
      const [row] = await tx.sql(confirmPassword, [userId, password.hash, password.newHash]);
      if (row?.confirmed !== true) throw new AppError('UNAUTHENTICATED', { detail: 'the password has been replaced' });
    }
    return openSession(tx, userId, origin);
  });
}

/** Opens a session within `tx`, with its audit row, for an active person who was authenticated. Throws FORBIDDEN for any other. */
export async function openSession(tx: SqlTx, userId: string, origin: Origin): Promise<OpenedSession> {
  const sessionId = newId();
  const sid = newSecret();
  const secret = newSecret();
  const idleEnd = new Date(tx.now.getTime() + sessionIdleMs);
  const absoluteEnd = new Date(tx.now.getTime() + sessionAbsoluteMs);
  const { call, userAgent } = origin;
  await tx.sql(createSession, [
    sessionId,
    secretHash(sid),
    userId,
    call.ip ?? '',
    userAgent ?? '',
    idleEnd,
    absoluteEnd,
  ]);
  await tx.sql(createRefreshToken, [newId(), sessionId, newId(), secretHash(secret), idleEnd]);
  await auditPerson(tx, {
    userId,
    action: 'create',
    entityType: 'sessions',
    entityId: sessionId,
    after: { userAgent },
    call,
  });
  return { sid, refreshToken: `${sid}.${secret}` };
}

/** Trades a refresh token for the next one. Throws UNAUTHENTICATED; a token used twice has ended its session by then. */
export async function renewSession(
  db: Database,
  refreshToken: string,
  call: CallInfo,
): Promise<OpenedSession & { readonly userId: string }> {
  const [sid = '', given = ''] = refreshToken.split('.');
  const secret = newSecret();
  const row = await db.person(null, async (tx) => {
    const [session] = await tx.sql(sessionByHash, [secretHash(sid)]);
    if (session === undefined) return undefined;
    const [rotated] = await tx.sql(rotateRefreshToken, [
      secretHash(given),
      newId(),
      secretHash(secret),
      sessionIdleMs / 1000,
    ]);
    // The halves of a token belong together; thrown here, so that nothing of another session is used up.
    if (rotated !== undefined && rotated.session_id !== session.session_id)
      throw new AppError('UNAUTHENTICATED', { detail: 'halves of two refresh tokens' });
    return rotated;
  });
  if (row?.outcome !== 'rotated' || row.user_id === null || row.session_id === null) {
    if (row?.outcome === 'reused' && row.user_id !== null && row.session_id !== null)
      await recordReuse(db, { userId: row.user_id, sessionId: row.session_id, call });
    throw new AppError('UNAUTHENTICATED', { detail: `refresh token ${row?.outcome ?? 'unknown'}` });
  }
  return { sid, refreshToken: `${sid}.${secret}`, userId: row.user_id };
}

async function recordReuse(db: Database, reuse: { userId: string; sessionId: string; call: CallInfo }): Promise<void> {
  const { userId, sessionId, call } = reuse;
  await db.person(userId, (tx) =>
    auditPerson(tx, {
      userId,
      action: 'delete',
      entityType: 'sessions',
      entityId: sessionId,
      after: { reason: 'refresh token used twice' },
      call,
    }),
  );
}

/** Ends the session of a secret id; ending it twice is harmless. */
export async function endSession(
  db: Database,
  session: { readonly userId: string; readonly sidHash: Buffer; readonly sessionId: string },
  call: CallInfo,
): Promise<void> {
  const { userId, sidHash, sessionId } = session;
  await db.person(userId, async (tx) => {
    const [row] = await tx.sql(revokeSessionByHash, [sidHash, 'logout']);
    if (row?.ended !== true) return;
    await auditPerson(tx, {
      userId,
      action: 'delete',
      entityType: 'sessions',
      entityId: sessionId,
      after: { reason: 'logout' },
      call,
    });
  });
}
