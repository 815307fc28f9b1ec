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

/** Inserts entries of one organization; the policy admits them only for the caller and the organization of the transaction. */
export const insertAudit: Statement<Record<string, never>> = statement(
  'insert_audit',
  `insert into audit_log (org_id, actor_type, actor_id, action, entity_type, entity_id, old_value, new_value, ip_address, request_id, api_key_id)
   select $1::uuid, $2, nullif($3, '')::uuid, e.action, e.entity_type, e.entity_id, e.old_value, e.new_value, nullif($4, '')::inet, nullif($5, ''), nullif($7, '')::uuid
     from jsonb_to_recordset($6::jsonb) as e(action text, entity_type text, entity_id uuid, old_value jsonb, new_value jsonb)`,
);

/** Values of `insertAudit`. */
export function auditValues(
  context: { readonly orgId: string; readonly actor: Actor; readonly call: CallInfo },
  entries: readonly AuditEntry[],
): Value[] {
  const { orgId, actor, call } = context;
  const rows = entries.map((entry) => ({
    action: entry.action,
    entity_type: entry.entityType,
    entity_id: entry.entityId,
    old_value: entry.before && auditable(entry.before),
    new_value: entry.after && auditable(entry.after),
  }));
  return [
    orgId,
    actor.type,
    actor.userId ?? '',
    call.ip ?? '',
    call.requestId ?? '',
    JSON.stringify(rows),
    actor.apiKeyId ?? '',
  ];
}
