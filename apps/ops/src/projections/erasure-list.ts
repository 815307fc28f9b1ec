/** The list, outside the database, of people who were erased: a restore erases whom it names. */
import { newId } from '@novax/runtime/ids';
import { erasedPeople } from '../backup/restore-erasures.ts';
import type { Projection, ProjectionParts } from './projection.ts';
import { pagesOf } from './rows.ts';

interface Erased {
  readonly id: string;
  readonly settled: boolean;
}

/** Ids of people whom the list does not name. That it names others is what it is for: the database may be older than the list. */
async function* unnamed({ client, files, organizationId }: ProjectionParts): AsyncGenerator<readonly string[]> {
  if (files === null || organizationId !== null) return;
  const named = new Set<string>();
  for await (const id of erasedPeople(files)) named.add(id);
  for await (const page of pagesOf<Erased>(client, 'select * from private.erased_people() order by id', [])) {
    const ids = page.flatMap(({ id, settled }) => (settled && !named.has(id) ? [id] : []));
    if (ids.length > 0) yield ids;
  }
}

export const erasureList: Projection = {
  name: 'erasure-list',
  about: 'erasures/ in the file store, of erasures',
  mends: 'by workers',
  absent({ files, organizationId }) {
    if (organizationId !== null) return 'belongs to no organization';
    return files === null ? 'no file store is configured' : null;
  },
  async *differences(parts) {
    for await (const ids of unnamed(parts))
      yield ids.map((id) => ({ kind: 'missing' as const, organizationId: null, id }));
  },
  async rebuild(parts) {
    for await (const ids of unnamed(parts)) await parts.client.query('select private.owe_erasure_records($1)', [ids]);
    // Not to wait for the schedule, which comes every minute.
    const queue = await parts.queue();
    await queue.add([{ name: 'record-erasures', id: `record-erasures-${newId()}`, payload: {} }]);
  },
};
