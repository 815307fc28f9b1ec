/** The client for addresses that others choose: nothing inside the network hears from it, and nothing outside can hold it up. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { createOutbound, type Outbound, type OutboundOptions } from '@novax/adapters/outbound';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

/** Hears every connection to any address of this machine on one port. */
async function canaryServer() {
  let hits = 0;
  const server = createServer((socket) => {
    hits += 1;
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret');
  });
  server.listen(0, '::');
  await once(server, 'listening');
  return { port: portOf(server), hits: () => hits, close: () => server.close() };
}

function portOf(server: { address(): ReturnType<ReturnType<typeof createServer>['address']> }): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

const clients: Outbound[] = [];
function client(options: Partial<OutboundOptions> = {}): Outbound {
  const made = createOutbound({
    allow: [],
    timeoutMs: 2_000,
    bodyBytesMax: 100_000,
    resolve: async () => [],
    ...options,
  });
  clients.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(clients.splice(0).map((made) => made.close()));
});

let canary: Awaited<ReturnType<typeof canaryServer>>;
beforeAll(async () => {
  canary = await canaryServer();
});
afterAll(() => canary.close());

const refusal = { code: 'VALIDATION_FAILED', text: 'Give a URL of a server on the public internet, with https.' };
/** Public by every rule and given to nobody by IANA: no packet to it arrives anywhere. */
const nowhere = '2d00::1';

test('the canary hears a plain request, by name and by either kind of address', async () => {
  const before = canary.hits();
  for (const host of ['127.0.0.1', '[::1]', 'localhost']) await (await fetch(`http://${host}:${canary.port}/`)).text();
  expect(canary.hits() - before).toBe(3);
});

/** Hosts of URLs with https and the canary's port, which is among the allowed ones. */
const innerHosts = [
  // Loopback in every spelling.
  '127.0.0.1',
  '127.0.0.2',
  '127.255.255.254',
  '127.1',
  '127.0.1',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0x0.0x0.0x1',
  '0177.0.0.01',
  '127.0.0.1.',
  '127。0。0。1',
  '１２７.０.０.１',
  '①②⑦.⓪.⓪.①',
  '%31%32%37.0.0.1',
  '127.0.0.%31',
  '0',
  '0.0.0.0',
  '0.0.0.1',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'ｌｏｃａｌｈｏｓｔ',
  'a.localhost',
  'localhost.localdomain',
  // Private, shared, link-local, reserved.
  '10.0.0.1',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '100.64.0.1',
  '100.127.255.254',
  '169.254.0.1',
  '169.254.169.254',
  '0xa9fea9fe',
  '2852039166',
  '169.254.43518',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
  '198.18.0.1',
  '198.19.255.255',
  '192.88.99.1',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  // IPv6, and the forms that carry an IPv4 address.
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:7f00:0001]',
  '[::ffff:169.254.169.254]',
  '[::127.0.0.1]',
  '[::7f00:1]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b::a9fe:a9fe]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2002:a9fe:a9fe::1]',
  '[2001:0:7f00:1::]',
  '[2001:0:4136:e378:8000:63bf:80ff:fffe]',
  '[2a00:1450::5efe:7f00:1]',
  '[fe80::1]',
  '[fe80::1%25lo]',
  '[fe80::1%lo]',
  '[febf::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[ff02::1]',
  '[100::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[5f00::1]',
  '[2001:2::1]',
  '[4000::1]',
  // Names of the inside and of clouds.
  'metadata.google.internal',
  'metadata.google.internal.',
  'METADATA.GOOGLE.INTERNAL',
  'metadata',
  'metadata.tencentyun.com',
  'instance-data',
  'postgres',
  'db.internal',
  'printer.local',
  'router.home.arpa',
  'wiki.corp',
  'host.docker.internal',
  // Public-looking names that lead inside, wholly or in part.
  'loopback.example.com',
  'loopback6.example.com',
  'mapped.example.com',
  'linklocal.example.com',
  'zoned.example.com',
  'mixed.example.com',
  'mixed-last.example.com',
  'odd.example.com',
  'nobody.example.com',
];

const names: Readonly<Record<string, readonly string[]>> = {
  'loopback.example.com': ['127.0.0.1'],
  'loopback6.example.com': ['::1'],
  'mapped.example.com': ['::ffff:127.0.0.1'],
  'linklocal.example.com': ['169.254.169.254'],
  'zoned.example.com': ['fe80::1%lo'],
  'mixed.example.com': ['127.0.0.1', nowhere],
  'mixed-last.example.com': [nowhere, '2d00::2', '10.0.0.1'],
  'odd.example.com': ['0x7f000001'],
};
// A resolver that knows more than the public ones: every other name of the inside is this machine.
const resolve = async (name: string): Promise<readonly string[]> =>
  names[name] ?? (name === 'nobody.example.com' ? [] : ['127.0.0.1']);

test('no spelling of a host reaches into the network, and all are refused alike', async () => {
  const outbound = client({ ports: [443, 8443, canary.port], resolve });
  const before = canary.hits();
  for (const host of innerHosts)
    await expect(outbound.fetch(`https://${host}:${canary.port}/`), host).rejects.toMatchObject(refusal);
  expect(canary.hits() - before).toBe(0);
});

test('schemes, ports, credentials and malformed URLs are refused before anything is resolved', async () => {
  const resolved: string[] = [];
  const outbound = client({
    resolve: async (name) => {
      resolved.push(name);
      return ['127.0.0.1'];
    },
  });
  const host = 'good.example.com';
  const before = canary.hits();
  for (const url of [
    `http://${host}/`,
    `http://${host}:443/`,
    `ftp://${host}/`,
    `ws://${host}/`,
    `file:///etc/passwd`,
    `file://${host}/etc/passwd`,
    `gopher://${host}/`,
    `data:text/plain,x`,
    `javascript:alert(1)`,
    `blob:https://${host}/x`,
    `about:blank`,
    `unix:/var/run/docker.sock`,
    `https://${host}:22/`,
    `https://${host}:80/`,
    `https://${host}:5432/`,
    `https://${host}:0/`,
    `https://${host}:65536/`,
    `https://${host}:${canary.port}/`,
    `https://user@${host}/`,
    `https://user:password@${host}/`,
    `https://${host}@127.0.0.1/`,
    `https://127.0.0.1#@${host}/`,
    `https://127.0.0.1\\@${host}/`,
    `https://:password@${host}/`,
    `https://`,
    `https:///`,
    `https:/etc`,
    `https://?x`,
    `https://[::1`,
    `https://[]/`,
    `https://a b.example.com/`,
    `https://exa\0mple.com/`,
    `//${host}/`,
    host,
    ``,
  ])
    await expect(outbound.fetch(url), url).rejects.toMatchObject(refusal);
  expect(resolved).toEqual([]);
  expect(canary.hits() - before).toBe(0);
});

test('a name is resolved once for a connection: what it leads to afterwards is not asked', async () => {
  const before = canary.hits();
  let calls = 0;
  const outbound = client({
    ports: [canary.port],
    timeoutMs: 500,
    resolve: async () => (calls++ === 0 ? [nowhere] : ['127.0.0.1']),
  });
  await expect(outbound.fetch(`https://rebind.example.com:${canary.port}/`)).rejects.toMatchObject({
    code: expect.stringMatching(/^(DEPENDENCY_UNAVAILABLE|TIMEOUT)$/),
  });
  expect(calls).toBe(1);
  expect(canary.hits() - before).toBe(0);
});

test('the second answer of a rebinding name is refused when a new connection asks again', async () => {
  const before = canary.hits();
  let calls = 0;
  const outbound = client({
    ports: [canary.port],
    timeoutMs: 500,
    resolve: async () => (calls++ === 0 ? [nowhere] : ['127.0.0.1']),
  });
  const url = `https://rebind.example.com:${canary.port}/`;
  await expect(outbound.fetch(url)).rejects.toBeDefined();
  await expect(outbound.fetch(url)).rejects.toMatchObject(refusal);
  expect(canary.hits() - before).toBe(0);
});

describe('an allowed server', () => {
  let respond: (...given: Parameters<RequestListener>) => unknown = () => undefined;
  const server = createHttpServer((request, response) => void respond(request, response));
  let origin: string;
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${portOf(server)}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const answering = (answer: (response: ServerResponse) => void): void => {
    respond = (_, response) => answer(response);
  };

  test('is asked with method, headers and body as given, and its answer comes back whole', async () => {
    let seen: unknown;
    respond = async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { 'content-type': type, 'x-own': own } = request.headers;
      seen = { method: request.method, url: request.url, type, own, body: Buffer.concat(chunks).toString() };
      response.writeHead(201, { 'x-answer': 'yes', 'set-cookie': ['a=1', 'b=2'] }).end('{"ok":true}');
    };
    const answer = await client({ allow: [origin] }).fetch(new URL(`${origin}/path?q=1`), {
      method: 'POST',
      headers: { 'x-own': 'value' },
      body: new URLSearchParams({ name: 'ä b' }),
    });
    expect(seen).toEqual({
      method: 'POST',
      url: '/path?q=1',
      type: 'application/x-www-form-urlencoded;charset=UTF-8',
      own: 'value',
      body: 'name=%C3%A4+b',
    });
    expect(answer).toBeInstanceOf(Response);
    expect(answer.status).toBe(201);
    expect(answer.headers.get('x-answer')).toBe('yes');
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await answer.json()).toEqual({ ok: true });
  });

  test('may be named; the name leads to the server that the resolver said', async () => {
    answering((response) => response.end('here'));
    const named = `http://idp.inside.example:${portOf(server)}`;
    const outbound = client({ allow: [named], resolve: async () => ['127.0.0.1'] });
    expect(await (await outbound.fetch(`${named}/`)).text()).toBe('here');
  });

  test('is one origin: its other ports, schemes, names and spellings with credentials are not allowed with it', async () => {
    const before = canary.hits();
    const outbound = client({ allow: [origin], ports: [443, canary.port], resolve });
    const port = portOf(server);
    for (const url of [
      `http://127.0.0.1:${canary.port}/`,
      `https://127.0.0.1:${port}/`,
      `http://localhost:${port}/`,
      `http://127.0.0.2:${port}/`,
      `http://[::ffff:127.0.0.1]:${port}/`,
      `http://user@127.0.0.1:${port}/`,
      `http://127.0.0.1:${port}@localhost:${canary.port}/`,
    ])
      await expect(outbound.fetch(url), url).rejects.toMatchObject(refusal);
    expect(canary.hits() - before).toBe(0);
  });

  test.each([301, 302, 303, 307, 308])('that redirects (%i) is not followed, inside or outside', async (status) => {
    const before = canary.hits();
    const outbound = client({ allow: [origin], ports: [canary.port], resolve });
    for (const location of [
      `http://127.0.0.1:${canary.port}/`,
      '/again',
      `https://loopback.example.com:${canary.port}/`,
    ]) {
      let asked = 0;
      answering((response) => {
        asked += 1;
        response.writeHead(status, { location }).end();
      });
      const answer = await outbound.fetch(`${origin}/`, { redirect: 'follow' });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('location')).toBe(location);
      expect(asked).toBe(1);
    }
    expect(canary.hits() - before).toBe(0);
  });

  test.each([204, 205, 304, 404, 500])('that answers %i is answered for, not thrown', async (status) => {
    answering((response) => response.writeHead(status).end());
    const answer = await client({ allow: [origin] }).fetch(origin);
    expect(answer.status).toBe(status);
    expect(await answer.text()).toBe('');
  });

  const unavailable = { code: 'DEPENDENCY_UNAVAILABLE' };

  test('that sends too long a body, announced or endless, is given up', async () => {
    const outbound = client({ allow: [origin], bodyBytesMax: 1_000 });
    answering((response) => response.writeHead(200, { 'content-length': '1001' }).end('x'.repeat(1_001)));
    await expect(outbound.fetch(origin)).rejects.toMatchObject(unavailable);
    const sent = { bytes: 0 };
    answering((response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(10_000))) sent.bytes += 10_000;
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    await expect(outbound.fetch(origin)).rejects.toMatchObject(unavailable);
    answering((response) => response.end('x'.repeat(1_000)));
    expect((await (await outbound.fetch(origin)).text()).length).toBe(1_000);
  });

  test('that sends too long a head is given up', async () => {
    answering((response) => response.writeHead(200, { 'x-long': 'x'.repeat(60_000) }).end());
    await expect(client({ allow: [origin] }).fetch(origin)).rejects.toMatchObject(unavailable);
  });

  test('is asked for a plain body, and a packed one is not unpacked', async () => {
    let accepts: string | undefined;
    respond = (request, response) => {
      accepts = request.headers['accept-encoding'];
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000)));
    };
    const outbound = client({ allow: [origin], bodyBytesMax: 10_000_000 });
    await expect(outbound.fetch(origin)).rejects.toMatchObject(unavailable);
    expect(accepts).toBe('identity');
  });

  test('that is slow to answer, or trickles its head or body, costs no more than the time allowed', async () => {
    const outbound = client({ allow: [origin], timeoutMs: 300 });
    const trickles: ((response: ServerResponse) => void)[] = [
      () => undefined,
      (response) => {
        const timer = setInterval(() => response.socket?.write('H'), 50);
        response.once('close', () => clearInterval(timer));
      },
      (response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write('x'), 50);
        response.once('close', () => clearInterval(timer));
      },
    ];
    for (const trickle of trickles) {
      answering(trickle);
      const since = performance.now();
      await expect(outbound.fetch(origin)).rejects.toMatchObject({
        code: expect.stringMatching(/^(TIMEOUT|DEPENDENCY_UNAVAILABLE)$/),
      });
      expect(performance.now() - since).toBeLessThan(1_000);
    }
  });

  test('whose name never resolves costs no more than the time allowed', async () => {
    const outbound = client({ timeoutMs: 200, resolve: () => new Promise(() => undefined) });
    const since = performance.now();
    await expect(outbound.fetch('https://slow.example.com/')).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(performance.now() - since).toBeLessThan(1_000);
  });

  test('that is gone, breaks off or speaks nonsense is unavailable, with the same public text', async () => {
    const texts = new Set<string>();
    const fail = async (outbound: Outbound, url: string): Promise<void> => {
      const thrown: unknown = await outbound.fetch(url).catch((error: unknown) => error);
      expect(thrown).toMatchObject(unavailable);
      if (thrown instanceof Error && 'text' in thrown) texts.add(String(thrown.text));
    };
    const outbound = client({ allow: [origin, 'http://127.0.0.1:1'] });
    await fail(outbound, 'http://127.0.0.1:1/');
    answering((response) => response.socket?.destroy());
    await fail(outbound, origin);
    answering((response) => response.socket?.end('SSH-2.0-OpenSSH_9.9\r\n'));
    await fail(outbound, origin);
    answering((response) => {
      response.writeHead(200, { 'content-length': '10' }).write('x');
      response.socket?.end();
    });
    await fail(outbound, origin);
    expect(texts.size).toBe(1);
  });

  test('is left alone when the caller gives up', async () => {
    answering(() => undefined);
    const given = AbortSignal.timeout(50);
    await expect(client({ allow: [origin] }).fetch(origin, { signal: given })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
  });
});
