/** A TCP proxy in front of a server, to lose that server on purpose. */
import { createServer, connect as connectTcp, type Socket } from 'node:net';
import { once } from 'node:events';

export interface TcpProxy extends AsyncDisposable {
  /** The server's URL, through the proxy. */
  readonly url: string;
  /** Ends every connection and refuses new ones. */
  cut(): void;
  /** Keeps connections open and lets nothing pass. */
  stall(): void;
  /** Lets everything pass again. */
  mend(): void;
}

/** Starts a proxy to the server that `target` names. */
export async function tcpProxy(target: string): Promise<TcpProxy> {
  const goal = new URL(target);
  let state: 'open' | 'cut' | 'stalled' = 'open';
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((near) => {
    if (state === 'cut') return void near.destroy();
    const far = connectTcp(Number(goal.port), goal.hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (chunk) => to.write(chunk));
      from.on('error', end);
      from.on('close', end);
      if (state === 'stalled') from.pause();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const each = (act: (socket: Socket) => void): void => {
    for (const pair of pairs) pair.forEach(act);
  };
  const through = new URL(target);
  through.hostname = '127.0.0.1';
  const url = through.href.replace(`127.0.0.1:${through.port}`, `127.0.0.1:${address.port}`);
  return {
    url,
    cut() {
      state = 'cut';
      each((socket) => socket.destroy());
    },
    stall() {
      state = 'stalled';
      each((socket) => socket.pause());
    },
    mend() {
      state = 'open';
      each((socket) => socket.resume());
    },
    async [Symbol.asyncDispose]() {
      each((socket) => socket.destroy());
      server.close();
      await once(server, 'close');
    },
  };
}
