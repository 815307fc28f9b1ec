/** What can be done about API keys. */
import { actions, roleMay, type Action } from '@novax/contracts/permissions';
import { apiKeyView, holdApiKey, insertApiKey, revokeApiKey as revokeStatement } from '@novax/db/queries/api-keys';
import { ownMembership } from '@novax/db/queries/organizations';
import type { TenantTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';
import { invariant } from '@novax/runtime/invariant';
import { secretHash } from '../auth/sessions.ts';
import { newKeyText } from './key-text.ts';

const dayMs = 24 * 60 * 60 * 1000;
const lifeDays = 90;
const lifeDaysMax = 365;

/**
 * Makes a key of the transaction's organization that acts as the actor; its text is answered here and never again, only its hash is stored.
 * A key made through a key has no scope and no day more than that one.
 * Throws FORBIDDEN for a scope that the actor has not, VALIDATION_FAILED for an end that is past or more than a year away.
 */
export async function createApiKey(
  tx: TenantTx,
  input: { readonly name: string; readonly scopes: readonly Action[]; readonly expiresAt?: string | undefined },
): Promise<ReturnType<typeof apiKeyView> & { key: string }> {
  const { userId } = tx.actor;
  invariant(userId !== null, 'a key has a maker');
  const own = await grantable(tx);
  const scopes = [...new Set(input.scopes)];
  const beyond = scopes.filter((scope) => !own.scopes.has(scope));
  if (beyond.length > 0)
    throw new AppError('FORBIDDEN', {
      detail: `cannot pass on ${beyond.join(', ')}`,
      text: `A key may do no more than its maker: leave out ${beyond.join(', ')}.`,
    });
  const expiresAt = endOf(tx.now, input.expiresAt, own.until);
  const { key, prefix } = newKeyText();
  const id = newId();
  const values = [id, tx.orgId, userId, input.name, prefix, secretHash(key), scopes, expiresAt];
  const [row] = await tx.sql(insertApiKey, values);
  invariant(row !== undefined, 'an insert answers its row');
  tx.audit({
    action: 'create',
    entityType: 'api_keys',
    entityId: id,
    before: null,
    after: { name: input.name, prefix, scopes, expiresAt },
  });
  return { ...apiKeyView(row), key };
}

/** Ends a key for good; ending it twice is harmless. The gate has seen that there is one. */
export async function revokeApiKey(tx: TenantTx, id: string): Promise<void> {
  const [revoked] = await tx.sql(revokeStatement, [tx.orgId, id]);
  if (revoked === undefined) return;
  const { name, prefix } = revoked;
  tx.audit({
    action: 'delete',
    entityType: 'api_keys',
    entityId: id,
    before: { name, prefix, status: 'active' },
    after: { status: 'revoked' },
  });
}

/** What the actor may pass on: what their role allows now, and of that, through a key, what the key itself has and for as long. */
async function grantable(tx: TenantTx): Promise<{ scopes: ReadonlySet<Action>; until: Date | null }> {
  const [membership] = await tx.sql(ownMembership, [tx.orgId]);
  if (membership === undefined) throw new AppError('NOT_FOUND', { detail: `organization ${tx.orgId}` });
  const allowed = actions.filter((action) => roleMay(membership.role, action));
  const { apiKeyId } = tx.actor;
  if (apiKeyId === undefined) return { scopes: new Set(allowed), until: null };
  const [held] = await tx.sql(holdApiKey, [tx.orgId, apiKeyId]);
  if (held === undefined) throw new AppError('UNAUTHENTICATED', { detail: `api key ${apiKeyId} has ended` });
  return {
    scopes: new Set(allowed.filter((action) => held.scopes.includes(action))),
    until: held.expires_at === null ? null : new Date(held.expires_at),
  };
}

/** The end asked for, or the usual one; `until` is the latest that the maker's own key allows. */
function endOf(now: Date, asked: string | undefined, until: Date | null): Date {
  const latest = new Date(now.getTime() + lifeDaysMax * dayMs);
  const usual = new Date(now.getTime() + lifeDays * dayMs);
  if (asked === undefined) return until !== null && until < usual ? until : usual;
  const end = new Date(asked);
  const refused = (message: string): AppError =>
    new AppError('VALIDATION_FAILED', { detail: `expiresAt: ${message}`, issues: [{ path: 'expiresAt', message }] });
  if (end <= now) throw refused('Must lie in the future.');
  if (end > latest) throw refused(`A key lasts ${lifeDaysMax} days at most.`);
  if (until !== null && end > until)
    throw new AppError('FORBIDDEN', {
      detail: 'would outlive the key that makes it',
      text: 'A key made by a key cannot outlive it.',
    });
  return end;
}
