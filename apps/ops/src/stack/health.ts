/** Whether a server really serves: one exchange in its own protocol, never a bare port check. */
import { connect } from 'node:net';
import pg from 'pg';

const CHECK_TIMEOUT_MS = 2000;

/** Resolves when PostgreSQL answers `SELECT 1` to this login. */
export async function checkPostgres(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CHECK_TIMEOUT_MS,
    query_timeout: CHECK_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Resolves when a Redis-compatible server accepts the password and answers PING (so not while it loads its log). */
export async function checkRedis(url: string): Promise<void> {
  const { hostname, port, password } = new URL(url);
  const secret = decodeURIComponent(password);
  const auth = secret === '' ? '' : `*2\r\n$4\r\nAUTH\r\n$${Buffer.byteLength(secret)}\r\n${secret}\r\n`;
  await talk({ host: hostname, port: Number(port || 6379), first: `${auth}*1\r\n$4\r\nPING\r\n` }, (answer) => {
    const refused = /^-(.*)$/m.exec(answer);
    if (refused) throw new Error(refused[1] ?? answer);
    return answer.includes('+PONG');
  });
}

/** Resolves when NATS accepts the credentials of the URL and answers PING. */
export async function checkNats(url: string): Promise<void> {
  const { hostname, port, username, password } = new URL(url);
  const login = {
    verbose: false,
    pedantic: false,
    lang: 'novax',
    version: '1',
    user: decodeURIComponent(username),
    pass: decodeURIComponent(password),
  };
  await talk(
    { host: hostname, port: Number(port || 4222), first: `CONNECT ${JSON.stringify(login)}\r\nPING\r\n` },
    (answer) => {
      const refused = /^-ERR (.*)$/m.exec(answer);
      if (refused) throw new Error(refused[1] ?? answer);
      return answer.includes('PONG');
    },
  );
}

/** Resolves when the address answers with a 2xx status. */
export async function checkHttp(url: string, signal?: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const response = await fetch(url, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  const body = await response.text();
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${body.slice(0, 300)}`);
}

function talk(to: { host: string; port: number; first: string }, enough: (answer: string) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: to.host, port: to.port });
    let answer = '';
    const settle = (error?: unknown): void => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.setTimeout(CHECK_TIMEOUT_MS, () => settle(new Error(`no answer from ${to.host}:${to.port}`)));
    socket.on('error', settle);
    socket.on('close', () => settle(new Error(`${to.host}:${to.port} closed the connection`)));
    socket.on('connect', () => socket.write(to.first));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      try {
        if (enough(answer)) settle();
      } catch (error) {
        settle(error);
      }
    });
  });
}
