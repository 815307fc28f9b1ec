/** Handlers of `audit`. */
import { instant } from '@novax/db/queries/instant';
import { exportTrail, listAudit, verifyTrail } from '@novax/domain/audit/queries';
import type { Handlers } from '../context.ts';
import { mutable } from './tenants.ts';

export const auditHandlers: Handlers['audit'] = {
  list: async ({ reader, services: { personKeys } }, input) => mutable(await listAudit({ reader, personKeys }, input)),
  export: ({ tx, services }, input) => exportTrail(tx, services.personKeys, input),
  async verify({ tx, services }) {
    const { seals, entries, pending, head, firstBroken } = await verifyTrail(tx, services);
    const anchoredAt = head?.anchoredAt ?? null;
    return {
      ok: firstBroken === null,
      seals,
      entries,
      pending,
      head: head && { ...head, anchoredAt: anchoredAt && instant(anchoredAt) },
      firstBroken,
    };
  },
};
