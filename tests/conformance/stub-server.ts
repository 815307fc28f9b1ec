/** A small HTTP server that answers as a test says. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';

export interface StubRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  json<T>(): T;
}

export interface StubAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, bytes and text as they are, `undefined` as nothing. */
  readonly body?: unknown;
}

export interface StubServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly StubRequest[];
}

/** Starts it on a free loopback port. An answer of `null` leaves the caller waiting. */
export async function stubServer(
  answer: (request: StubRequest) => StubAnswer | null | Promise<StubAnswer | null>,
): Promise<StubServer> {
  const requests: StubRequest[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const url = new URL(incoming.url ?? '/', 'http://stub');
      const body = Buffer.concat(chunks);
      const request: StubRequest = {
        method: incoming.method ?? 'GET',
        path: url.pathname,
        query: url.searchParams,
        headers: incoming.headers,
        body,
        json: () => JSON.parse(body.toString('utf8')),
      };
      requests.push(request);
      void Promise.resolve(answer(request)).then((given) => {
        if (given === null) return;
        const raw = typeof given.body === 'string' || given.body instanceof Uint8Array;
        const type = raw ? {} : { 'content-type': 'application/json' };
        response.writeHead(given.status ?? 200, { ...type, ...given.headers });
        response.end(given.body === undefined ? undefined : raw ? given.body : JSON.stringify(given.body));
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the stub has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
