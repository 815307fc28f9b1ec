/** Who may change an organization's people, asked again once nobody else can. */
import { roleMay } from '@novax/contracts/permissions';
import { holdMembers } from '@novax/db/queries/members';
import type { TenantTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';

/** From here on nobody else changes who belongs to the organization. Throws FORBIDDEN or NOT_FOUND for an actor who is no admin any more. */
export async function holdAsManager(tx: TenantTx): Promise<void> {
  const role = await holdMembers(tx);
  if (!roleMay(role, 'member:manage'))
    throw new AppError('FORBIDDEN', { detail: `${role} may not manage members any more` });
}
