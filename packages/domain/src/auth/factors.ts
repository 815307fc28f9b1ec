/** The second factor of an account: made, turned on, proved at sign-in, and turned off. */
import type { CallInfo } from '@novax/db/actor';
import { auditPerson } from '@novax/db/queries/auth';
import {
  activateFactor,
  deleteFactor,
  deletePendingFactors,
  deleteRecoveryCodes,
  factorInState,
  holdPerson,
  insertFactor,
  insertRecoveryCodes,
  useRecoveryCode,
  useStep,
} from '@novax/db/queries/factors';
import { queueMail } from '@novax/db/queries/mails';
import type { Database, SqlTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import type { Sealed } from '@novax/runtime/keyring';
import { newRecoveryCode, recoveryCodeCount, recoveryCodeHash } from './recovery-codes.ts';

/** A time-based factor; its secret is sealed by whoever calls. */
export interface Factor {
  readonly id: string;
  readonly sealed: Sealed;
}

/** The person and the call that acts for them. */
export interface Owner {
  readonly userId: string;
  readonly call: CallInfo;
}

/** What somebody gave to show that they hold the factor: the time step of a right code, or a recovery code. */
export type Proof =
  | { readonly kind: 'step'; readonly factorId: string; readonly step: number }
  | { readonly kind: 'recovery'; readonly code: string };

/** Keeps a factor that guards nothing until it is confirmed, in place of one that was never confirmed. Throws CONFLICT when one is on. */
export function enrolFactor(db: Database, owner: Owner, factor: Factor): Promise<{ email: string }> {
  const { userId } = owner;
  return db.person(userId, async (tx) => {
    const person = await hold(tx, userId);
    const [active] = await tx.sql(factorInState, [userId, 'active']);
    if (active !== undefined)
      throw new AppError('CONFLICT', {
        detail: `factor ${active.id} is active`,
        text: 'A second factor is on already; turn it off first.',
      });
    await tx.sql(deletePendingFactors, [userId]);
    await tx.sql(insertFactor, [factor.id, userId, factor.sealed.ciphertext, factor.sealed.keyId]);
    await record(tx, owner, { action: 'create', factorId: factor.id, after: { status: 'pending' } });
    return { email: person.email };
  });
}

/** A person's factor in that state, or null. */
export async function factorOf(db: Database, userId: string, state: 'pending' | 'active'): Promise<Factor | null> {
  const [row] = await db.person(userId, (tx) => tx.sql(factorInState, [userId, state]));
  return row === undefined ? null : { id: row.id, sealed: { ciphertext: row.secret_ciphertext, keyId: row.key_id } };
}

/**
 * Turns a pending factor on with the step of its first right code, which is used up by that, and answers new recovery codes, stored as hashes only.
 * Throws NOT_FOUND when it is no longer the pending one.
 */
export function confirmFactor(
  db: Database,
  owner: Owner,
  { factorId, step }: { readonly factorId: string; readonly step: number },
): Promise<string[]> {
  const { userId } = owner;
  return db.person(userId, async (tx) => {
    const person = await hold(tx, userId);
    const [activated] = await tx.sql(activateFactor, [factorId, step]);
    if (activated === undefined) throw new AppError('NOT_FOUND', { detail: `factor ${factorId} is not pending` });
    const codes = Array.from({ length: recoveryCodeCount }, newRecoveryCode);
    await tx.sql(deleteRecoveryCodes, [userId]);
    await tx.sql(insertRecoveryCodes, [userId, codes.map(recoveryCodeHash)]);
    await record(tx, owner, {
      action: 'update',
      factorId,
      before: { status: 'pending' },
      after: { status: 'active', recoveryCodes: codes.length },
    });
    await tell(tx, owner, person);
    return codes;
  });
}

/** True when the proof holds; it is used up then, and of many at once one holds. */
export function passFactor(db: Database, owner: Owner, proof: Proof): Promise<boolean> {
  return db.person(owner.userId, (tx) => use(tx, owner, { proof, usedFor: 'sign-in' }));
}

/** Turns a factor off, its secret and recovery codes gone with it; false when the proof does not hold. */
export function removeFactor(
  db: Database,
  owner: Owner,
  { factorId, proof }: { readonly factorId: string; readonly proof: Proof },
): Promise<boolean> {
  return db.person(owner.userId, async (tx) => {
    const person = await hold(tx, owner.userId);
    const [active] = await tx.sql(factorInState, [owner.userId, 'active']);
    if (active?.id !== factorId) return false;
    if (!(await use(tx, owner, { proof, usedFor: 'turning the second factor off' }))) return false;
    await tx.sql(deleteFactor, [factorId]);
    await tx.sql(deleteRecoveryCodes, [owner.userId]);
    await record(tx, owner, { action: 'delete', factorId, after: { status: 'disabled' } });
    await tell(tx, owner, person);
    return true;
  });
}

async function hold(tx: SqlTx, userId: string): Promise<{ email: string }> {
  const [person] = await tx.sql(holdPerson, [userId]);
  if (person === undefined) throw new AppError('UNAUTHENTICATED', { detail: `no person ${userId}` });
  return person;
}

/** Whoever turns a factor on or off, its owner hears of it. */
function tell(tx: SqlTx, { userId, call }: Owner, { email }: { email: string }): Promise<void> {
  return queueMail(tx, { kind: 'second-factor-changed', email, userId, requestId: call.requestId });
}

async function use(tx: SqlTx, owner: Owner, { proof, usedFor }: { proof: Proof; usedFor: string }): Promise<boolean> {
  if (proof.kind === 'step') return (await tx.sql(useStep, [proof.factorId, proof.step])).length > 0;
  const [used] = await tx.sql(useRecoveryCode, [owner.userId, recoveryCodeHash(proof.code)]);
  if (used === undefined) return false;
  await auditPerson(tx, {
    ...owner,
    action: 'update',
    entityType: 'recovery_codes',
    entityId: used.id,
    after: { usedFor },
  });
  return true;
}

function record(
  tx: SqlTx,
  owner: Owner,
  change: {
    action: 'create' | 'update' | 'delete';
    factorId: string;
    before?: Readonly<Record<string, unknown>>;
    after: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  const { factorId, ...rest } = change;
  return auditPerson(tx, { ...owner, ...rest, entityType: 'totp_factors', entityId: factorId });
}
