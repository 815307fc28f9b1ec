/** Every toxic does to a connection what its name says. */
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { faultProxy, type FaultProxy } from './proxy.ts';

let echo: Server;
let target: string;
/** Ends of connections that the server saw. */
let serverEnds = 0;
beforeAll(async () => {
  echo = createServer((socket) => {
    socket.on('end', () => (serverEnds += 1));
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  target = `tcp://127.0.0.1:${address.port}`;
});
afterAll(() => void echo.close());

interface Client {
  readonly socket: Socket;
  /** How it ended, once it has. */
  readonly ended: Promise<'end' | 'reset'>;
  /** Sends and answers how long the first `wanted` bytes of the echo took, and in how many pieces they came. */
  ask(text: string, wanted?: number): Promise<{ ms: number; pieces: number; text: string }>;
}

async function client(proxy: FaultProxy): Promise<Client> {
  const { port } = new URL(proxy.url);
  const socket = connectTcp(Number(port), '127.0.0.1');
  const ended = new Promise<'end' | 'reset'>((resolve) => {
    socket.on('error', () => resolve('reset'));
    socket.on('close', () => resolve('end'));
  });
  await once(socket, 'connect');
  return {
    socket,
    ended,
    async ask(text, wanted = text.length) {
      const began = performance.now();
      const pieces: Buffer[] = [];
      const whole = new Promise<void>((resolve) => {
        socket.on('data', (piece) => {
          pieces.push(piece);
          if (Buffer.concat(pieces).length >= wanted) resolve();
        });
      });
      socket.write(text);
      await whole;
      return { ms: performance.now() - began, pieces: pieces.length, text: Buffer.concat(pieces).toString() };
    },
  };
}

test('without a toxic everything passes as it is', async () => {
  await using proxy = await faultProxy(target);
  const { ask, socket } = await client(proxy);
  expect(await ask('x'.repeat(100_000))).toMatchObject({ text: 'x'.repeat(100_000) });
  socket.end();
});

test('latency delays, keeps the order, and ends when taken away', async () => {
  await using proxy = await faultProxy(target);
  const cure = proxy.poison({ type: 'latency', latencyMs: 60, jitterMs: 20 });
  const text = Array.from({ length: 50 }, (_, n) => `${n};`).join('');
  const slow = await (await client(proxy)).ask(text);
  expect(slow.ms).toBeGreaterThanOrEqual(39);
  expect(slow.text).toBe(text);
  cure();
  expect((await (await client(proxy)).ask('x')).ms).toBeLessThan(39);
});

test('bandwidth bounds the bytes a second', async () => {
  await using proxy = await faultProxy(target);
  proxy.poison({ type: 'bandwidth', bytesPerSecond: 100_000 });
  expect((await (await client(proxy)).ask('x'.repeat(20_000))).ms).toBeGreaterThanOrEqual(190);
});

test('slicer cuts into pieces and loses none', async () => {
  await using proxy = await faultProxy(target);
  proxy.poison({ type: 'slicer', averageBytes: 10, delayMs: 2 });
  const { pieces, text } = await (await client(proxy)).ask('0123456789'.repeat(10));
  expect(pieces).toBeGreaterThan(3);
  expect(text).toBe('0123456789'.repeat(10));
});

test('limit_data closes after that many bytes', async () => {
  await using proxy = await faultProxy(target);
  proxy.poison({ type: 'limit_data', bytes: 5 });
  const { ask, ended } = await client(proxy);
  expect(await ask('0123456789', 5)).toMatchObject({ text: '01234' });
  expect(await ended).toBe('end');
});

test('timeout swallows everything and closes; reset_peer resets', async () => {
  await using proxy = await faultProxy(target);
  const cure = proxy.poison({ type: 'timeout', timeoutMs: 30 });
  const silent = await client(proxy);
  let heard = 0;
  silent.socket.on('data', () => (heard += 1));
  silent.socket.write('x');
  expect(await silent.ended).toBe('end');
  expect(heard).toBe(0);
  cure();
  proxy.poison({ type: 'reset_peer', timeoutMs: 1 });
  const broken = await client(proxy);
  broken.socket.write('x');
  expect(await broken.ended).toBe('reset');
});

test('slow_close holds back the end; half_open never tells it', async () => {
  await using proxy = await faultProxy(target);
  const cure = proxy.poison({ type: 'slow_close', delayMs: 80 }, 'upstream');
  const before = serverEnds;
  const { socket, ended, ask } = await client(proxy);
  await ask('x');
  const began = performance.now();
  socket.end();
  await ended;
  expect(performance.now() - began).toBeGreaterThanOrEqual(75);
  expect(serverEnds).toBe(before + 1);
  cure();
  proxy.poison({ type: 'half_open' }, 'upstream');
  const other = await client(proxy);
  await other.ask('x');
  other.socket.end();
  const again = await client(proxy);
  await again.ask('y');
  expect(serverEnds).toBe(before + 1);
});

test('down ends every connection and refuses new ones until it is mended', async () => {
  await using proxy = await faultProxy(target);
  const { ended, ask } = await client(proxy);
  await ask('x');
  expect(proxy.connections()).toBe(1);
  proxy.down();
  expect(await ended).toBe('reset');
  const refused = connectTcp(Number(new URL(proxy.url).port), '127.0.0.1');
  refused.on('error', () => undefined);
  await new Promise((resolve) => refused.once('close', resolve));
  proxy.mend();
  expect(await (await client(proxy)).ask('back')).toMatchObject({ text: 'back' });
});
