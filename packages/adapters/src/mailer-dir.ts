/** Mails as files, for machines that send none: a developer's, and tests. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mailer } from '@novax/domain/ports';
import { systemClock, type Clock } from '@novax/runtime/clock';
import { AppError } from '@novax/runtime/errors';
import { createTransport } from 'nodemailer';

/** Writes each mail to `folder` as one `.eml` file; names sort by time, and a file is whole or not there. Readable by its owner alone: mails hold secrets. */
export function dirMailer(options: { readonly folder: string; readonly from: string; readonly clock?: Clock }): Mailer {
  const { folder, from, clock = systemClock } = options;
  const transport = createTransport({
    streamTransport: true,
    buffer: true,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send({ to, ...message }) {
      const draft = join(folder, `.unfinished-${randomUUID()}`);
      try {
        const { message: eml } = await transport.sendMail({ ...message, from, to: { name: '', address: to } });
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await writeFile(draft, eml, { mode: 0o600, flush: true });
        const at = clock.now().toISOString().replaceAll(':', '-');
        const name = message.messageId.replace(/@.*$/, '').replace(/[^\w-]/g, '');
        await rename(draft, join(folder, `${at}_${name}_${randomUUID().slice(0, 8)}.eml`));
      } catch (cause) {
        await rm(draft, { force: true }).catch(() => undefined);
        const detail = `mail folder: ${cause instanceof Error ? cause.message : String(cause)}`;
        throw new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail });
      }
    },
    async close() {
      transport.close();
    },
  };
}
