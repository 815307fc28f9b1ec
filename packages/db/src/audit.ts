/** The audit trail: one row per change, in the change's own transaction. */
import type { Actor, CallInfo } from './actor.ts';
import { statement, type Statement, type Value } from './statement.ts';

export type AuditAction = 'create' | 'update' | 'delete' | 'access';

export interface AuditEntry {
  readonly action: AuditAction;
  /** Table name. */
  readonly entityType: string;
  readonly entityId: string;
  /** What the row held before, changed fields only; null for a creation. */
  readonly before: Readonly<Record<string, unknown>> | null;
  /** What it holds now, changed fields only; null for a deletion. */
  readonly after: Readonly<Record<string, unknown>> | null;
}

/** Fields that never stand in the trail, whatever the table. */
const secretField = /(password|secret|token|hash|key$)/i;
/** Levels of open JSON that are kept; what lies deeper is left out. */
const depthMax = 10;
/** Longer text is replaced by its length: the trail says that it changed, the version history says how. */
const textMax = 500;

/** The fields that may be kept, at every level, long text shortened to its length. */
export function auditable(fields: Readonly<Record<string, unknown>>, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([name]) => !secretField.test(name))
      .map(([name, value]) => [name, keepable(value, depth)]),
  );
}

function keepable(value: unknown, depth: number): unknown {
  if (typeof value === 'string' && value.length > textMax) return { length: value.length };
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (depth >= depthMax) return { levels: 'left out' };
  if (Array.isArray(value)) return value.map((item: unknown) => keepable(item, depth + 1));
  // An object that is no list has named fields, whatever they hold.
  return auditable(value as Readonly<Record<string, unknown>>, depth + 1);
}

/** The pairs that differ between two states of a row, ready for an entry. */
export function difference(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): Pick<AuditEntry, 'before' | 'after'> {
  const changed = Object.keys(after).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const pick = (from: Readonly<Record<string, unknown>>) =>
    auditable(Object.fromEntries(changed.map((name) => [name, from[name]])));
  return { before: pick(before), after: pick(after) };
}

/** Seals a text under a person's key; null when that is no longer possible. */
export type Seal = (personId: string, text: string) => Promise<string | null>;

/** Fields that tell who somebody is or how to reach them, in any table. */
const personalFields = new Set([
  'email',
  'username',
  'userAgent',
  'ipAddress',
  'profileMetadata',
  'displayName',
  'avatarUrl',
]);

/** A personal value as it stands in the trail: `$sealed` is null when it could not be sealed. */
export interface SealedValue {
  readonly $sealed: string | null;
  readonly person: string;
}

/** True for a field that the trail keeps sealed. */
export function isPersonal(field: string): boolean {
  return personalFields.has(field);
}

/** An entry as it is stored: without secrets, personal fields sealed under the key of the person they are about, or of the one who acts. */
export async function storableEntry(
  entry: AuditEntry,
  actorId: string | null,
  seal: Seal,
): Promise<{ old_value: Record<string, unknown> | null; new_value: Record<string, unknown> | null }> {
  const person = entry.entityType === 'users' ? entry.entityId : actorId;
  const stored = async (fields: AuditEntry['before']): Promise<Record<string, unknown> | null> => {
    if (fields === null) return null;
    const pairs: [string, unknown][] = [];
    for (const [name, value] of Object.entries(auditable(fields)))
      pairs.push([name, isPersonal(name) && value !== null ? await sealValue(value, person, seal) : value]);
    return Object.fromEntries(pairs);
  };
  return { old_value: await stored(entry.before), new_value: await stored(entry.after) };
}

async function sealValue(value: unknown, person: string | null, seal: Seal): Promise<SealedValue | null> {
  // Of nobody there is no key, so nothing personal may be kept.
  if (person === null || value === undefined) return null;
  return { $sealed: await seal(person, JSON.stringify(value)), person };
}

/** The full address of a call, sealed for the person who made it, as JSON for the column `sealed`; empty when there is neither. */
export async function sealedAddress(call: CallInfo, actorId: string | null, seal: Seal): Promise<string> {
  if (call.ip === null || actorId === null) return '';
  const ip = await seal(actorId, call.ip);
  return ip === null ? '' : JSON.stringify({ ip });
}

/** Inserts entries of one organization; the policy admits them only for the caller and the organization of the transaction. Of the address it keeps the network. */
export const insertAudit: Statement<Record<string, never>> = statement(
  'insert_audit',
  `insert into audit_log (org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, new_value, ip_address, request_id, sealed, api_key_id)
   select $1::uuid, $2, nullif($3, '')::uuid, e.action, e.entity_type, e.entity_id, e.old_value, e.new_value,
          network(set_masklen(c.ip, case family(c.ip) when 4 then 24 else 48 end)), nullif($5, ''), nullif($7, '')::jsonb, nullif($8, '')::uuid
     from jsonb_to_recordset($6::jsonb) as e(action text, entity_type text, entity_id uuid, old_value jsonb, new_value jsonb),
          (select nullif($4, '')::inet as ip) c`,
);

/** Values of `insertAudit`. */
export async function auditValues(
  context: { readonly orgId: string; readonly actor: Actor; readonly call: CallInfo },
  entries: readonly AuditEntry[],
  seal: Seal,
): Promise<Value[]> {
  const { orgId, actor, call } = context;
  const rows = [];
  for (const entry of entries)
    rows.push({
      action: entry.action,
      entity_type: entry.entityType,
      entity_id: entry.entityId,
      ...(await storableEntry(entry, actor.userId, seal)),
    });
  return [
    orgId,
    actor.type,
    actor.userId ?? '',
    call.ip ?? '',
    call.requestId ?? '',
    JSON.stringify(rows),
    await sealedAddress(call, actor.userId, seal),
    actor.apiKeyId ?? '',
  ];
}
