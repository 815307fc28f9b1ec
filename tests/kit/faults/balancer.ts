/** A small load balancer: sends each request to the next of its targets over connections it keeps, and tries none twice. */
import { once } from 'node:events';
import { Agent, createServer, request as send } from 'node:http';

export interface Balancer extends AsyncDisposable {
  readonly url: string;
  add(target: string): void;
  /** From this moment of `performance.now()` on nothing is sent to it, however late a loaded machine comes to look. */
  remove(target: string, from: number): void;
  /** What it could not pass on, and why. */
  readonly failures: readonly string[];
}

/** Starts it on a free loopback port. What a target does not answer is a 502. */
export async function balancer(): Promise<Balancer> {
  const targets = new Map<string, { readonly agent: Agent; until: number }>();
  const failures: string[] = [];
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    const all = [...targets].filter(([, { until }]) => performance.now() < until);
    const [target, { agent } = {}] = all[turn++ % all.length] ?? [];
    if (target === undefined) return void outgoing.writeHead(503).end();
    const { hostname, port } = new URL(target);
    const { connection: _, ...headers } = incoming.headers;
    const onward = send({ hostname, port, agent, method: incoming.method, path: incoming.url, headers });
    onward.on('response', (answer) => {
      // Either side's connections are its own affair.
      const { connection: __, ...answered } = answer.headers;
      outgoing.writeHead(answer.statusCode ?? 502, answered);
      answer.pipe(outgoing);
    });
    onward.on('error', (error) => {
      failures.push(`${target}: ${error.message}`);
      if (!outgoing.headersSent) outgoing.writeHead(502);
      outgoing.end();
    });
    incoming.pipe(onward);
  });
  // Its clients close what they keep, so that no call meets a connection that is being closed.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the balancer has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    failures,
    add: (target) => void targets.set(target, { agent: new Agent({ keepAlive: true }), until: Infinity }),
    remove(target, from) {
      const known = targets.get(target);
      if (known !== undefined) known.until = from;
    },
    async [Symbol.asyncDispose]() {
      for (const { agent } of targets.values()) agent.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
