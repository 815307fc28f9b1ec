/** Mails that are owed. The table is the queue: a mail exists if and only if the transaction that asked for it committed. */
import { newId } from '@novax/runtime/ids';
import { statement } from '../statement.ts';
import type { SqlTx } from '../tx.ts';

export type MailKind =
  | 'verify-email'
  | 'reset-password'
  | 'invitation'
  | 'password-changed'
  | 'second-factor-changed'
  | 'account-linked';

export interface MailRequest {
  readonly kind: MailKind;
  readonly email: string;
  /** Optional: the person it is about; only invitations and resets may leave it out. */
  readonly userId?: string;
  /** Optional: only kind `invitation` has one, and its row must be written before. */
  readonly invitationId?: string;
  readonly requestId: string | null;
}

/**
 * Asks for a mail within `tx`. Whether the address is anybody's is looked up by whoever sends it, so that asking costs the same either way.
 * Throws when a signed-in person asks for a mail about another, or for an invitation of an organization they do not manage.
 */
export async function queueMail(tx: SqlTx, mail: MailRequest): Promise<void> {
  await tx.sql(queue, [
    newId(),
    mail.kind,
    mail.email,
    mail.email.toLowerCase(),
    mail.userId ?? null,
    mail.invitationId ?? null,
    mail.requestId,
  ]);
}
const queue = statement<Record<string, never>>(
  'queue_mail',
  'select private.queue_mail($1::uuid, $2, $3, $4, $5::uuid, $6::uuid, $7)',
);
