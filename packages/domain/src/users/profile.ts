/** What people change about themselves. */
import type { CallInfo } from '@novax/db/actor';
import { constraintOf } from '@novax/db/errors';
import { auditPerson } from '@novax/db/queries/auth';
import { difference } from '@novax/db/audit';
import { holdSelf, updateSelf } from '@novax/db/queries/privacy';
import type { Database } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';

/** Changes what is given and leaves the rest. Throws ALREADY_EXISTS for a user name that somebody has, UNAUTHENTICATED when the account is gone. */
export async function updateProfile(
  db: Database,
  userId: string,
  change: {
    readonly username?: string | undefined;
    readonly profileMetadata?: Readonly<Record<string, unknown>> | undefined;
    readonly call: CallInfo;
  },
) {
  const { username, profileMetadata, call } = change;
  try {
    return await db.person(userId, async (tx) => {
      const [held] = await tx.sql(holdSelf, [userId]);
      const [row] = await tx.sql(updateSelf, [
        userId,
        username ?? null,
        username?.toLowerCase() ?? null,
        profileMetadata === undefined ? null : JSON.stringify(profileMetadata),
      ]);
      if (held === undefined || row === undefined)
        throw new AppError('UNAUTHENTICATED', { detail: `user ${userId} is not active` });
      const { before, after } = difference(fieldsOf(held), fieldsOf(row));
      if (before !== null && after !== null && Object.keys(after).length > 0)
        await auditPerson(tx, { userId, action: 'update', entityType: 'users', entityId: userId, before, after, call });
      return { id: row.id, ...fieldsOf(row) };
    });
  } catch (thrown) {
    if (constraintOf(thrown) !== 'idx_users_username_normalized') throw thrown;
    throw new AppError('ALREADY_EXISTS', {
      cause: thrown,
      issues: [{ path: 'username', message: 'is taken' }],
      text: 'That username is taken.',
    });
  }
}

function fieldsOf<P>({ username, profile_metadata: profileMetadata }: { username: string; profile_metadata: P }) {
  return { username, profileMetadata };
}
