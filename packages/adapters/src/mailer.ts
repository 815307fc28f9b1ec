/** Chooses how mails leave, by the process's settings. */
import type { Mailer } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { dirMailer } from './mailer-dir.ts';
import { smtpMailer } from './mailer-smtp.ts';

/** The settings of the same names. */
export interface MailEnv {
  readonly SMTP_URL?: string | undefined;
  readonly MAIL_DIR?: string | undefined;
  readonly MAIL_FROM?: string | undefined;
}

/** A server when one is named, else a folder, else null: mails wait then. Throws INTERNAL for a server without a sender. */
export function createMailer(env: MailEnv): Mailer | null {
  if (env.SMTP_URL !== undefined) {
    if (env.MAIL_FROM === undefined) throw new AppError('INTERNAL', { detail: 'SMTP_URL needs MAIL_FROM' });
    return smtpMailer({ url: env.SMTP_URL, from: env.MAIL_FROM });
  }
  if (env.MAIL_DIR === undefined) return null;
  return dirMailer({ folder: env.MAIL_DIR, from: env.MAIL_FROM ?? 'NovaX <novax@localhost>' });
}
