/** The archive of everything the platform holds about a person. */
import type { CallInfo } from '@novax/db/actor';
import { auditPerson } from '@novax/db/queries/auth';
import { exportPage, exportSections, type Json } from '@novax/db/queries/privacy';
import type { Database, SqlTx } from '@novax/db/tx';
import { only } from '@novax/runtime/invariant';

/** Rows read at once: documents may be large, and one statement must not run into its time-out. */
const pageRows = 200;

/** Opens what was sealed under a person's key; null where the key is not there. */
export type OpenSealed = (personId: string, sealed: string) => string | null;

/** The archive as the contract describes it. Reading it is itself a line in the trail. `opener` is asked once, inside the transaction. */
export async function exportPerson(
  db: Database,
  userId: string,
  by: { readonly call: CallInfo; readonly opener: (tx: SqlTx) => Promise<OpenSealed> },
) {
  return db.person(userId, async (tx) => {
    const [account] = await tx.sql(exportPage, ['account', '', 1]);
    const open = await by.opener(tx);
    const sections: Record<string, Record<string, Json>[]> = {};
    for (const section of exportSections) {
      const items = await wholeSection(tx, section);
      sections[section] = section === 'auditTrail' ? items.map((item) => opened(item, open)) : items;
    }
    const after = { format: 'novax-person-1' };
    await auditPerson(tx, { userId, action: 'access', entityType: 'users', entityId: userId, after, call: by.call });
    return {
      generatedAt: tx.now.toISOString(),
      format: 'novax-person-1' as const,
      person: only(account === undefined ? [] : [account.item], 'export_person'),
      sections,
    };
  });
}

async function wholeSection(tx: SqlTx, section: string): Promise<Record<string, Json>[]> {
  const items: Record<string, Json>[] = [];
  for (let place = ''; ;) {
    const rows = await tx.sql(exportPage, [section, place, pageRows]);
    for (const { item } of rows) items.push(item);
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageRows) return items;
    place = last.place;
  }
}

/** The same with every `{ $sealed, person }` replaced by what it holds, or by null when nobody can tell any more. */
function opened(fields: Readonly<Record<string, Json>>, open: OpenSealed): Record<string, Json> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, openedValue(value, open)]));
}

function openedValue(value: Json, open: OpenSealed): Json {
  if (Array.isArray(value)) return value.map((item) => openedValue(item, open));
  if (typeof value !== 'object' || value === null) return value;
  const { $sealed: sealed, person } = value;
  if (sealed === undefined || typeof person !== 'string') return opened(value, open);
  const text = typeof sealed === 'string' ? open(person, sealed) : null;
  return text === null ? null : plain(text);
}

/** Fields are sealed as JSON, addresses as they are. */
function plain(text: string): Json {
  try {
    // JSON it is, or an exception.
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
