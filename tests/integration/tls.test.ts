/** TLS that the API ends itself: 1.3 alone, peers that check refuse what is wrong, and a new certificate drops no request (TL-1). */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { newAuthority, type Certificate } from '../kit/certificate.ts';
import { eventually } from '../kit/eventually.ts';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url));
const authority = newAuthority();
const day = 86_400_000;
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let api: TestApi;
let files: { TLS_CERT_FILE: string; TLS_KEY_FILE: string };
beforeAll(async () => {
  folder = await mkdtempDisposable(join(tmpdir(), 'novax-tls-'));
  files = { TLS_CERT_FILE: join(folder.path, 'tls.crt'), TLS_KEY_FILE: join(folder.path, 'tls.key') };
  await install(authority.issue({ host: 'api.example.test' }));
  api = await startTestApi({ env: files });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await folder.remove();
});

async function install({ cert, key }: Pick<Certificate, 'cert' | 'key'>): Promise<void> {
  await writeFile(files.TLS_KEY_FILE, key);
  await writeFile(files.TLS_CERT_FILE, cert);
}

/** Connects as somebody who trusts the authority and wants `api.example.test`. */
async function connected(
  options: { version?: SecureVersion; host?: string; ca?: string; port?: number } = {},
): Promise<TLSSocket & AsyncDisposable> {
  const { version, host = 'api.example.test', ca = authority.cert } = options;
  const socket = connectTls({
    host: '127.0.0.1',
    port: options.port ?? Number(new URL(api.url).port),
    servername: host,
    ca,
    // At the usual level this side would refuse the old versions before the server can.
    ciphers: 'DEFAULT@SECLEVEL=0',
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
  });
  await once(socket, 'secureConnect');
  return Object.assign(socket, { [Symbol.asyncDispose]: async () => void socket.destroy() });
}

async function get(
  path: string,
  agent = new Agent({ keepAlive: false }),
): Promise<{ status: number; headers: IncomingMessage['headers'] }> {
  const { port } = new URL(api.url);
  const options = { host: '127.0.0.1', port, path, agent, servername: 'api.example.test', ca: authority.cert };
  const asked = request(options);
  asked.end();
  // `once` types events as unknown tuples; `response` brings a message.
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return { status: response.statusCode ?? 0, headers: response.headers };
}

const served = async (): Promise<string> => {
  await using socket = await connected();
  return socket.getPeerCertificate().serialNumber;
};

describe('versions', () => {
  test('1.3 is spoken, and the answer forbids coming without TLS for two years', async () => {
    await using socket = await connected();
    expect(socket.getProtocol()).toBe('TLSv1.3');
    const { status, headers } = await get('/healthz');
    expect(status).toBe(200);
    expect(headers['strict-transport-security']).toBe('max-age=63072000; includeSubDomains');
    expect(api.url).toMatch(/^https:/);
  });

  test.each(['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const)('%s is refused by the server', async (version) => {
    await expect(connected({ version })).rejects.toMatchObject({
      code: expect.stringMatching(/ALERT_PROTOCOL_VERSION|ECONNRESET/),
    });
  });

  test('openssl agrees, where there is one', async () => {
    const speaks = async (version: string): Promise<boolean> => {
      const client = run('openssl', ['s_client', '-connect', new URL(api.url).host, version, '-brief']);
      client.child.stdin?.end();
      return client.then(
        () => true,
        (thrown: { code?: unknown }) => {
          if (thrown.code === 'ENOENT') throw thrown;
          return false;
        },
      );
    };
    const answers = await Promise.all(['-tls1_2', '-tls1_3'].map(speaks)).catch(() => undefined);
    if (answers === undefined) return console.warn('SKIPPED: there is no openssl here');
    expect(answers).toEqual([false, true]);
  });

  test('plain HTTP to the port is no answer, and the server goes on', async () => {
    await expect(fetch(api.url.replace('https', 'http'))).rejects.toThrow();
    expect((await get('/healthz')).status).toBe(200);
  });
});

describe('a client that checks refuses', () => {
  test("another host's certificate", async () => {
    await expect(connected({ host: 'elsewhere.example.test' })).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  test('a certificate of an authority it does not know', async () => {
    await expect(connected({ ca: newAuthority().cert })).rejects.toMatchObject({
      code: expect.stringMatching(/UNABLE_TO_VERIFY|CERT_SIGNATURE_FAILURE|UNABLE_TO_GET_ISSUER/),
    });
  });

  test('one that has expired, and one that is not valid yet', async () => {
    const [past, soon] = [new Date(Date.now() - 2 * day), new Date(Date.now() + 2 * day)];
    for (const [dates, code] of [
      [{ from: new Date(past.getTime() - day), to: past }, 'CERT_HAS_EXPIRED'],
      [{ from: soon, to: new Date(soon.getTime() + day) }, 'CERT_NOT_YET_VALID'],
    ] as const) {
      await install(authority.issue({ host: 'api.example.test', ...dates }));
      await eventually(() => expect(connected()).rejects.toMatchObject({ code }));
    }
    await install(authority.issue({ host: 'api.example.test' }));
    await eventually(served);
  });
});

test('five new certificates under a stream of requests drop none, on kept and on new connections', async () => {
  const kept = new Agent({ keepAlive: true, maxSockets: 2 });
  let going = true;
  const counts = { sent: 0, failed: 0 };
  const callers = [kept, kept, undefined, undefined].map(async (agent) => {
    while (going) {
      counts.sent += 1;
      const status = await get('/healthz', agent).then(
        (answer) => answer.status,
        () => 0,
      );
      if (status !== 200) counts.failed += 1;
    }
  });
  for (let change = 0; change < 5; change++) {
    const next = authority.issue({ host: 'api.example.test' });
    await install(next);
    await eventually(async () => expect(await served()).toBe(next.serialNumber));
  }
  going = false;
  await Promise.all(callers);
  kept.destroy();
  console.log(`5 certificates exchanged under ${counts.sent} requests: ${counts.failed} dropped`);
  expect(counts.sent).toBeGreaterThan(20);
  expect(counts.failed).toBe(0);
}, 30_000);

test('a pair that does not fit, or is none, is refused and the old one stays; a good one after it is taken', async () => {
  const before = await served();
  const [one, other] = [authority.issue({ host: 'api.example.test' }), authority.issue({ host: 'api.example.test' })];
  for (const broken of [
    { cert: one.cert, key: other.key },
    { cert: 'no certificate', key: other.key },
    { cert: one.cert, key: '' },
    { cert: '', key: '' },
  ]) {
    await install(broken);
    // Looked at ten times a second: several looks pass in that time, and none may change what is served.
    await expect(eventually(async () => expect(await served()).not.toBe(before), { timeoutMs: 400 })).rejects.toThrow(
      /not to be/,
    );
  }
  await install(one);
  await eventually(async () => expect(await served()).toBe(one.serialNumber));
});

test('SIGHUP makes the process look at its files at once, and does not end it', async () => {
  const cert = join(folder.path, 'hup.crt');
  const key = join(folder.path, 'hup.key');
  const [first, second] = [
    authority.issue({ host: 'api.example.test' }),
    authority.issue({ host: 'api.example.test' }),
  ];
  await writeFile(cert, first.cert);
  await writeFile(key, first.key);
  const { DATABASE_URL, JWT_PRIVATE_KEYS, QUEUE_REDIS_URL, NATS_URL, KEY_ENCRYPTION_KEY } = api.env;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    env: {
      DATABASE_URL,
      JWT_PRIVATE_KEYS,
      QUEUE_REDIS_URL,
      NATS_URL,
      KEY_ENCRYPTION_KEY: String(KEY_ENCRYPTION_KEY),
      PORT: '0',
      METRICS_PORT: '0',
      TLS_CERT_FILE: cert,
      TLS_KEY_FILE: key,
      FILES_RELOAD_MS: '3600000',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let heard = '';
  child.stdout.on('data', (chunk) => (heard += String(chunk)));
  try {
    const port = await eventually(
      () => {
        const found = /"url":"https:\/\/127\.0\.0\.1:(\d+)"/.exec(heard)?.[1];
        if (found === undefined) throw new Error(`not listening: ${heard}`);
        return Number(found);
      },
      { timeoutMs: 20_000 },
    );
    const shown = async (): Promise<string> => {
      await using socket = await connected({ port });
      return socket.getPeerCertificate().serialNumber;
    };
    expect(await shown()).toBe(first.serialNumber);
    await writeFile(key, second.key);
    await writeFile(cert, second.cert);
    child.kill('SIGHUP');
    await eventually(async () => expect(await shown()).toBe(second.serialNumber));
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
  expect(child.exitCode).toBe(0);
}, 40_000);

describe('settings', () => {
  const needed = {
    DATABASE_URL: 'postgresql://nobody@127.0.0.1:9/none',
    QUEUE_REDIS_URL: 'redis://127.0.0.1:9',
    NATS_URL: 'nats://127.0.0.1:9',
    JWT_PRIVATE_KEYS: '{}',
    KEY_ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
  };
  test.each([
    [{ TLS_CERT_FILE: '/nonexistent/tls.crt' }, 'set both or neither'],
    [{ TLS_KEY_FILE: '/nonexistent/tls.key' }, 'set both or neither'],
    [{ CORS_ORIGINS: '*' }, 'CORS_ORIGINS'],
    [{ CORS_ORIGINS: 'null' }, 'CORS_ORIGINS'],
    [{ CORS_ORIGINS: 'https://app.example.com/' }, 'CORS_ORIGINS'],
    [{ CORS_ORIGINS: 'https://App.example.com' }, 'CORS_ORIGINS'],
    [{ CORS_ORIGINS: 'https://app.example.com:443' }, 'CORS_ORIGINS'],
    [{ PUBLIC_URL: 'ftp://app.example.com' }, 'PUBLIC_URL'],
  ])('%j is refused before anything is reached, naming the setting', async (wrong, named) => {
    const ended = await run(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
      env: { ...needed, ...wrong },
    }).catch((thrown: unknown) => thrown);
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining(named) });
  });
});
