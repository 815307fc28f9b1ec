/**
 * The mail role: sends the mails that committed transactions asked for, at least once each. A mail in hand is leased, so any number of
 * processes may share the role, and what one that died had in hand another takes up when the lease ends.
 */
import { wakeMailSubject } from '@novax/contracts/events/envelope';
import { claimMails, tidyMails } from '@novax/db/queries/mails';
import type { Database } from '@novax/db/tx';
import type { EventBus, Mailer } from '@novax/domain/ports';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { sendMail } from './mail/send.ts';
import { startRounds } from './rounds.ts';

export interface MailOptions {
  readonly db: Database;
  readonly bus: EventBus;
  /** Null sends nothing: mails wait. */
  readonly mailer: Mailer | null;
  readonly appUrl: string;
  readonly from: string | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Longer than handing on a mail may take, so that nobody else takes it up meanwhile. */
const leaseS = 60;
/** Mails that one process sends at once. */
const atOnce = 4;
/** Longest wait between two looks, milliseconds; a hint shortens it. */
const idleMs = 2_000;
/** Shortest: every write hints, and most writes ask for no mail. */
const gapMs = 100;
const tidyEveryMs = 10_000;
/** Mails that are done with are kept this long, for whoever asks what became of them. */
const keepS = 30 * 24 * 60 * 60;

/** Runs until stopped; a server that is away costs time, never a mail. The answer stops it after the mails in hand, or leaves them after `patienceMs` to whoever finds their lease ended. */
export function startMail(options: MailOptions): (patienceMs: number) => Promise<void> {
  const { db, bus, mailer, log, metrics } = options;

  /** Sends what is due, a few at a time; answers how many it took. */
  async function sendDue(by: Mailer): Promise<number> {
    const mails = await claimMails(db, { limit: atOnce, leaseS });
    const sent = await Promise.allSettled(
      mails.map(async (mail) => {
        const outcome = await sendMail({ db, mailer: by, appUrl: options.appUrl, from: options.from }, mail);
        metrics.mails.inc({ kind: mail.kind, outcome });
        if (outcome === 'failed') log.error({ mailId: mail.id, kind: mail.kind }, 'mail given up');
        else if (outcome === 'put_off') log.warn({ mailId: mail.id, kind: mail.kind }, 'mail put off');
      }),
    );
    // The lease ends by itself; what could not be recorded is done again.
    const lost = sent.find((result) => result.status === 'rejected');
    if (lost !== undefined) throw lost.reason;
    return mails.length;
  }

  let tidyAt = 0;
  return startRounds({
    bus,
    subject: wakeMailSubject,
    gapMs,
    idleMs,
    log,
    what: 'mails',
    async round() {
      const taken = mailer === null ? 0 : await sendDue(mailer);
      if (Date.now() >= tidyAt) {
        tidyAt = Date.now() + tidyEveryMs;
        metrics.mailsPending.set(await tidyMails(db, keepS));
      }
      return taken > 0;
    },
  });
}
