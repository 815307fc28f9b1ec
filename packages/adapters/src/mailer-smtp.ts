/** Mails by SMTP, encrypted unless the server is on this very machine. */
import { mailTimeoutMs, type Mailer } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { createTransport } from 'nodemailer';

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/;

/**
 * A mailer for the server at `url`: `smtps://user:password@host:465`, or `smtp://…:587`, which must offer STARTTLS. Certificates are checked.
 * A server on loopback may be plain.
 */
export function smtpMailer(options: { readonly url: string; readonly from: string }): Mailer {
  const { protocol, hostname, port, username, password } = new URL(options.url);
  const secure = protocol === 'smtps:';
  const near = loopback.test(hostname);
  const transport = createTransport({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (secure ? 465 : 587) : Number(port),
    secure,
    requireTLS: !secure && !near,
    ignoreTLS: !secure && near,
    ...(username === '' ? {} : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
    dnsTimeout: 5_000,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
    // What a mail holds is made here; nothing in it may name a file or a page to be fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send({ to, ...message }) {
      try {
        await transport.sendMail({
          ...message,
          from: options.from,
          // As an object, so that no address can be read as several.
          to: { name: '', address: to },
          signal: AbortSignal.timeout(mailTimeoutMs),
        });
      } catch (cause) {
        const detail = `mail server: ${cause instanceof Error ? cause.message : String(cause)}`;
        throw new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail });
      }
    },
    async close() {
      transport.close();
    },
  };
}
