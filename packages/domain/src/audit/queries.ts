/** The audit trail for those who answer for an organization: shown, exported and checked. */
import type { AuditEntryView } from '@novax/contracts/api/audit';
import type { Page } from '@novax/contracts/page';
import { isPersonal, type SealedValue } from '@novax/db/audit';
import type { Ask, PersonKeys } from '@novax/db/person-keys';
import {
  exportAudit,
  listAudit as listStatement,
  nextAuditCursor,
  readAuditCursor,
  type AuditRow,
} from '@novax/db/queries/audit-trail';
import { instant } from '@novax/db/queries/instant';
import type { TenantTx } from '@novax/db/tx';
import type { Signer } from '@novax/runtime/signing';
import type { BlobStore } from '../ports.ts';
import type { Reader } from '../reader.ts';
import { readAnchors } from './anchors.ts';
import { verifyChain, type ChainVerdict } from './verify.ts';

/** Stands where a person's key was destroyed. */
const erased = '[erased]';
/** Anchors that a check over the network looks at, newest first: two days of them. */
const anchorsLookedAt = 48;

interface Span {
  readonly organizationId: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Entries of an organization, newest first, personal values opened. */
export async function listAudit(
  parts: { readonly reader: Reader; readonly personKeys: PersonKeys },
  input: Span & {
    readonly entityType?: string | undefined;
    readonly entityId?: string | undefined;
    readonly actorId?: string | undefined;
  },
): Promise<Page<AuditEntryView>> {
  const { reader, personKeys } = parts;
  const { entityType = '', entityId = '', actorId = '' } = input;
  const rows = await reader.read(listStatement, [...spanValues(input, 'newest'), entityType, entityId, actorId]);
  const items = await entryViews((statement, values) => reader.read(statement, values), {
    personKeys,
    rows: rows.slice(0, input.limit),
  });
  return { items, nextCursor: nextAuditCursor(rows, input.limit) };
}

/** A page of the trail as JSON lines, oldest first; leaves an entry of its own. */
export async function exportTrail(
  tx: TenantTx,
  personKeys: PersonKeys,
  input: Span,
): Promise<{ lines: string; count: number; nextCursor: string | null }> {
  const rows = await tx.sql(exportAudit, spanValues(input, 'oldest'));
  const views = await entryViews((statement, values) => tx.sql(statement, values), {
    personKeys,
    rows: rows.slice(0, input.limit),
  });
  const { from = null, to = null } = input;
  const range = { from, to, firstId: views[0]?.id ?? null, lastId: views.at(-1)?.id ?? null };
  recordAccess(tx, { export: { ...range, count: views.length } });
  return {
    lines: views.map((view) => `${JSON.stringify(view)}\n`).join(''),
    count: views.length,
    nextCursor: nextAuditCursor(rows, input.limit),
  };
}

/** Checks the organization's chain, against its anchors too where they are in reach; leaves an entry of its own. */
export async function verifyTrail(
  tx: TenantTx,
  parts: { readonly signer: Signer; readonly anchors: BlobStore | null },
): Promise<ChainVerdict> {
  const { signer, anchors } = parts;
  // A store that is away takes nothing from what the database itself can tell.
  const known = anchors && (await readAnchors(anchors, signer, anchorsLookedAt).catch(() => null));
  const verdict = await verifyChain(
    { ask: (statement, values) => tx.sql(statement, values), signer, anchored: known?.get(tx.orgId) ?? null },
    tx.orgId,
  );
  const { seals, entries, firstBroken } = verdict;
  recordAccess(tx, { verification: { seals, entries, firstBroken } });
  return verdict;
}

function recordAccess(tx: TenantTx, after: Readonly<Record<string, unknown>>): void {
  tx.audit({ action: 'access', entityType: 'audit_log', entityId: tx.orgId, before: null, after });
}

function spanValues(input: Span, first: 'newest' | 'oldest') {
  const { at, id } = readAuditCursor(input.cursor, first);
  return [input.organizationId, input.from ?? '', input.to ?? '', at, id, input.limit + 1];
}

async function entryViews(
  ask: Ask,
  page: { readonly personKeys: PersonKeys; readonly rows: readonly AuditRow[] },
): Promise<AuditEntryView[]> {
  const people = page.rows.flatMap((row) => [...sealedFor(row.old_value), ...sealedFor(row.new_value)]);
  const open = await page.personKeys.opener(ask, people);
  const shown = (fields: AuditRow['old_value']): AuditEntryView['before'] =>
    fields && openFields(fields, ({ person, $sealed }) => ($sealed === null ? null : open(person, $sealed)));
  return page.rows.map((row) => ({
    id: row.id,
    actorType: row.actor_type,
    actorId: row.actor_id,
    apiKeyId: row.api_key_id,
    action: row.action,
    entityType: row.entity_type,
    entityId: row.entity_id,
    before: shown(row.old_value),
    after: shown(row.new_value),
    network: row.network,
    requestId: row.request_id,
    createdAt: instant(row.created_at),
  }));
}

function sealedFor(fields: AuditRow['old_value']): string[] {
  return Object.entries(fields ?? {}).flatMap(([name, value]) => (isSealed(name, value) ? [value.person] : []));
}

/** Only fields that are always sealed are looked at, so that nobody's open JSON can pass for a sealed value. */
function isSealed(name: string, value: unknown): value is SealedValue {
  return isPersonal(name) && typeof value === 'object' && value !== null && '$sealed' in value && 'person' in value;
}

function openFields(
  fields: Readonly<Record<string, unknown>>,
  open: (value: SealedValue) => string | null,
): NonNullable<AuditEntryView['before']> {
  const pairs = Object.entries(fields).map(([name, value]): [string, unknown] => {
    if (!isSealed(name, value)) return [name, value];
    const text = open(value);
    return [name, text === null ? erased : JSON.parse(text)];
  });
  // What the trail holds was JSON when it was stored; `fromEntries` defines, so no name can reach a prototype.
  return Object.fromEntries(pairs) as NonNullable<AuditEntryView['before']>;
}
