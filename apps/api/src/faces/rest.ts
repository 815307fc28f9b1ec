/** The REST face: one route per contract row that names one, problem+json errors. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorTable } from '@novax/contracts/errors';
import { AppError, toAppError } from '@novax/runtime/errors';
import { Router, type RequestHandler } from 'express';
import { z } from 'zod';
import type { Chain, Procedure } from '../invoke.ts';
import type { RequestFacts } from '../request.ts';
import { answerHeaders, problem } from '../wire.ts';
import { drain, readJson } from './body.ts';
import { requestFacts } from './facts.ts';
import { write } from './thin.ts';

/** Router for `/api/v1`. */
export function createRestFace(chain: Chain, trustedHops: number): Router {
  const router = Router({ caseSensitive: true });
  const search = chain.procedures.get('search.query');
  for (const procedure of chain.procedures.values()) {
    if (procedure.row.rest === undefined) continue;
    const [method = '', path = ''] = procedure.row.rest.split(' ');
    const answer = answerWith(chain, trustedHops);
    const handle: RequestHandler = (request, response) => {
      // `GET /documents?q=` is the documented alias of `search.query`.
      const aliased = procedure.path === 'documents.list' && request.query['q'] !== undefined && search !== undefined;
      return answer(
        aliased ? search : procedure,
        { request, response },
        { params: request.params, query: request.query },
      );
    };
    const route = router.route(path);
    if (method === 'GET') route.get(handle);
    else if (method === 'POST') route.post(handle);
    else if (method === 'PATCH') route.patch(handle);
    else if (method === 'PUT') route.put(handle);
    else route.delete(handle);
  }
  router.use(async (request, response) => {
    const facts = requestFacts(request, 'rest', trustedHops);
    const error = await chain
      .admit(facts)
      .then(() => new AppError('NOT_FOUND', { text: 'There is no such route; see /docs.' }), toAppError);
    refuse(request, response, { error, facts });
  });
  return router;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Located {
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
}

function answerWith(chain: Chain, trustedHops: number) {
  return async (procedure: Procedure, exchange: Exchange, located: Located): Promise<void> => {
    const { request, response } = exchange;
    const facts = requestFacts(request, 'rest', trustedHops);
    const bodiless = request.method === 'GET' || request.method === 'DELETE';
    const input = async () => mergeInput(procedure, located, bodiless ? undefined : await readJson(request));
    try {
      const answer = await chain.invoke(procedure.path, input, facts);
      write(response, { status: procedure.row.status ?? 200, body: answer, headers: answerHeaders(facts) });
    } catch (thrown) {
      refuse(request, response, { error: toAppError(thrown), facts });
    }
  };
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  failure: { error: AppError; facts: RequestFacts },
): void {
  const { error, facts } = failure;
  const headers = { 'content-type': 'application/problem+json', ...answerHeaders(facts, error) };
  write(response, { status: errorTable[error.code].http, body: problem(error, facts.call.requestId), headers });
  if (!request.readableEnded) drain(request);
}

/** Body, query and path as one input; the path wins, so a body cannot point elsewhere. */
function mergeInput(procedure: Procedure, located: Located, body: unknown): unknown {
  if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) return body;
  return { ...body, ...fromText(procedure, located.query), ...located.params };
}

/** Query values are text; those whose schema wants a number or a boolean are read as one. */
function fromText(procedure: Procedure, query: Located['query']): Record<string, unknown> {
  const { input } = procedure.row;
  const shape: Record<string, unknown> = input instanceof z.ZodObject ? input.shape : {};
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => {
      const wanted = innermost(shape[name]);
      if (typeof value !== 'string') return [name, value];
      if (wanted instanceof z.ZodNumber && /^-?\d+(\.\d+)?$/.test(value)) return [name, Number(value)];
      if (wanted instanceof z.ZodBoolean && (value === 'true' || value === 'false')) return [name, value === 'true'];
      return [name, value];
    }),
  );
}

/** The schema under `optional` and `default`. */
function innermost(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return innermost(schema.unwrap());
  return schema;
}
