/** The accounts that people have at identity providers: adding, using, listing and removing them. */
import { constraintOf } from '@novax/db/errors';
import { auditPerson, sessionByHash } from '@novax/db/queries/auth';
import { queueMail } from '@novax/db/queries/mails';
import {
  accountBySubject,
  accountView,
  linkAccount as linkStatement,
  listAccounts as listStatement,
  personById,
  touchAccount,
  unlinkAccount as unlinkStatement,
} from '@novax/db/queries/oauth';
import type { Database, SqlTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';
import type { ProvidedIdentity } from '../ports.ts';
import type { Reader } from '../reader.ts';
import { openSession, type Origin } from './sessions.ts';

/** The constraint that keeps a subject with one person. */
export const subjectTaken = 'idx_oauth_accounts_provider_subject';
const accountsMax = 100;

/** Who came back from which provider. */
export interface Arrival {
  readonly provider: string;
  readonly identity: ProvidedIdentity;
}

/** Whose account gets the provider, and the session in which they asked for it. */
export interface Linker {
  readonly userId: string;
  /** Hex SHA-256 of the session's secret id. */
  readonly sidHash: string;
}

/** Notes within `tx` that a person came by way of this account. */
export async function useAccount(
  tx: SqlTx,
  { userId, accountId, provider }: { userId: string; accountId: string; provider: string },
  { call }: Origin,
): Promise<void> {
  await tx.sql(touchAccount, [accountId]);
  const after = { provider };
  await auditPerson(tx, { userId, action: 'access', entityType: 'oauth_accounts', entityId: accountId, after, call });
}

/** Adds the subject to the linker's account; once more does no harm. The session that asked must still live, or ending it would not keep a thief out. */
export function linkAccount(db: Database, arrival: Arrival & { readonly linker: Linker }, origin: Origin) {
  const { provider, identity, linker } = arrival;
  const { userId } = linker;
  const { call } = origin;
  const linked = db.person(userId, async (tx) => {
    const [person] = await tx.sql(personById, [userId]);
    const [asked] = await tx.sql(sessionByHash, [Buffer.from(linker.sidHash, 'hex')]);
    const live = asked?.user_id === userId && asked.revoked_at === null && new Date(asked.expires_at) > tx.now;
    if (person?.status !== 'active' || !live) throw inactive();
    const [known] = await tx.sql(accountBySubject, [provider, identity.subject]);
    if (known !== undefined && known.user_id !== userId) throw linkedElsewhere();
    if (known === undefined) {
      const accountId = newId();
      await tx.sql(linkStatement, [accountId, userId, provider, identity.subject, identity.email]);
      const after = { provider };
      await auditPerson(tx, {
        userId,
        action: 'create',
        entityType: 'oauth_accounts',
        entityId: accountId,
        after,
        call,
      });
      await queueMail(tx, { kind: 'account-linked', email: person.email, userId, requestId: call.requestId });
    } else await useAccount(tx, { userId, accountId: known.account_id, provider }, origin);
    const { id, email, username } = person;
    return { person: { id, email, username }, session: await openSession(tx, userId, origin) };
  });
  return linked.catch((thrown: unknown) => {
    throw constraintOf(thrown) === subjectTaken ? linkedElsewhere(thrown) : thrown;
  });
}

function linkedElsewhere(cause?: unknown): AppError {
  return new AppError('CONFLICT', {
    detail: 'the subject is linked to somebody else',
    text: 'This account at the identity provider is linked to another person here.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Nobody can sign in as this person, or in this person's name, now. */
export function inactive(): AppError {
  return new AppError('UNAUTHENTICATED', { detail: 'the person is not active, or the session that asked is over' });
}

/** The caller's linked providers, oldest first. */
export async function listAccounts(reader: Reader) {
  const rows = await reader.read(listStatement, [reader.userId, accountsMax]);
  return { items: rows.map(accountView) };
}

/** Takes a provider off the caller's account. Throws NOT_FOUND; CONFLICT when the caller could not sign in any more. */
export async function unlinkAccount(
  db: Database,
  { userId, id }: { readonly userId: string; readonly id: string },
  { call }: Origin,
): Promise<void> {
  await db.person(userId, async (tx) => {
    const [result] = await tx.sql(unlinkStatement, [userId, id]);
    if (result?.outcome === 'only')
      throw new AppError('CONFLICT', {
        detail: 'the last way in',
        text: 'This is the only way into your account. Set a password or link another identity provider first.',
      });
    if (result?.outcome !== 'unlinked') throw new AppError('NOT_FOUND', { detail: `oauth account ${id}` });
    const after = { provider: result.provider };
    await auditPerson(tx, { userId, action: 'delete', entityType: 'oauth_accounts', entityId: id, after, call });
  });
}
