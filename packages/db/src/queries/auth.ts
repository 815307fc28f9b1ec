/** The named functions that stand before a caller is known: accounts, sessions, refresh tokens, and their trail. */
import { events, type EventPayload, type EventType } from '@novax/contracts/events/registry';
import { newId } from '@novax/runtime/ids';
import type { CallInfo } from '../actor.ts';
import { sealedAddress, storableEntry, type AuditAction } from '../audit.ts';
import { statement } from '../statement.ts';
import type { SqlTx } from '../tx.ts';

/** Values: id, e-mail, e-mail lower case, username, username lower case, password hash. Raises unique_violation for a taken e-mail or username. */
export const registerUser = statement<{ id: string }>(
  'register_user',
  'select id from private.register_user($1::uuid, $2, $3, $4, $5, $6)',
);

/** Values: e-mail lower case. */
export const loginLookup = statement<{
  user_id: string;
  password_hash: string;
  status: 'active' | 'suspended';
  email: string;
  username: string;
}>('login_lookup', 'select user_id, password_hash, status, email, username from private.login_lookup($1)');

/** Values: id, hash of the secret id, user, address, user agent, idle end, absolute end. */
export const createSession = statement<{ id: string }>(
  'create_session',
  `select private.create_session($1::uuid, $2::bytea, $3::uuid, nullif($4, '')::inet, nullif($5, ''), $6::timestamptz, $7::timestamptz) as id`,
);

/** Values: hash of the secret id. */
export const sessionByHash = statement<{
  session_id: string;
  user_id: string;
  user_status: string;
  expires_at: string | Date;
  revoked_at: string | Date | null;
}>(
  'session_by_hash',
  'select session_id, user_id, user_status, expires_at, revoked_at from private.session_by_hash($1::bytea)',
);

/** Values: id, session, family, token hash, end. */
export const createRefreshToken = statement<{ id: string }>(
  'create_refresh_token',
  'select private.create_refresh_token($1::uuid, $2::uuid, $3::uuid, $4::bytea, $5::timestamptz) as id',
);

/** Values: hash of the token given, id and hash of its successor, idle seconds. The transaction must commit whatever the outcome. */
export const rotateRefreshToken = statement<{
  outcome: 'rotated' | 'reused' | 'expired' | 'unknown';
  session_id: string | null;
  user_id: string | null;
}>(
  'rotate_refresh_token',
  'select outcome, session_id, user_id from private.rotate_refresh_token($1::bytea, $2::uuid, $3::bytea, make_interval(secs => $4::float8))',
);

/** Values: hash of the secret id, reason. */
export const revokeSessionByHash = statement<{ ended: boolean }>(
  'revoke_session_by_hash',
  'select private.revoke_session_by_hash($1::bytea, $2) as ended',
);

const auditSystem = statement<Record<string, never>>(
  'audit_system',
  `select private.audit_system($1, nullif($2, '')::uuid, $3, $4, $5::uuid, nullif($6, '')::jsonb, $7::jsonb, nullif($8, '')::inet, nullif($9, ''), nullif($10, '')::jsonb)`,
);
const eventSystem = statement<Record<string, never>>(
  'event_system',
  `select private.event_system($1::uuid, $2, $3, $4::uuid, $5::int, $6::smallint, $7::jsonb, 'user', $4::uuid, nullif($8, ''), nullif($9, ''), null, $10::timestamptz)`,
);

/** An audit row about a person, who is also the actor; what is personal in it is sealed under their key. */
export async function auditPerson(
  tx: SqlTx,
  entry: {
    readonly userId: string;
    readonly action: AuditAction;
    readonly entityType: string;
    readonly entityId: string;
    /** Optional: what the changed fields held; nothing of it is told of secrets. */
    readonly before?: Readonly<Record<string, unknown>>;
    readonly after: Readonly<Record<string, unknown>>;
    readonly call: CallInfo;
  },
): Promise<void> {
  const { userId, action, entityType, entityId, call } = entry;
  const stored = await storableEntry({ ...entry, before: entry.before ?? null }, userId, tx.seal);
  await tx.sql(auditSystem, [
    'user',
    userId,
    action,
    entityType,
    entityId,
    stored.old_value === null ? '' : JSON.stringify(stored.old_value),
    JSON.stringify(stored.new_value),
    call.ip ?? '',
    call.requestId ?? '',
    await sealedAddress(call, userId, tx.seal),
  ]);
}

/** An event about a person, who is also the actor; it belongs to no organization. */
export async function emitPerson<T extends EventType>(
  tx: SqlTx,
  event: { readonly type: T; readonly userId: string; readonly payload: EventPayload<T>; readonly call: CallInfo },
): Promise<void> {
  const { type, userId, payload, call } = event;
  const { aggregate, version, payload: schema } = events[type];
  await tx.sql(eventSystem, [
    newId(),
    type,
    aggregate,
    userId,
    1,
    version,
    JSON.stringify(schema.parse(payload)),
    call.requestId ?? '',
    call.traceparent ?? '',
    tx.now,
  ]);
}
