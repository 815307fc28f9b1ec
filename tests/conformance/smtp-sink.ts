/** A real SMTP server in this process that keeps what it is sent, and can misbehave. */
import { once } from 'node:events';
import { SMTPServer } from 'smtp-server';

export interface SmtpSink extends AsyncDisposable {
  readonly port: number;
  /** Accepted messages as they came, with their envelope. */
  readonly mails: readonly { readonly from: string; readonly to: readonly string[]; readonly raw: string }[];
  /** Answers the next messages with a refusal. */
  refuse(times: number): void;
  /** Keeps the next messages and never answers. */
  keepWaiting(times: number): void;
}

/** Listens on loopback. With `user` it takes mails of that user alone; `offersTls` says whether it offers STARTTLS. */
export async function smtpSink(
  options: { readonly user?: { name: string; password: string }; readonly offersTls?: boolean } = {},
): Promise<SmtpSink> {
  const mails: { from: string; to: string[]; raw: string }[] = [];
  let refusals = 0;
  let silences = 0;
  const server = new SMTPServer({
    authOptional: options.user === undefined,
    allowInsecureAuth: true,
    disabledCommands: options.offersTls === true ? [] : ['STARTTLS'],
    logger: false,
    onAuth({ username, password }, _session, done) {
      if (username === options.user?.name && password === options.user?.password) done(null, { user: username });
      else done(new Error('wrong user or password'));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        if (refusals > 0) {
          refusals -= 1;
          return done(Object.assign(new Error('try later'), { responseCode: 451 }));
        }
        const { mailFrom, rcptTo } = session.envelope;
        const raw = Buffer.concat(chunks).toString('utf8');
        mails.push({ from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map(({ address }) => address), raw });
        if (silences > 0) {
          silences -= 1;
          return undefined;
        }
        return done();
      });
    },
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    mails,
    refuse: (times) => void (refusals = times),
    keepWaiting: (times) => void (silences = times),
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
