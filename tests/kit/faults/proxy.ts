/** A TCP proxy in front of a server, to lose, slow or corrupt the way to that server on purpose. */
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { pass, type Flow, type Toxic } from './toxics.ts';

/** `downstream`: what the server says; `upstream`: what the client says. */
export type Direction = 'upstream' | 'downstream';

export interface FaultProxy extends AsyncDisposable {
  /** The server's URL, through the proxy. */
  readonly url: string;
  /** Adds a toxic to what passes from now on, on old connections too; the answer takes it away. */
  poison(toxic: Toxic, direction?: Direction): () => void;
  /** Ends every connection and refuses new ones. */
  down(): void;
  /** Takes every toxic away and lets everything pass again. Connections that were closed stay closed. */
  mend(): void;
  /** Connections open now. */
  connections(): number;
}

interface Poison {
  readonly toxic: Toxic;
  readonly direction: Direction;
}

/** Starts a proxy on a free port to the server that `target` names. */
export async function faultProxy(target: string): Promise<FaultProxy> {
  const goal = new URL(target);
  const links = new Set<Link>();
  let poisons: readonly Poison[] = [];
  let up = true;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (!up) return void near.resetAndDestroy();
    const far = connectTcp({ port: Number(goal.port), host: goal.hostname, allowHalfOpen: true });
    const link = connectLink(near, far, () => poisons);
    links.add(link);
    void link.ended.then(() => links.delete(link));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const through = new URL(target);
  through.hostname = '127.0.0.1';
  const url = through.href.replace(`127.0.0.1:${through.port}`, `127.0.0.1:${address.port}`);
  return {
    url,
    poison(toxic, direction = 'downstream') {
      const poison = { toxic, direction };
      poisons = [...poisons, poison];
      return () => {
        poisons = poisons.filter((other) => other !== poison);
      };
    },
    down() {
      up = false;
      for (const link of links) link.reset();
    },
    mend() {
      up = true;
      poisons = [];
    },
    connections: () => links.size,
    async [Symbol.asyncDispose]() {
      for (const link of links) link.reset();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Link {
  readonly ended: Promise<void>;
  reset(): void;
}

/** Joins two sockets; each direction sends its pieces one after another, so that no toxic reorders them. */
function connectLink(near: Socket, far: Socket, poisons: () => readonly Poison[]): Link {
  const closed = Promise.all([near, far].map((socket) => once(socket, 'close').catch(() => undefined)));
  const reset = (): void => {
    for (const socket of [near, far]) if (!socket.destroyed) socket.resetAndDestroy();
  };
  const close = (): void => {
    for (const socket of [near, far]) socket.destroy();
  };
  const carry = (from: Socket, to: Socket, direction: Direction): void => {
    const flow: Flow = { passed: 0 };
    let tail = Promise.resolve();
    const acting = (): readonly Toxic[] => poisons().flatMap((it) => (it.direction === direction ? [it.toxic] : []));
    from.on('data', (bytes) => {
      from.pause();
      tail = tail.then(() => send(bytes, acting())).then(() => void from.resume());
    });
    from.on('end', () => void (tail = tail.then(() => finish(acting()))));
    from.on('error', () => {
      if (!acting().some(({ type }) => type === 'half_open')) reset();
    });

    async function send(bytes: Buffer, toxics: readonly Toxic[]): Promise<void> {
      const [toxic, ...rest] = toxics;
      if (toxic === undefined) return void (to.destroyed || to.write(bytes));
      const { pieces, end } = pass(toxic, bytes, flow);
      for (const piece of pieces) {
        if (piece.afterMs > 0) await after(piece.afterMs);
        await send(piece.bytes, rest);
      }
      if (end === undefined) return;
      if (end.afterMs > 0) await after(end.afterMs);
      if (end.how === 'reset') reset();
      else close();
    }

    async function finish(toxics: readonly Toxic[]): Promise<void> {
      if (toxics.some(({ type }) => type === 'half_open')) return;
      for (const toxic of toxics) if (toxic.type === 'slow_close') await after(toxic.delayMs);
      to.end();
    }
  };
  carry(near, far, 'upstream');
  carry(far, near, 'downstream');
  return { ended: closed.then(() => undefined), reset };
}

/** Time is what a proxy like this is made of; nothing waits for it in order to be true. */
function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
