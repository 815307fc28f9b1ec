/** Sends one mail that was claimed: makes its secret, says what it says, hands it on, and records what became of it. */
import { createHash, randomBytes } from 'node:crypto';
import { issueMailSecret, putOffMail, settleMail, type ClaimedMail, type MailFacts } from '@novax/db/queries/mails';
import type { Database } from '@novax/db/tx';
import type { Mailer } from '@novax/domain/ports';
import { layout } from './layout.ts';
import { templates } from './templates.ts';

export interface SendParts {
  readonly db: Database;
  readonly mailer: Mailer;
  /** Where links lead, without a trailing slash. */
  readonly appUrl: string;
  /** Sender; its domain stands in every message id. */
  readonly from: string | undefined;
}

/** Tries before a mail is given up. */
const attemptsMax = 8;
/** Wait after the first failed try, seconds; each doubles it. */
const backoffS = 15;

/**
 * What became of the mail. A process that dies after handing it on and before recording that sends it again, under the same message id and
 * with a secret of its own: both copies work.
 */
export async function sendMail(
  parts: SendParts,
  mail: ClaimedMail,
): Promise<'sent' | 'put_off' | 'dropped' | 'failed'> {
  const { db } = parts;
  const { id, kind, attempts } = mail;
  // Each of its earlier tries took the process with it.
  if (attempts > attemptsMax) {
    await settleMail(db, { id, status: 'failed', error: 'every try was cut off' });
    return 'failed';
  }
  try {
    const secret = randomBytes(32).toString('base64url');
    const tokenHash = createHash('sha256').update(secret).digest();
    const facts = await issueMailSecret(db, { id, tokenHash, ttlS: templates[kind].ttlS });
    if (facts.refused !== null || facts.email === null) {
      await settleMail(db, { id, status: 'dropped', error: facts.refused });
      return 'dropped';
    }
    await parts.mailer.send({
      to: facts.email,
      messageId: `<${id}@${domainOf(parts.from)}>`,
      ...rendered({ mail, facts, secret, appUrl: parts.appUrl }),
    });
    await settleMail(db, { id, status: 'sent', error: null });
    return 'sent';
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown.message : String(thrown);
    if (attempts >= attemptsMax) {
      await settleMail(db, { id, status: 'failed', error });
      return 'failed';
    }
    await putOffMail(db, { id, waitS: backoffS * 2 ** (attempts - 1), error });
    return 'put_off';
  }
}

function rendered(given: {
  readonly mail: ClaimedMail;
  readonly facts: MailFacts;
  readonly secret: string;
  readonly appUrl: string;
}): ReturnType<typeof layout> {
  const { facts, secret, appUrl } = given;
  const { path, content } = templates[given.mail.kind];
  return layout(
    content({
      name: facts.recipient_name ?? '',
      url: path === null ? '' : `${appUrl.replace(/\/+$/, '')}${path}?token=${secret}`,
      until: facts.expires_at === null ? '' : moment(new Date(facts.expires_at)),
      organization: facts.organization_name ?? '',
      inviter: facts.inviter_name ?? '',
      role: facts.role ?? '',
    }),
  );
}

/** Like `27 November 2026, 14:03 UTC`. */
function moment(at: Date): string {
  const words = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
  return `${words.format(at).replace(' at ', ', ')} UTC`;
}

/** The domain of `Name <name@domain>` or `name@domain`. */
function domainOf(from = ''): string {
  return /@([\w.-]+)>?\s*$/.exec(from)?.[1] ?? 'novax.localhost';
}
