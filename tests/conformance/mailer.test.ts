/** The mailer port: the fake, files, and SMTP against a real server in this process. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fakeMailer } from '@novax/adapters/fakes/mailer';
import { createMailer } from '@novax/adapters/mailer';
import { dirMailer } from '@novax/adapters/mailer-dir';
import { smtpMailer } from '@novax/adapters/mailer-smtp';
import type { Mailer, MailMessage } from '@novax/domain/ports';
import { describe, expect, test } from 'vitest';
import { smtpSink } from './smtp-sink.ts';
import { stubServer } from './stub-server.ts';

const from = 'NovaX <novax@example.test>';
const message = (changes: Partial<MailMessage> = {}): MailMessage => ({
  to: 'ada@example.test',
  subject: 'Confirm your address – now',
  text: 'Open https://app.example.test/verify-email?token=abc_DEF-123\n',
  html: '<p>Open <a href="https://app.example.test/verify-email?token=abc_DEF-123">the link</a></p>',
  messageId: '<8f6e6f0a-0000-4000-8000-000000000001@example.test>',
  ...changes,
});

async function folderOfOne(): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'novax-mail-'));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** The raw mails in a folder, in the order of their names. */
async function mailsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).toSorted();
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}

interface Kind extends AsyncDisposable {
  readonly mailer: Mailer;
  /** What arrived, as raw text where there is such a thing. */
  arrived(): Promise<readonly string[]>;
}

const kinds: Record<string, () => Promise<Kind>> = {
  fake: async () => {
    const mailer = fakeMailer();
    const raw = ({ to, subject, text, html, messageId }: MailMessage): string =>
      `To: ${to}\nSubject: ${subject}\nMessage-ID: ${messageId}\n\n${text}\n${html}`;
    return { mailer, arrived: async () => mailer.sent.map(raw), [Symbol.asyncDispose]: () => mailer.close() };
  },
  files: async () => {
    const at = await folderOfOne();
    const folder = join(at.folder, 'made');
    const mailer = dirMailer({ folder, from });
    return { mailer, arrived: () => mailsIn(folder), [Symbol.asyncDispose]: () => at[Symbol.asyncDispose]() };
  },
  SMTP: async () => {
    const sink = await smtpSink();
    const mailer = smtpMailer({ url: `smtp://127.0.0.1:${sink.port}`, from });
    return {
      mailer,
      arrived: async () => sink.mails.map(({ raw }) => raw),
      async [Symbol.asyncDispose]() {
        await mailer.close();
        await sink[Symbol.asyncDispose]();
      },
    };
  },
};

/** Soft line ends of quoted-printable taken out, so that a link can be looked for. */
const unfolded = (raw = ''): string => raw.replace(/=\r?\n/g, '').replaceAll('=3D', '=');

describe.each(Object.entries(kinds))('mailer: %s', (_, make) => {
  test('a mail arrives once, with its address, its id and both of its bodies', async () => {
    await using kind = await make();
    await kind.mailer.send(message());
    const arrived = await kind.arrived();
    expect(arrived).toHaveLength(1);
    const raw = unfolded(arrived[0]);
    expect(raw).toContain('To: ada@example.test');
    expect(raw).toContain(`Message-ID: ${message().messageId}`);
    expect(raw.split('https://app.example.test/verify-email?token=abc_DEF-123')).toHaveLength(3);
  });

  test('mails come in the order they were sent', async () => {
    await using kind = await make();
    for (const n of [1, 2, 3]) await kind.mailer.send(message({ messageId: `<m${n}@example.test>` }));
    const ids = (await kind.arrived()).map((raw) => /Message-ID: <(m\d)@/.exec(raw)?.[1]);
    expect(ids).toEqual(['m1', 'm2', 'm3']);
  });
});

test.each(['files', 'SMTP'])('%s: no text of a mail can add a header or a recipient', async (name) => {
  const make = kinds[name];
  if (make === undefined) throw new Error(name);
  await using kind = await make();
  await kind.mailer.send(message({ subject: 'Hello\r\nBcc: mallory@example.test' })).catch(() => undefined);
  await kind.mailer.send(message({ to: 'ada@example.test, mallory@example.test' })).catch(() => undefined);
  for (const raw of await kind.arrived()) {
    const [head = ''] = raw.split(/\r?\n\r?\n/);
    expect(head).not.toMatch(/^bcc:/im);
    // A quoted local part is one address, however odd.
    expect(head.replace(/"[^"]*"/g, '')).not.toMatch(/^to:.*,/im);
  }
});

describe('mailer: files', () => {
  test('a mail is readable by its owner alone, and a folder that cannot be written to is said', async () => {
    await using at = await folderOfOne();
    const folder = join(at.folder, 'mail');
    await dirMailer({ folder, from }).send(message());
    const [name = ''] = await readdir(folder);
    expect(name).toMatch(/^\d{4}-\d\d-\d\dT.*\.eml$/);
    expect((await stat(join(folder, name))).mode & 0o077).toBe(0);
    await writeFile(join(at.folder, 'file'), '');
    const blocked = dirMailer({ folder: join(at.folder, 'file'), from });
    await expect(blocked.send(message())).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });
});

describe('mailer: SMTP', () => {
  test('a server that refuses, or is not there, is DEPENDENCY_UNAVAILABLE, and the next mail goes through', async () => {
    await using sink = await smtpSink();
    const mailer = smtpMailer({ url: `smtp://127.0.0.1:${sink.port}`, from });
    sink.refuse(1);
    await expect(mailer.send(message())).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await mailer.send(message());
    expect(sink.mails).toHaveLength(1);
    const nobody = smtpMailer({ url: 'smtp://127.0.0.1:1', from });
    await expect(nobody.send(message())).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });

  test('it signs in with the user of the address, whose password may hold any character', async () => {
    await using sink = await smtpSink({ user: { name: 'nova@x', password: 'p:/@%é' } });
    const login = `${encodeURIComponent('nova@x')}:${encodeURIComponent('p:/@%é')}`;
    await smtpMailer({ url: `smtp://${login}@127.0.0.1:${sink.port}`, from }).send(message());
    expect(sink.mails.map(({ from: sender, to }) => [sender, ...to])).toEqual([
      ['novax@example.test', 'ada@example.test'],
    ]);
    await expect(
      smtpMailer({ url: `smtp://nova:wrong@127.0.0.1:${sink.port}`, from }).send(message()),
    ).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });

  test('a certificate that nobody vouches for is refused', async () => {
    await using sink = await smtpSink({ offersTls: true });
    await using plain = await stubServer(() => ({ status: 200, body: {} }));
    for (const port of [sink.port, Number(new URL(plain.url).port)]) {
      await expect(smtpMailer({ url: `smtps://127.0.0.1:${port}`, from }).send(message())).rejects.toMatchObject({
        code: 'DEPENDENCY_UNAVAILABLE',
      });
    }
    expect(sink.mails).toEqual([]);
  });
});

describe('the choice of a mailer', () => {
  test('a server needs a sender, a folder does not, and without either there is none', async () => {
    expect(createMailer({})).toBeNull();
    expect(() => createMailer({ SMTP_URL: 'smtp://127.0.0.1:25' })).toThrow('SMTP_URL needs MAIL_FROM');
    await using at = await folderOfOne();
    await createMailer({ MAIL_DIR: at.folder })?.send(message());
    expect(await mailsIn(at.folder)).toHaveLength(1);
  });
});
