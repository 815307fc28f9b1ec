/** The contract's grammar: what one row says, and the types that follow from a table of rows. */
import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorData,
  TRPCErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
} from '@trpc/server';
import type { z } from 'zod';
import type { ErrorCode, ErrorData } from './errors.ts';
import type { RateClass } from './limits.ts';
import type { Action } from './permissions.ts';

/** What a call is about; for writes the API finds the organization and the caller's role through it. */
export type Scope = 'public' | 'user' | 'organization' | 'project' | 'document' | 'invitation' | 'apiKey';

/** How the handler meets the database: a tenant transaction, the pipelined read lane, or its own short ones. */
export type TxKind = 'write' | 'read' | 'none';

/** Milliseconds a caller should expect at the median, by class of work (one objective per class). */
export type LatencyClass = 'fast' | 'hash' | 'search' | 'bulk';

interface RowFields<I extends z.ZodType, O extends z.ZodType, T extends TxKind> {
  /** One sentence for the reference and for agents. */
  readonly summary: string;
  readonly input: I;
  readonly output: O;
  readonly scope: Scope;
  /** Optional: writes in an organization, project or document name the input field that holds its id. */
  readonly target?: keyof z.output<I> & string;
  /** Optional: public rows and rows about oneself need no role. */
  readonly needs?: Action;
  readonly tx: T;
  readonly limit: RateClass;
  readonly latency: LatencyClass;
  /** The codes this row can answer besides those every row can (see `commonErrors`). */
  readonly errors: readonly ErrorCode[];
  /** Optional: rows without one are not on the REST face. `:name` takes the input field of that name. */
  readonly rest?: `${'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'} /${string}`;
  /** Optional: success status of the REST face, 200 when absent. */
  readonly status?: 201 | 204;
}

export interface QueryRow<I extends z.ZodType, O extends z.ZodType, T extends TxKind> extends RowFields<I, O, T> {
  readonly kind: 'query';
}
export interface MutationRow<I extends z.ZodType, O extends z.ZodType, T extends TxKind> extends RowFields<I, O, T> {
  readonly kind: 'mutation';
}
export type Row = QueryRow<z.ZodType, z.ZodType, TxKind> | MutationRow<z.ZodType, z.ZodType, TxKind>;

/** Features by name, each a record of rows by verb. */
export type Contract = Readonly<Record<string, Readonly<Record<string, Row>>>>;

/** Codes that any row can answer, so that rows need not repeat them. */
export const commonErrors = [
  'UNAUTHENTICATED',
  'VALIDATION_FAILED',
  'RATE_LIMITED',
  'PAYLOAD_TOO_LARGE',
  'DEPENDENCY_UNAVAILABLE',
  'TIMEOUT',
  'INTERNAL',
] as const satisfies readonly ErrorCode[];

/** Declares a read. */
export function query<I extends z.ZodType, O extends z.ZodType, const T extends TxKind>(
  row: RowFields<I, O, T>,
): QueryRow<I, O, T> {
  return { kind: 'query', ...row };
}

/** Declares a write. */
export function mutation<I extends z.ZodType, O extends z.ZodType, const T extends TxKind>(
  row: RowFields<I, O, T>,
): MutationRow<I, O, T> {
  return { kind: 'mutation', ...row };
}

/** The wire shape of a tRPC error here: tRPC's own data and ours. */
export type WireError = TRPCErrorShape<TRPCDefaultErrorData & ErrorData>;

interface RootTypes {
  ctx: object;
  meta: object;
  errorShape: WireError;
  transformer: false;
}

type ProcedureOf<R> =
  R extends QueryRow<infer I, infer O, TxKind>
    ? TRPCQueryProcedure<{ meta: object; input: z.input<I>; output: z.output<O>; errorShape: WireError }>
    : R extends MutationRow<infer I, infer O, TxKind>
      ? TRPCMutationProcedure<{ meta: object; input: z.input<I>; output: z.output<O>; errorShape: WireError }>
      : never;

/** tRPC's router type, derived from a contract, so that clients never import server code. */
export type RouterOf<C extends Contract> = TRPCBuiltRouter<
  RootTypes,
  { [F in keyof C]: { [V in keyof C[F]]: ProcedureOf<C[F][V]> } }
>;

type HandlerOf<R, Ctx extends Record<TxKind, unknown>> =
  R extends QueryRow<infer I, infer O, infer T>
    ? (ctx: Ctx[T], input: z.output<I>) => Promise<z.input<O>>
    : R extends MutationRow<infer I, infer O, infer T>
      ? (ctx: Ctx[T], input: z.output<I>) => Promise<z.input<O>>
      : never;

/** One function per row, with the context its `tx` kind gives; a missing handler does not compile. */
export type HandlersOf<C extends Contract, Ctx extends Record<TxKind, unknown>> = {
  readonly [F in keyof C]: { readonly [V in keyof C[F]]: HandlerOf<C[F][V], Ctx> };
};
