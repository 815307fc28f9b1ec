/** Every mail of one API, delivered into a folder by the workers' own role and read back as a person would. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { TestApi } from './api.ts';
import { eventually } from './eventually.ts';
import { slow } from './flow.ts';

/** Where links in the mails lead. */
export const appUrl = 'https://app.example.test';

export interface ReceivedMail {
  readonly to: string;
  readonly subject: string;
  readonly messageId: string;
  /** The text body, decoded. */
  readonly text: string;
  /** The HTML body, decoded. */
  readonly html: string;
  /** Path of the link, like `/verify-email`; null when there is none. */
  readonly path: string | null;
  readonly token: string | null;
}

export interface Mailbox extends AsyncDisposable {
  readonly folder: string;
  /** Everything delivered to an address so far, oldest first. */
  mailsTo(email: string): Promise<ReceivedMail[]>;
  /** Waits for the `count`th mail to an address whose link has that path (or, null, that has none). */
  mail(email: string, path: string | null, count?: number): Promise<ReceivedMail>;
  /** Starts and stops delivery. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts delivery of the mails that `api` owes. */
export async function startMailbox(api: TestApi): Promise<Mailbox> {
  const folder = await mkdtemp(join(tmpdir(), 'novax-mailbox-'));
  let running: AsyncDisposable | undefined;
  const mailbox: Mailbox = {
    folder,
    async mailsTo(email) {
      const names = (await readdir(folder)).filter((name) => name.endsWith('.eml')).toSorted();
      const mails = await Promise.all(names.map(async (name) => received(await readFile(join(folder, name), 'utf8'))));
      return mails.filter(({ to }) => to.toLowerCase() === email.toLowerCase());
    },
    mail: (email, path, count = 1) =>
      eventually(async () => {
        const found = (await mailbox.mailsTo(email)).filter((mail) => mail.path === path)[count - 1];
        expect(found, `mail ${count} to ${email} with a link to ${path}`).toBeDefined();
        if (found === undefined) throw new Error('no mail');
        return found;
      }, slow),
    async start() {
      running ??= await api.startWorkers({ WORKER_ROLES: ['mail'], MAIL_DIR: folder, APP_URL: appUrl });
    },
    async stop() {
      await running?.[Symbol.asyncDispose]();
      running = undefined;
    },
    async [Symbol.asyncDispose]() {
      await mailbox.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await mailbox.start();
  return mailbox;
}

/** Reads a mail of two alternative parts. */
export function received(raw: string): ReceivedMail {
  const header = (name: string): string => new RegExp(`^${name}: (.*)$`, 'im').exec(raw)?.[1]?.trim() ?? '';
  const parts = raw.split(/^Content-Type: (text\/(?:plain|html)).*$/im);
  const body = (type: string): string => {
    const part = parts[parts.indexOf(type) + 1] ?? '';
    const [head = '', ...rest] = part.split('\r\n\r\n');
    return decoded(
      rest.join('\r\n\r\n').split('\r\n----_NmP')[0] ?? '',
      /encoding: ([\w-]+)/i.exec(head)?.[1] ?? '7bit',
    );
  };
  const text = body('text/plain');
  const link = new RegExp(`${appUrl}(/[\\w-]+)\\?token=([\\w-]+)`).exec(text);
  return {
    to: header('To').replace(/^.*<|>$/g, ''),
    subject: header('Subject'),
    messageId: header('Message-ID'),
    text,
    html: body('text/html'),
    path: link?.[1] ?? null,
    token: link?.[2] ?? null,
  };
}

function decoded(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return body;
  const bytes = body
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
