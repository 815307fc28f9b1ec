/** The stock tRPC adapter over the same chain: batches, streams and subscriptions. */
import type { contract } from '@novax/contracts/api/contract';
import { batchCallsMax, bodyBytesMax } from '@novax/contracts/limits';
import type { WireError } from '@novax/contracts/procedure';
import { AppError } from '@novax/runtime/errors';
import { TRPCError, initTRPC, type TRPCRouterRecord } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import type { RequestHandler } from 'express';
import type { RequestFacts } from '../request.ts';
import type { Chain } from '../invoke.ts';
import { answerHeaders, trpcError } from '../wire.ts';
import { requestFacts } from './facts.ts';

/** Codes tRPC raises itself, before our chain is asked, as codes of the table. */
const ownCodes: Readonly<Record<string, AppError['code']>> = {
  PARSE_ERROR: 'VALIDATION_FAILED',
  BAD_REQUEST: 'VALIDATION_FAILED',
  NOT_FOUND: 'NOT_FOUND',
  METHOD_NOT_SUPPORTED: 'METHOD_NOT_SUPPORTED',
  PAYLOAD_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  UNSUPPORTED_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  TIMEOUT: 'TIMEOUT',
};

/** Express middleware for `/trpc`. */
export function createTrpcFace(chain: Chain, features: typeof contract, trustedHops: number): RequestHandler {
  const t = initTRPC.context<{ facts: RequestFacts }>().create({
    // Development mode would send stacks.
    isDev: false,
    errorFormatter: ({ error, path, ctx }): WireError => {
      const known =
        error.cause instanceof AppError
          ? error.cause
          : new AppError(ownCodes[error.code] ?? 'INTERNAL', { cause: error });
      return trpcError(known, ctx?.facts.call.requestId ?? '', path);
    },
  });

  const record: Record<string, TRPCRouterRecord> = {};
  for (const [feature, rows] of Object.entries(features)) {
    record[feature] = Object.fromEntries(
      Object.entries(rows).map(([verb, row]) => {
        const resolve = async (options: { ctx: { facts: RequestFacts }; input: unknown }): Promise<unknown> => {
          try {
            return await chain.invoke(`${feature}.${verb}`, options.input, options.ctx.facts);
          } catch (thrown) {
            throw new TRPCError({ code: 'INTERNAL_SERVER_ERROR', cause: thrown });
          }
        };
        // The chain parses; tRPC only has to pass the input on.
        const procedure = t.procedure.input((raw: unknown) => raw);
        return [verb, row.kind === 'query' ? procedure.query(resolve) : procedure.mutation(resolve)];
      }),
    );
  }

  return createExpressMiddleware({
    router: t.router(record),
    createContext: ({ req }) => ({ facts: requestFacts(req, 'trpc', trustedHops) }),
    maxBatchSize: batchCallsMax,
    maxBodySize: bodyBytesMax,
    responseMeta: ({ ctx, errors, data }) => {
      // Our codes are carried as causes; status and headers of a single failed call must be theirs.
      const [first] = errors;
      const error = first?.cause instanceof AppError && data.length === 1 ? first.cause : undefined;
      const headers = ctx === undefined ? {} : answerHeaders(ctx.facts, error);
      return error === undefined ? { headers } : { status: trpcError(error, '', undefined).data.httpStatus, headers };
    },
  });
}
