/**
 * The thin tRPC path: single calls, read and written in tRPC's own wire format in front of Express.
 * Batches and subscriptions are left to the stock adapter; both share one chain.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorTable } from '@novax/contracts/errors';
import { AppError, toAppError } from '@novax/runtime/errors';
import type { Chain } from '../invoke.ts';
import { answerHeaders, trpcError } from '../wire.ts';
import { drain, readJson } from './body.ts';
import { requestFacts } from './facts.ts';

const prefix = '/trpc/';

/** Answers the request and returns true, or returns false for one that the stock adapter must serve. */
export function createThinPath(
  chain: Chain,
  trustedHops: number,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const url = request.url ?? '';
    if (!url.startsWith(prefix)) return false;
    const { method } = request;
    // Asking for headers alone is the stock adapter's to answer.
    if (method === 'HEAD') return false;
    const mark = url.indexOf('?');
    const path = mark === -1 ? url.slice(prefix.length) : url.slice(prefix.length, mark);
    const search = mark === -1 ? '' : url.slice(mark + 1);
    if (path.includes(',') || path.includes('%') || search.includes('batch=')) return false;
    // Streams and typed accept headers belong to the stock adapter.
    if ((request.headers.accept ?? '').includes('text/event-stream') || request.headers['trpc-accept'] !== undefined)
      return false;
    void serve(path, search);
    return true;

    async function serve(procedure: string, query: string): Promise<void> {
      const facts = requestFacts(request, 'trpc', trustedHops);
      try {
        const kind = chain.procedures.get(procedure)?.row.kind;
        const fits =
          kind === 'query'
            ? method === 'GET'
            : kind === 'mutation'
              ? method === 'POST'
              : method === 'GET' || method === 'POST';
        if (!fits) {
          await chain.admit(facts);
          throw new AppError('METHOD_NOT_SUPPORTED', { detail: `${method} on a ${kind}` });
        }
        const input = () => (method === 'GET' ? inputOf(query) : readJson(request));
        const data = await chain.invoke(procedure, input, facts);
        write(response, { status: 200, body: { result: { data } }, headers: answerHeaders(facts) });
      } catch (thrown) {
        const error = toAppError(thrown);
        write(response, {
          status: errorTable[error.code].http,
          body: { error: trpcError(error, facts.call.requestId, procedure) },
          headers: answerHeaders(facts, error),
        });
        if (!request.readableEnded) drain(request);
      }
    }
  };
}

function inputOf(search: string): unknown {
  const text = new URLSearchParams(search).get('input');
  if (text === null || text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('VALIDATION_FAILED', {
      cause,
      issues: [{ path: 'input', message: 'The input is not valid JSON.' }],
    });
  }
}

/** Writes one JSON answer. */
export function write(
  response: ServerResponse,
  answer: { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> },
): void {
  const { status, body, headers } = answer;
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}
