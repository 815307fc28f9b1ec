/** The memberships that every policy reads, against the members of organizations. */
import { isTransient } from '@novax/db/errors';
import { retry } from '@novax/runtime/retry';
import type { Projection } from './projection.ts';
import { asDiffering, type FoundRow, pagesOf } from './rows.ts';

export const memberships: Projection = {
  name: 'memberships',
  about: 'app.memberships, of org_members',
  mends: 'at once',
  absent: () => null,
  async *differences({ client, organizationId }) {
    const sql = 'select kind, org_id, id from private.memberships_difference($1) order by org_id, id';
    for await (const page of pagesOf<FoundRow>(client, sql, [organizationId])) yield page.map(asDiffering);
  },
  async rebuild({ client, organizationId, signal }) {
    // Members change all the time, and each change holds the lock that this needs for a moment.
    await retry(() => client.query('select private.mend_memberships($1)', [organizationId]), {
      attempts: 10,
      baseMs: 50,
      capMs: 1_000,
      when: isTransient,
      signal,
    });
  },
};
