/** What mailed secrets and passwords do to the database: confirming an address, resetting and replacing a password. */
import type { CallInfo } from '@novax/db/actor';
import { auditPerson, emitPerson } from '@novax/db/queries/auth';
import { queueMail } from '@novax/db/queries/mails';
import { replacePassword, resetPassword, resetTokenOwner, verifyEmail } from '@novax/db/queries/passwords';
import type { Database, SqlTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { secretHash, type Person } from './sessions.ts';

/** Confirms the address that `token` was mailed to, once. Throws VALIDATION_FAILED naming the token. */
export async function confirmEmail(db: Database, token: string, call: CallInfo): Promise<void> {
  await db.person(null, async (tx) => {
    const [row] = await tx.sql(verifyEmail, [secretHash(token)]);
    const userId = row?.user_id ?? null;
    if (userId === null) throw staleToken();
    await auditAccount(tx, { userId, before: { emailVerified: false }, after: { emailVerified: true }, call });
    await emitPerson(tx, { type: 'user.verified', userId, payload: { userId }, call });
  });
}

/** Owes a person a new link to confirm their address; whoever sends it drops it when there is nothing to confirm. */
export async function requestVerification(
  db: Database,
  person: Pick<Person, 'id' | 'email'>,
  call: CallInfo,
): Promise<void> {
  const { id: userId, email } = person;
  await db.person(userId, (tx) => queueMail(tx, { kind: 'verify-email', email, userId, requestId: call.requestId }));
}

/** Owes whoever has `email` a link to choose a new password: one insert, whether anybody has it or not. */
export async function requestReset(db: Database, email: string, call: CallInfo): Promise<void> {
  await db.person(null, (tx) => queueMail(tx, { kind: 'reset-password', email, requestId: call.requestId }));
}

/** Whose password `token` may replace. Throws VALIDATION_FAILED naming the token; it is not used up. */
export async function ownerOfReset(db: Database, token: string): Promise<Person> {
  const [row] = await db.person(null, (tx) => tx.sql(resetTokenOwner, [secretHash(token)]));
  if (row === undefined) throw staleToken();
  return { id: row.user_id, email: row.email, username: row.username };
}

/** Uses up `token`: sets the password and ends every session and every other such token. Answers the ended sessions' hashes (hex). Throws VALIDATION_FAILED naming the token. */
export function resetByMail(
  db: Database,
  reset: { readonly token: string; readonly passwordHash: string },
  call: CallInfo,
): Promise<{ email: string; ended: readonly string[] }> {
  return db.person(null, async (tx) => {
    const [row] = await tx.sql(resetPassword, [secretHash(reset.token), reset.passwordHash]);
    if (row === undefined) throw staleToken();
    const { user_id: userId, email, ended_sessions: ended } = row;
    await auditAccount(tx, { userId, after: { credential: 'reset by mail', endedSessions: ended.length }, call });
    await queueMail(tx, { kind: 'password-changed', email, userId, requestId: call.requestId });
    return { email, ended };
  });
}

/** Sets the password of a person who proved the old one and ends their other sessions, whose hashes (hex) it answers. */
export function changeOwnPassword(
  db: Database,
  change: {
    readonly person: Pick<Person, 'id' | 'email'>;
    readonly passwordHash: string;
    readonly keepSessionId: string;
  },
  call: CallInfo,
): Promise<readonly string[]> {
  const { id: userId, email } = change.person;
  return db.person(userId, async (tx) => {
    const rows = await tx.sql(replacePassword, [userId, change.passwordHash, change.keepSessionId]);
    await auditAccount(tx, { userId, after: { credential: 'replaced', endedSessions: rows.length }, call });
    await queueMail(tx, { kind: 'password-changed', email, userId, requestId: call.requestId });
    return rows.map((row) => row.sid_hash);
  });
}

async function auditAccount(
  tx: SqlTx,
  change: {
    readonly userId: string;
    readonly before?: Readonly<Record<string, unknown>>;
    readonly after: Readonly<Record<string, unknown>>;
    readonly call: CallInfo;
  },
): Promise<void> {
  await auditPerson(tx, { ...change, action: 'update', entityType: 'users', entityId: change.userId });
}

function staleToken(): AppError {
  return new AppError('VALIDATION_FAILED', {
    detail: 'mailed token unknown, used or too old',
    issues: [{ path: 'token', message: 'is not valid, was used already or is too old' }],
    text: 'This link was used already or is too old; ask for a new one.',
  });
}
