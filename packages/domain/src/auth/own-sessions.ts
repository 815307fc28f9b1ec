/** The places where a person is signed in: shown to them, and ended one by one. */
import type { Page } from '@novax/contracts/page';
import type { CallInfo } from '@novax/db/actor';
import { auditPerson } from '@novax/db/queries/auth';
import { readCursor, toPage } from '@novax/db/queries/cursor';
import { listSessions as listStatement, revokeLiveSession } from '@novax/db/queries/sessions';
import type { Database } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import type { Reader } from '../reader.ts';

export interface OwnSession {
  readonly id: string;
  /** True for the session that asks. */
  readonly current: boolean;
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  readonly createdAt: string;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
}

/** The reader's live sessions, newest first; `currentId` is the one that asks. Throws VALIDATION_FAILED for a cursor that is none. */
export async function listOwnSessions(
  reader: Reader,
  input: { readonly currentId: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<OwnSession>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listStatement, [reader.userId, at, id, input.limit + 1]);
  return toPage(rows, input.limit, (row) => ({
    id: row.id,
    current: row.id === input.currentId,
    ipAddress: row.ip_address,
    userAgent: row.user_agent,
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at,
    expiresAt: row.expires_at,
  }));
}

/** Ends a live session of the person, with its audit row. Throws NOT_FOUND for another's, an unknown and a dead one alike. */
export async function revokeOwnSession(
  db: Database,
  session: { readonly userId: string; readonly id: string },
  call: CallInfo,
): Promise<void> {
  const { userId, id } = session;
  await db.person(userId, async (tx) => {
    const [row] = await tx.sql(revokeLiveSession, [id, 'revoked']);
    // False when somebody else was faster by a moment.
    if (row?.ended !== true) throw new AppError('NOT_FOUND', { detail: `session ${id}` });
    await auditPerson(tx, {
      userId,
      action: 'delete',
      entityType: 'sessions',
      entityId: id,
      after: { reason: 'revoked' },
      call,
    });
  });
}
