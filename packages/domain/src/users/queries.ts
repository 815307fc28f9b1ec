/** Reads about the signed-in person. */
import { getSelf } from '@novax/db/queries/users';
import { AppError } from '@novax/runtime/errors';
import type { Reader } from '../reader.ts';

/** Who the caller is. Throws UNAUTHENTICATED when the account is gone. */
export async function readSelf(reader: Reader) {
  const [row] = await reader.read(getSelf, [reader.userId]);
  if (row === undefined) throw new AppError('UNAUTHENTICATED', { detail: `user ${reader.userId} has no row` });
  const { id, email, username, status, organizations } = row;
  return {
    id,
    email,
    username,
    status,
    organizations,
    emailVerified: row.email_verified,
    secondFactor: row.second_factor,
    profileMetadata: row.profile_metadata,
    createdAt: row.created_at,
  };
}
