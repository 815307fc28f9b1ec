/** People as an operator sees them: found, suspended, restored, through the definer functions made for it. */
import type pg from 'pg';
import { rowOf, rowsOf } from '../database/connect.ts';

export interface FoundUser {
  readonly id: string;
  readonly email: string;
  readonly username: string;
  readonly status: string;
  readonly liveSessions: number;
  readonly createdAt: string;
}

/** Most people a list shows. */
export const LIST_MAX = 1000;

/** People by address or id; with null those who are suspended, newest first, `LIST_MAX` at most. */
export async function findUsers(client: pg.ClientBase, text: string | null): Promise<FoundUser[]> {
  const rows = await rowsOf<
    Omit<FoundUser, 'liveSessions' | 'createdAt'> & { live_sessions: string; created_at: Date }
  >(client, 'select id, email, username, status, live_sessions, created_at from private.find_users($1, $2)', [
    text,
    LIST_MAX,
  ]);
  return rows.map(({ id, email, username, status, live_sessions, created_at }) => ({
    id,
    email,
    username,
    status,
    liveSessions: Number(live_sessions),
    createdAt: created_at.toISOString(),
  }));
}

/** `done`, or the status that stood in the way, or `unknown`. */
export interface StatusChange {
  readonly outcome: 'done' | 'active' | 'suspended' | 'deleted' | 'unknown';
  readonly endedSessions: number;
}

/** Suspends an active person, whose sessions end in the same transaction, or restores a suspended one; audited as `system`. */
export async function setSuspended(
  client: pg.ClientBase,
  change: { readonly userId: string; readonly suspended: boolean; readonly reason: string | null },
): Promise<StatusChange> {
  const row = await rowOf<{ outcome: StatusChange['outcome']; ended_sessions: string }>(
    client,
    'select outcome, ended_sessions from private.set_user_suspended($1, $2, $3)',
    [change.userId, change.suspended, change.reason],
  );
  return { outcome: row.outcome, endedSessions: Number(row.ended_sessions) };
}
