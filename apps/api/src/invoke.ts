/** The one chain every face goes through: limit → actor → limit → parse → (writes) target → gate → handler → commit → error. */
import { cacheKeys } from '@novax/contracts/cache-keys';
import { errorTable } from '@novax/contracts/errors';
import { rateWindowMs, type RateClass } from '@novax/contracts/limits';
import { roleMay, roles } from '@novax/contracts/permissions';
import type { Row } from '@novax/contracts/procedure';
import type { Actor } from '@novax/db/actor';
import { targets } from '@novax/db/queries/targets';
import type { ReadLane } from '@novax/db/read-lane';
import type { RateLimiter } from '@novax/domain/ports';
import type { Reader } from '@novax/domain/reader';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { networkOf } from './address.ts';
import type { OpenContext, ReadContext, Services, WriteContext } from './context.ts';
import type { Caller, RequestFacts } from './request.ts';

type AnyHandler = (context: never, input: never) => Promise<unknown>;

/** A contract row with the function that answers it. */
export interface Procedure {
  /** `feature.verb`. */
  readonly path: string;
  readonly row: Row;
  readonly handler: AnyHandler;
}

export interface Chain {
  /** Every procedure by its path. */
  readonly procedures: ReadonlyMap<string, Procedure>;
  /** Answers a call or throws an `AppError`; times it either way. */
  invoke(path: string, rawInput: unknown, request: RequestFacts): Promise<unknown>;
}

export interface ChainOptions {
  readonly procedures: ReadonlyMap<string, Procedure>;
  readonly services: Services;
  readonly lane: ReadLane;
  /** For rows whose latency is that of a search. */
  readonly searchLane: ReadLane;
  readonly limiter: RateLimiter;
  readonly limits: Readonly<Record<string, number>>;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Called after a write committed, so that its events need not wait for the relay's next look. */
  readonly onCommit: () => void;
  /** Parse what handlers answer; types hold it already, so production saves the time. */
  readonly checkOutput: boolean;
}

/** Builds the chain that all faces share, so that authentication and limits cannot diverge. */
export function createChain(options: ChainOptions): Chain {
  const { services, limiter, limits, metrics, log } = options;

  /** Reads pass when the limiter is down, sign-in does not (it guards passwords). */
  async function limit(rateClass: RateClass | 'address' | 'organization', subject: string): Promise<void> {
    const max = limits[rateClass] ?? 0;
    let decision;
    try {
      decision = await limiter.take(cacheKeys.rateLimit(rateClass, subject), max, rateWindowMs);
    } catch (cause) {
      if (rateClass === 'signIn')
        throw new AppError('DEPENDENCY_UNAVAILABLE', { cause, detail: 'rate limiter is down', retryAfterS: 1 });
      return;
    }
    if (decision.admitted) return;
    metrics.rateLimited.inc({ class: rateClass });
    throw new AppError('RATE_LIMITED', { retryAfterS: Math.ceil(decision.retryAfterMs / 1000) });
  }

  function readerFor(caller: Caller | null, row: Row): Reader {
    const lane = row.latency === 'search' ? options.searchLane : options.lane;
    const scope = { userId: caller?.userId ?? null, orgId: caller?.kind === 'apiKey' ? caller.orgId : null };
    return { userId: caller?.userId ?? '', read: (statement, values) => lane.read(scope, statement, values) };
  }

  async function run(procedure: Procedure, rawInput: unknown, request: RequestFacts): Promise<unknown> {
    const { row } = procedure;
    const address = request.call.ip === null ? 'unknown' : networkOf(request.call.ip);
    // Before anyone is authenticated only the address is known: forged tokens are not even looked at beyond its limit. A signed-in person then has
    // limits of their own.
    await limit(row.scope === 'public' ? row.limit : 'address', `ip:${address}`);
    const caller = row.scope === 'public' ? null : await services.auth.authenticate(request.authorization);
    if (caller !== null) {
      await limit(row.limit, caller.kind === 'apiKey' ? `key:${caller.apiKeyId}` : `user:${caller.userId}`);
      admitKey(row, caller);
    }
    const input = parse(row, rawInput);
    const reader = readerFor(caller, row);
    // Reads that every member may make need no look at the role: the policies show members their rows and nobody else's.
    const orgId = row.tx === 'write' || isGated(row) ? await gate(row, input, reader) : namedOrganization(input);
    if (caller !== null && orgId !== null) await limit('organization', orgId);
    if (row.tx === 'read') return call<ReadContext>(procedure, { reader, services }, input);
    if (row.tx === 'none') {
      const answer = await call<OpenContext>(procedure, { services, request, caller, reader }, input);
      if (row.kind === 'mutation') options.onCommit();
      return answer;
    }
    if (orgId === null) throw new Error(`a write must be in an organization: ${procedure.path}`);
    const actor: Actor =
      caller?.kind === 'apiKey'
        ? { type: 'api_key', userId: caller.userId, apiKeyId: caller.apiKeyId }
        : { type: 'user', userId: reader.userId };
    const answer = await services.db.tenant({ orgId, actor, call: request.call }, (tx) =>
      call<WriteContext>(procedure, { tx, services }, input),
    );
    options.onCommit();
    return answer;
  }

  /** Our own failures with their causes; what the caller did wrong in one line. */
  function report(error: AppError, path: string, request: RequestFacts): void {
    const { requestId } = request.call;
    const facts = { requestId, procedure: path, code: error.code };
    if (error.code === 'INTERNAL') log.error({ ...facts, err: error }, 'call failed');
    else if (errorTable[error.code].http >= 500) log.warn({ ...facts, err: error }, 'call could not be served');
    else log.info({ ...facts, detail: error.message }, 'call refused');
  }

  return {
    procedures: options.procedures,
    async invoke(path, rawInput, request) {
      const started = performance.now();
      const procedure = options.procedures.get(path);
      let code = 'OK';
      try {
        if (procedure === undefined)
          throw new AppError('NOT_FOUND', {
            detail: `no procedure "${path}"`,
            text: 'There is no procedure by that name.',
          });
        const answer = await run(procedure, rawInput, request);
        return options.checkOutput ? procedure.row.output.parse(answer) : answer;
      } catch (thrown) {
        const error = thrown instanceof AppError ? thrown : new AppError('INTERNAL', { cause: thrown });
        code = error.code;
        report(error, path, request);
        throw error;
      } finally {
        metrics.httpRequestDuration.observe(
          { face: request.face, procedure: procedure?.path ?? 'unknown', code },
          (performance.now() - started) / 1000,
        );
      }
    },
  };
}

function parse(row: Row, rawInput: unknown): unknown {
  const parsed = parseWithin(row, rawInput ?? {});
  if (parsed.success && !holdsNul(parsed.data)) return parsed.data;
  const found = parsed.success ? [{ path: [], message: 'Text may not hold the NUL character.' }] : parsed.error.issues;
  const issues = found.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  throw new AppError('VALIDATION_FAILED', {
    issues,
    detail: issues.map((issue) => `${issue.path}: ${issue.message}`).join('; '),
  });
}

/** Schemas of open JSON recurse: an input nested deeper than the stack is as invalid as any other. */
function parseWithin(row: Row, rawInput: unknown) {
  try {
    return row.input.safeParse(rawInput);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AppError('VALIDATION_FAILED', {
      cause,
      issues: [{ path: '', message: 'The input is nested too deeply.' }],
    });
  }
}

/** PostgreSQL can store every character but this one. */
function holdsNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).some(([name, item]) => name.includes('\0') || holdsNul(item))
  );
}

/** An API key may call what one of its scopes names, and nothing that is about a person. Throws FORBIDDEN. */
function admitKey({ needs }: Row, caller: Caller): void {
  if (caller.kind !== 'apiKey' || (needs !== undefined && caller.scopes.has(needs))) return;
  throw new AppError('FORBIDDEN', {
    detail: `api key ${caller.apiKeyId} lacks ${needs ?? 'a session'}`,
    text:
      needs === undefined ? 'This takes a signed-in person, not an API key.' : `This API key lacks the scope ${needs}.`,
  });
}

/** True for a read that not every role may make. */
function isGated({ tx, needs, target }: Row): boolean {
  return tx === 'read' && target !== undefined && needs !== undefined && !roles.every((role) => roleMay(role, needs));
}

/** The organization an input names itself; by the id of something inside it, it is known to the database alone. */
function namedOrganization(input: unknown): string | null {
  // Inputs of the contract are objects.
  const { organizationId } = input as { organizationId?: unknown };
  return typeof organizationId === 'string' ? organizationId : null;
}

/** The target's organization, if the caller's role there allows the row. Throws NOT_FOUND or FORBIDDEN. */
async function gate(row: Row, input: unknown, reader: Reader): Promise<string> {
  const { scope, target, needs } = row;
  if (scope === 'public' || scope === 'user' || target === undefined || needs === undefined) {
    throw new Error(`a write in a tenant must name its target and what it needs: ${row.summary}`);
  }
  // `target` is a key of the parsed input by the contract's types.
  const id = (input as Record<string, string>)[target];
  const [found] = await reader.read(targets[scope], [id ?? '']);
  if (found === undefined) throw new AppError('NOT_FOUND', { detail: `${scope} ${id}` });
  if (!roleMay(found.role, needs)) throw new AppError('FORBIDDEN', { detail: `${found.role} may not ${needs}` });
  return found.org_id;
}

function call<C>(procedure: Procedure, context: C, input: unknown): Promise<unknown> {
  // Handler, context and input come from the same row; the table has forgotten which.
  return procedure.handler(context as never, input as never);
}
