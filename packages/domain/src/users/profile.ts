/** What people change about themselves. */
import type { CallInfo } from '@novax/db/actor';
import { constraintOf } from '@novax/db/errors';
import { auditPerson } from '@novax/db/queries/auth';
import { updateSelf } from '@novax/db/queries/privacy';
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
      const [row] = await tx.sql(updateSelf, [
        userId,
        username ?? null,
        username?.toLowerCase() ?? null,
        profileMetadata === undefined ? null : JSON.stringify(profileMetadata),
      ]);
      if (row === undefined) throw new AppError('UNAUTHENTICATED', { detail: `user ${userId} is not active` });
      const after = {
        ...(username === undefined ? {} : { username }),
        ...(profileMetadata === undefined ? {} : { profileMetadata }),
      };
      if (Object.keys(after).length > 0)
        await auditPerson(tx, { userId, action: 'update', entityType: 'users', entityId: userId, after, call });
      return { id: row.id, username: row.username, profileMetadata: row.profile_metadata };
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
