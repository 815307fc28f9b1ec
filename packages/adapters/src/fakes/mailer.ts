/** Mails in memory. */
import type { MailMessage, Mailer } from '@novax/domain/ports';

export interface FakeMailer extends Mailer {
  /** Everything sent, oldest first. */
  readonly sent: readonly MailMessage[];
}

/** A mailer that keeps what it is given. */
export function fakeMailer(): FakeMailer {
  const sent: MailMessage[] = [];
  return {
    sent,
    async send(message) {
      sent.push({ ...message });
    },
    async close() {},
  };
}
