/** Erasing a person: for good in the database, and in a list outside it that no restore can bring them back from. */
import type { CallInfo } from '@novax/db/actor';
import { auditPerson, emitPerson } from '@novax/db/queries/auth';
import { confirmPassword } from '@novax/db/queries/passwords';
import {
  erasePerson as eraseStatement,
  isFreshSession,
  markErasureRecorded,
  unrecordedErasures,
} from '@novax/db/queries/privacy';
import { instant } from '@novax/db/queries/instant';
import type { Database, SqlTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import type { BlobStore } from '../ports.ts';

export interface Erasure {
  readonly userId: string;
  readonly sessionId: string;
  /** The stored hash that the password given was verified against; null for an account without a password. */
  readonly verifiedHash: string | null;
  readonly call: CallInfo;
}

/**
 * Erases an account in one transaction: everything that tells who the person is goes, what they wrote stays with an author who has no name.
 * Throws FORBIDDEN when the password was changed meanwhile or the session of an account without one is older than ten minutes, CONFLICT naming
 * the organizations that must be handed over first.
 */
export async function erasePerson(db: Database, erasure: Erasure): Promise<void> {
  const { userId } = erasure;
  // Where from is no longer anybody's business.
  const call = { ...erasure.call, ip: null };
  await db.person(userId, async (tx) => {
    await proveSelf(tx, erasure);
    const [row] = await tx.sql(eraseStatement, [userId, call.requestId ?? '']);
    if (row?.outcome === 'owns') {
      throw new AppError('CONFLICT', {
        detail: `${userId} owns organizations that have other members`,
        text: `Hand over first what you own with others: ${(row.organizations ?? []).join(', ')}.`,
      });
    }
    if (row?.outcome !== 'erased') throw new AppError('UNAUTHENTICATED', { detail: `user ${userId} is gone` });
    const after = { reason: 'erased by themself' };
    await auditPerson(tx, { userId, action: 'delete', entityType: 'users', entityId: userId, after, call });
    await emitPerson(tx, { type: 'user.erased', userId, payload: { userId }, call });
  });
}

async function proveSelf(tx: SqlTx, { userId, sessionId, verifiedHash }: Erasure): Promise<void> {
  if (verifiedHash !== null) {
    const [row] = await tx.sql(confirmPassword, [userId, verifiedHash, null]);
    if (row?.confirmed === true) return;
    throw new AppError('FORBIDDEN', { detail: 'the password changed meanwhile', text: 'The password is wrong.' });
  }
  const [row] = await tx.sql(isFreshSession, [sessionId]);
  if (row?.fresh === true) return;
  throw new AppError('FORBIDDEN', {
    detail: 'session too old',
    text: 'Sign in again, then repeat this within ten minutes.',
  });
}

/** Where the list of the erased names a person. */
export function erasureKey(userId: string): string {
  return `${erasuresPrefix}${userId}.json`;
}
export const erasuresPrefix = 'erasures/';

/** Names in the store those who were erased and are not named there yet; the answer counts them. May stop and be repeated anywhere. */
export async function recordErasures(parts: {
  readonly db: Database;
  readonly blobs: BlobStore;
  /** Aborted: nobody further is named, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}): Promise<number> {
  const { db, blobs } = parts;
  const reason = 'erasures belong to no organization';
  let recorded = 0;
  for (;;) {
    const rows = await db.inSystem(reason, (tx) => tx.sql(unrecordedErasures, [100]));
    for (const { user_id: userId, erased_at: erasedAt } of rows) {
      parts.signal?.throwIfAborted();
      const entry = { userId, erasedAt: instant(erasedAt) };
      await blobs.put(erasureKey(userId), Buffer.from(`${JSON.stringify(entry)}\n`), 'application/json');
      // After the put: named twice is harmless, not at all is not.
      await db.inSystem(reason, (tx) => tx.sql(markErasureRecorded, [userId]));
      recorded += 1;
    }
    if (rows.length < 100) return recorded;
  }
}
