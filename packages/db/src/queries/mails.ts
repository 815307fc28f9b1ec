/** Mails that are owed. The table is the queue: a mail exists if and only if the transaction that asked for it committed. */
import { newId } from '@novax/runtime/ids';
import { only } from '@novax/runtime/invariant';
import { statement } from '../statement.ts';
import type { Database, SqlTx } from '../tx.ts';

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

/** A mail in hand. Whoever claimed it has it until its lease ends, and then another may. */
export interface ClaimedMail {
  readonly id: string;
  readonly kind: MailKind;
  /** Tries so far, this one included. */
  readonly attempts: number;
}

const why = 'mails belong to no organization, and whoever sends them reads all of them';

/** Takes mails that are due, oldest first, each for `leaseS` seconds; two callers never get the same one. */
export function claimMails(
  db: Database,
  claim: { readonly limit: number; readonly leaseS: number },
): Promise<readonly ClaimedMail[]> {
  return db.inSystem(why, (tx) => tx.sql(claimDue, [claim.limit, claim.leaseS]));
}
const claimDue = statement<ClaimedMail>(
  'claim_mails',
  `update mails set attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2::float8)
    where id in (select id from mails where status = 'pending' and next_attempt_at <= now()
                  order by next_attempt_at limit $1::int for update skip locked)
   returning id, kind, attempts`,
);

/** What a mail says, as the database knows it at the moment of sending. */
export interface MailFacts {
  /** Why nobody gets it; null for a mail that goes out, and then `email` is set. */
  readonly refused: string | null;
  readonly email: string | null;
  /** Null for invitations, whose recipient may have no account. */
  readonly recipient_name: string | null;
  /** Set for invitations, like the next two. */
  readonly organization_name: string | null;
  readonly inviter_name: string | null;
  readonly role: string | null;
  /** When its secret ends; null for notices, which carry none. */
  readonly expires_at: string | Date | null;
}

/** Stores the hash of the secret that a mail will carry, good for `ttlS` seconds, and answers what it says. A second call adds a second secret, so that either copy of a repeated mail works; an invitation has one alone, the last. */
export async function issueMailSecret(
  db: Database,
  mail: { readonly id: string; readonly tokenHash: Uint8Array; readonly ttlS: number },
): Promise<MailFacts> {
  return only(await db.inSystem(why, (tx) => tx.sql(issue, [mail.id, mail.tokenHash, mail.ttlS])), 'issue_mail_token');
}
const issue = statement<MailFacts>(
  'issue_mail_token',
  `select refused, email, recipient_name, organization_name, inviter_name, role, expires_at
     from private.issue_mail_token($1::uuid, $2::bytea, make_interval(secs => $3::float8))`,
);

/** Records what became of a mail that is done with; `error` says why it was not sent. */
export async function settleMail(
  db: Database,
  mail: { readonly id: string; readonly status: 'sent' | 'dropped' | 'failed'; readonly error: string | null },
): Promise<void> {
  await db.inSystem(why, (tx) => tx.sql(settle, [mail.id, mail.status, mail.error]));
}
const settle = statement<Record<string, never>>(
  'settle_mail',
  `update mails set status = $2, last_error = left($3, 500) where id = $1::uuid and status = 'pending'`,
);

/** Puts a mail off for `waitS` seconds after a try that failed. */
export async function putOffMail(
  db: Database,
  mail: { readonly id: string; readonly waitS: number; readonly error: string },
): Promise<void> {
  await db.inSystem(why, (tx) => tx.sql(putOff, [mail.id, mail.waitS, mail.error]));
}
const putOff = statement<Record<string, never>>(
  'put_off_mail',
  `update mails set next_attempt_at = now() + make_interval(secs => $2::float8), last_error = left($3, 500)
    where id = $1::uuid and status = 'pending'`,
);

/** Removes mails that were done with `keepS` seconds ago or longer, with their secrets; answers how many mails wait. */
export function tidyMails(db: Database, keepS: number): Promise<number> {
  return db.inSystem(why, async (tx) => {
    await tx.sql(sweep, [keepS]);
    return Number(only(await tx.sql(pending, []), 'pending_mails').pending);
  });
}
const sweep = statement<Record<string, never>>(
  'sweep_mails',
  `delete from mails where id in (select id from mails where status <> 'pending'
     and updated_at < now() - make_interval(secs => $1::float8) limit 1000 for update skip locked)`,
);
const pending = statement<{ pending: string }>(
  'pending_mails',
  `select count(*) as pending from mails where status = 'pending'`,
);
