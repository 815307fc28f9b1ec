/** The one chain every face goes through: limit → actor → limit → parse → (writes) target → gate → handler → commit → error. */
import { errorTable } from '@novax/contracts/errors';
import { allowedWhileSuspended, roleMay, roles } from '@novax/contracts/permissions';
import type { Row } from '@novax/contracts/procedure';
import type { Actor } from '@novax/db/actor';
import { targets } from '@novax/db/queries/targets';
import type { ReadLane } from '@novax/db/read-lane';
import type { RateLimiter } from '@novax/domain/rate-limiter';
import type { Reader } from '@novax/domain/reader';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import { systemClock } from '@novax/runtime/clock';
import type { Authenticate } from './auth/authenticate.ts';
import type { OpenContext, ReadContext, Services, WriteContext } from './context.ts';
import { createKnownMembers } from './known-members.ts';
import { createLimits } from './limits.ts';
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
  /** Answers a call or throws an `AppError`; times it either way. A function as input reads it, once the address is within its limit. */
  invoke(path: string, rawInput: unknown, request: RequestFacts): Promise<unknown>;
  /** Counts a request that names no procedure. Throws RATE_LIMITED. */
  admit(request: RequestFacts): Promise<void>;
}

export interface ChainOptions {
  readonly procedures: ReadonlyMap<string, Procedure>;
  readonly authenticate: Authenticate;
  readonly services: Services;
  readonly lane: ReadLane;
  /** For what handlers read that takes as long as a search. */
  readonly searchLane: ReadLane;
  readonly limiter: RateLimiter;
  readonly limits: Readonly<Record<string, number>>;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Called after a write committed, with the organization it was in, before its caller is answered. Never rejects, and takes no longer than a moment. */
  readonly onCommit: (organizationId: string | null) => Promise<void>;
  /** Parse what handlers answer; types hold it already, so production saves the time. */
  readonly checkOutput: boolean;
}

/** Builds the chain that all faces share, so that authentication and limits cannot diverge. */
export function createChain(options: ChainOptions): Chain {
  const { services, metrics, log } = options;
  const limits = createLimits(options);
  const members = createKnownMembers(systemClock);

  function readerFor(caller: Caller | null, lane: ReadLane): Reader {
    const scope = { userId: caller?.userId ?? null, orgId: caller?.kind === 'apiKey' ? caller.orgId : null };
    return { userId: caller?.userId ?? '', read: (statement, values) => lane.read(scope, statement, values) };
  }

  async function run(procedure: Procedure, rawInput: unknown, request: RequestFacts): Promise<unknown> {
    const { row } = procedure;
    // Before anyone is authenticated only the address is known: beyond its limit no body is read and no forged token looked at. A signed-in
    // person then has limits of their own.
    await limits.address(request, procedure);
    const raw = await readInput(rawInput);
    const caller = row.scope === 'public' ? null : await options.authenticate(request.authorization);
    const countedOrg = caller === null ? null : organizationBefore(caller, namedOrganization(row, raw));
    if (caller !== null) {
      await limits.caller(request, procedure, { caller, orgId: countedOrg });
      admitKey(row, caller);
    }
    const input = parse(row, raw);
    const reader = readerFor(caller, options.lane);
    // Reads that every member may make need no look at the role: the policies show members their rows and nobody else's.
    const gated = row.tx === 'write' || isGated(row);
    const orgId = gated ? await gate(row, input, reader) : namedOrganization(row, input);
    if (caller?.kind === 'apiKey' && orgId !== null && orgId !== caller.orgId)
      throw new AppError('NOT_FOUND', {
        detail: `api key ${caller.apiKeyId} is of another organization than ${orgId}`,
      });
    if (caller !== null && countedOrg === null && orgId !== null && (gated || (await isMember(reader, orgId))))
      await limits.organization(request, procedure, orgId);
    if (gated && caller !== null && orgId !== null) members.add(caller.userId, orgId);
    if (row.tx === 'read') return call<ReadContext>(procedure, { reader, services }, input);
    if (row.tx === 'none') {
      const searcher = readerFor(caller, options.searchLane);
      const answer = await call<OpenContext>(procedure, { services, request, caller, reader, searcher }, input);
      if (row.kind === 'mutation') await options.onCommit(orgId);
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
    await options.onCommit(orgId);
    return answer;
  }

  /** The organization that a call is surely about before its handler: an API key's own, or one that its caller was lately seen in. */
  function organizationBefore(caller: Caller, named: string | null): string | null {
    if (caller.kind === 'apiKey') return caller.orgId;
    return named !== null && members.has(caller.userId, named) ? named : null;
  }

  /** An outsider who names an organization must not use up its limit. */
  async function isMember({ userId, read }: Reader, orgId: string): Promise<boolean> {
    if (members.has(userId, orgId)) return true;
    const [found] = await read(targets.organization, [orgId]);
    if (found !== undefined) members.add(userId, orgId);
    return found !== undefined;
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
    admit: (request) => limits.address(request),
    async invoke(path, rawInput, request) {
      const started = performance.now();
      const procedure = options.procedures.get(path);
      let code = 'OK';
      try {
        if (procedure === undefined) {
          await limits.address(request);
          throw new AppError('NOT_FOUND', {
            detail: `no procedure "${path}"`,
            text: 'There is no procedure by that name.',
          });
        }
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

async function readInput(input: unknown): Promise<unknown> {
  const read: unknown = typeof input === 'function' ? await input() : input;
  return read;
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

/** The organization an input names itself, parsed or not; by the id of something inside it, it is known to the database alone. */
function namedOrganization({ scope, target }: Row, input: unknown): string | null {
  if (typeof input !== 'object' || input === null) return null;
  const id: unknown = Reflect.get(input, (scope === 'organization' ? target : undefined) ?? 'organizationId');
  return typeof id === 'string' ? id : null;
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
  if (found.status === 'suspended' && !allowedWhileSuspended(needs))
    throw new AppError('FORBIDDEN', {
      detail: `organization ${found.org_id} is suspended`,
      text: 'This organization is suspended: it can be read and left, and nothing else.',
    });
  return found.org_id;
}

function call<C>(procedure: Procedure, context: C, input: unknown): Promise<unknown> {
  // Handler, context and input come from the same row; the table has forgotten which.
  return procedure.handler(context as never, input as never);
}
