/** Reads of the audit trail by those who answer for an organization; the policy shows them theirs and nobody else's. */
import type { AuditEntryView } from '@novax/contracts/api/audit';
import { AppError } from '@novax/runtime/errors';
import { statement } from '../statement.ts';

export interface AuditRow {
  readonly id: string;
  readonly actor_type: AuditEntryView['actorType'];
  readonly actor_id: string | null;
  readonly api_key_id: string | null;
  readonly action: AuditEntryView['action'];
  readonly entity_type: string;
  readonly entity_id: string;
  readonly old_value: Readonly<Record<string, unknown>> | null;
  readonly new_value: Readonly<Record<string, unknown>> | null;
  readonly network: string | null;
  readonly request_id: string | null;
  readonly created_at: string | Date;
  /** `created_at` with every microsecond. */
  readonly cursor_at: string;
}

const columns = `a.id::text, a.actor_type, a.actor_id, a.api_key_id, a.action, a.entity_type, a.entity_id, a.old_value, a.new_value,
          network(set_masklen(a.ip_address, least(masklen(a.ip_address), case family(a.ip_address) when 4 then 24 else 48 end)))::text as network,
          a.request_id, a.created_at, a.created_at::text as cursor_at`;
const within = `a.org_id = $1::uuid and a.created_at >= coalesce(nullif($2, ''), '-infinity')::timestamptz
      and a.created_at < coalesce(nullif($3, ''), 'infinity')::timestamptz`;

/** Newest first. Values: organization, from, to, cursor's time and id, rows at most, kind, thing, actor; empty text where a filter is absent. */
export const listAudit = statement<AuditRow>(
  'list_audit',
  `select ${columns} from audit_log a
    where ${within} and (a.created_at, a.id) < ($4::timestamptz, $5::bigint)
      and ($7 = '' or a.entity_type = $7) and ($8 = '' or a.entity_id = nullif($8, '')::uuid) and ($9 = '' or a.actor_id = nullif($9, '')::uuid)
    order by a.created_at desc, a.id desc limit $6`,
);

/** Oldest first. Values: organization, from, to, cursor's time and id, rows at most. */
export const exportAudit = statement<AuditRow>(
  'export_audit',
  `select ${columns} from audit_log a
    where ${within} and (a.created_at, a.id) > ($4::timestamptz, $5::bigint)
    order by a.created_at, a.id limit $6`,
);

interface AuditKeyset {
  readonly at: string;
  readonly id: string;
}

const ends: Readonly<Record<'newest' | 'oldest', AuditKeyset>> = {
  newest: { at: 'infinity', id: '9223372036854775807' },
  oldest: { at: '-infinity', id: '0' },
};

const shape = /^(\d{4}-\d\d-\d\d [\d:.]+(?:[+-]\d\d(?::\d\d)?)?)\|(\d{1,19})$/;

/** Where a page begins; absent means at that end of the trail. Throws VALIDATION_FAILED for a cursor we did not make. */
export function readAuditCursor(cursor: string | undefined, first: 'newest' | 'oldest'): AuditKeyset {
  if (cursor === undefined) return ends[first];
  const [, at, id] = shape.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? [];
  if (at === undefined || id === undefined || BigInt(id) > BigInt(ends.newest.id)) {
    throw new AppError('VALIDATION_FAILED', {
      issues: [{ path: 'cursor', message: 'Pass back what nextCursor held.' }],
    });
  }
  return { at, id };
}

/** Where the page after these rows begins; null when they were the last ones: `rows` may hold one more than the page. */
export function nextAuditCursor(rows: readonly AuditRow[], limit: number): string | null {
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return null;
  return Buffer.from(`${last.cursor_at}|${last.id}`).toString('base64url');
}
