/** Long answers read page by page, outside any transaction, and statements for one organization. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { rowsOf, type Connection } from '../database/connect.ts';
import type { DifferenceKind, DifferingRow } from './projection.ts';

const pageRows = 500;

/** The rows of a query as they were when it began, page after page, while other statements run on the same connection. */
export async function* pagesOf<Row extends pg.QueryResultRow>(
  client: Connection,
  sql: string,
  values: readonly unknown[],
): AsyncGenerator<readonly Row[]> {
  const cursor = `novax_${randomUUID().replaceAll('-', '')}`;
  await client.query(`declare ${cursor} no scroll cursor with hold for ${sql}`, [...values]);
  try {
    for (;;) {
      const page = await rowsOf<Row>(client, `fetch ${pageRows} from ${cursor}`);
      if (page.length > 0) yield page;
      if (page.length < pageRows) return;
    }
  } finally {
    await client.query(`close ${cursor}`).catch(() => undefined);
  }
}

/** A row of the functions `private.…_difference`. */
export interface FoundRow extends pg.QueryResultRow {
  readonly kind: DifferenceKind;
  readonly org_id: string;
  readonly id: string;
}

/** The row as every projection answers it. */
export function asDiffering({ kind, org_id: organizationId, id }: FoundRow): DifferingRow {
  return { kind, organizationId, id };
}

/** Runs `work` in one transaction that sees one organization. */
export async function inOrganization<T>(client: Connection, orgId: string, work: () => Promise<T>): Promise<T> {
  await client.query('begin');
  try {
    await client.query(`select set_config('app.current_org_id', $1, true)`, [orgId]);
    const result = await work();
    await client.query('commit');
    return result;
  } catch (thrown) {
    await client.query('rollback').catch(() => undefined);
    throw thrown;
  }
}
