/** Requests that no client of ours would make, over connections that must survive them. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { errorTable, isErrorCode } from '@novax/contracts/errors';
import { expect } from 'vitest';

export interface Sent {
  /** Where the API is. */
  readonly url: string;
  /** Value of the Authorization header. */
  readonly authorization: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string | Buffer | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends over one kept connection, then asks on that same connection for something ordinary. */
export async function send(sent: Sent): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const answer = await exchange(agent, sent);
    const next = await exchange(agent, {
      ...sent,
      method: 'GET',
      path: '/trpc/users.me',
      headers: {},
      body: undefined,
    });
    expect(next.status, `after ${sent.method} ${sent.path}`).toBe(200);
    return answer;
  } finally {
    agent.destroy();
  }
}

async function exchange(
  agent: Agent,
  sent: Sent,
): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  const { hostname, port } = new URL(sent.url);
  const { method, path, body } = sent;
  const headers = {
    authorization: sent.authorization,
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    ...sent.headers,
  };
  const outgoing = httpRequest({ agent, hostname, port, method, path, headers });
  outgoing.end(body);
  // `once` types events as unknown tuples; `response` brings a message.
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode ?? 0, text, headers: response.headers };
}

/** A typed error of the table with the right status, and nothing about the inside. */
export function expectTyped(answer: { status: number; text: string }, codes: readonly string[]): void {
  expect(answer.status, answer.text.slice(0, 300)).toBeLessThan(500);
  expect(answer.text).not.toMatch(/node_modules|\bat .*\.ts|\.ts:\d|ZodError|SyntaxError|TRPCError|select /);
  const parsed = JSON.parse(answer.text);
  const one = Array.isArray(parsed) ? parsed[0] : parsed;
  const code: unknown = one?.error?.data?.appCode ?? one?.code;
  expect(codes, answer.text.slice(0, 300)).toContain(code);
  if (isErrorCode(code) && !Array.isArray(parsed)) expect(answer.status).toBe(errorTable[code].http);
}
